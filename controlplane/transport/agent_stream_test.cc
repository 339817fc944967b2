// The agents' stream as an agent sees it: a real server in this process, the engine behind it, and agents that do as
// they should, and others.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/io/files.h"
#include "base/io/system_clock.h"
#include "controlplane/runs/waiting_calls.h"
#include "controlplane/store/memory/memory_store.h"
#include "controlplane/transport/agent_service.h"

namespace salvor::controlplane {
namespace {

using testing::HasSubstr;

constexpr char kSecret[] = "0123456789abcdef";
constexpr std::chrono::seconds kLongest{60};  // after which a stream that says nothing fails its test

v1::AgentMessage HelloOf(const std::string& agent, const std::string& instance = "", int credits = 8) {
  v1::AgentMessage message;
  v1::AgentHello* hello = message.mutable_hello();
  hello->set_agent(agent);
  hello->set_environment("local");
  hello->set_protocol(1);
  hello->set_instance(instance);
  hello->add_capabilities("noop");
  message.set_credits(credits);
  return message;
}

v1::AgentMessage ReportOf(const v1::LeaseKey& lease) {
  v1::AgentMessage message;
  *message.add_reports()->mutable_lease() = lease;
  message.mutable_reports(0)->mutable_result();
  return message;
}

// One stream. Ends by itself after kLongest.
class StreamForTest {
 public:
  StreamForTest(const std::shared_ptr<grpc::Channel>& channel, const std::string& secret)
      : stub_(v1::AgentService::NewStub(channel)) {
    context_.set_deadline(std::chrono::system_clock::now() + kLongest);
    if (!secret.empty()) Token(secret).Attach(context_);
    stream_ = stub_->Connect(&context_);
  }
  ~StreamForTest() {
    context_.TryCancel();
    if (!ended_) (void)stream_->Finish();
  }
  StreamForTest(const StreamForTest&) = delete;
  StreamForTest& operator=(const StreamForTest&) = delete;

  void Say(const v1::AgentMessage& message) { stream_->Write(message); }
  // All that came, once `enough` holds for it; fails the test when the stream ends before.
  template <typename Predicate>
  v1::ControlMessage HearUntil(Predicate enough) {
    v1::ControlMessage next;
    while (!enough(heard_)) {
      if (!stream_->Read(&next)) {
        ADD_FAILURE() << "the stream has ended; it said " << heard_.ShortDebugString();
        break;
      }
      heard_.MergeFrom(next);
    }
    return std::exchange(heard_, v1::ControlMessage());
  }
  v1::LeaseKey NextLease() {
    const v1::ControlMessage heard = HearUntil([](const auto& message) { return message.tasks_size() > 0; });
    return heard.tasks_size() > 0 ? heard.tasks(0).lease() : v1::LeaseKey();
  }
  void Vanish() { context_.TryCancel(); }
  // Reads to the end.
  grpc::Status End() {
    stream_->WritesDone();
    v1::ControlMessage ignored;
    while (stream_->Read(&ignored)) continue;
    ended_ = true;
    return stream_->Finish();
  }

 private:
  std::unique_ptr<v1::AgentService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AgentMessage, v1::ControlMessage>> stream_;
  v1::ControlMessage heard_;
  bool ended_ = false;
};

EngineOptions OptionsForTest() {
  EngineOptions options;
  options.version = "test";
  options.lease_duration = absl::Hours(1);  // however slow the machine is
  options.random = [] { return 0.0; };
  options.on_fatal = [](const Status& status) { FAIL() << status; };
  return options;
}

class AgentStreamTest : public testing::Test {
 protected:
  AgentStreamTest()
      : engine_(*Engine::Create(store_, clock_, OptionsForTest(), nullptr)),
        service_(*engine_, authenticator_, *tokens_),
        directory_(testing::TempDir() + "agentserviceXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    const std::string address = "unix:" + directory_ + "/s";
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    channel_ = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  }
  ~AgentStreamTest() override {
    server_->Shutdown(std::chrono::system_clock::now());
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }

  std::unique_ptr<StreamForTest> Open(const std::string& secret = kSecret) {
    return std::make_unique<StreamForTest>(channel_, secret);
  }
  std::unique_ptr<StreamForTest> Connected(const v1::AgentMessage& hello) {
    auto stream = Open();
    stream->Say(hello);
    stream->HearUntil([](const auto& message) { return message.has_welcome(); });
    return stream;
  }
  grpc::Status AnswerTo(const v1::AgentMessage& first, const std::string& secret = kSecret) {
    const auto stream = Open(secret);
    stream->Say(first);
    return stream->End();
  }
  // "a", then "b"; or both at once.
  void Start(const std::string& run, bool one_after_the_other = true) {
    v1::Flow flow;
    for (const char* id : {"a", "b"}) {
      v1::Step* step = flow.add_steps();
      step->set_id(id);
      step->mutable_action()->mutable_noop();
    }
    if (one_after_the_other) flow.mutable_steps(1)->add_after()->set_step("a");
    v1::RunHeader header;
    header.set_name(run);
    header.set_environment("local");
    ASSERT_TRUE(StartRunAndWait(*engine_, header, flow, "").ok());
  }
  bool IsConnected(const std::string& name) {
    for (const v1::AgentStatus& agent : engine_->ListAgents()) {
      if (agent.name() == name) return agent.connected();
    }
    return false;
  }
  v1::StepPhase PhaseOf(const std::string& run, int step) {
    return engine_->GetRun(run)->steps(step).phase();
  }
  // Starts a stream with these messages, as bytes, and waits for its end.
  grpc::Status SayBytes(const std::vector<std::string>& messages) {
    grpc::GenericStub stub(channel_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kLongest);
    Token(kSecret).Attach(context);
    grpc::CompletionQueue queue;
    const auto call = stub.PrepareCall(&context, "/salvor.v1.AgentService/Connect", &queue);
    void* tag = nullptr;
    bool ok = false;
    call->StartCall(nullptr);
    queue.Next(&tag, &ok);
    for (const std::string& message : messages) {
      const grpc::Slice slice(message);
      call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
      queue.Next(&tag, &ok);
    }
    do {
      grpc::ByteBuffer ignored;
      call->Read(&ignored, nullptr);
      queue.Next(&tag, &ok);
    } while (ok);
    grpc::Status status;
    call->Finish(&status, nullptr);
    queue.Next(&tag, &ok);
    return status;
  }

  MemoryStore store_;
  SystemClock clock_;
  std::unique_ptr<TokenRegistry> tokens_ = *TokenRegistry::Load(store_, clock_);
  Authenticator authenticator_{Token(kSecret), *tokens_};
  std::unique_ptr<Engine> engine_;
  AgentServiceImpl service_;
  std::string directory_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(AgentStreamTest, AHelloIsWelcomedAndSaysHowToGoOn) {
  const auto stream = Open();
  stream->Say(HelloOf("agent-a"));
  const v1::ControlMessage heard =
      stream->HearUntil([](const auto& message) { return message.has_welcome(); });
  EXPECT_EQ(heard.welcome().control_plane_version(), "test");
  EXPECT_GT(heard.welcome().heartbeat_interval().seconds(), 0);
  EXPECT_GT(heard.welcome().lease_duration().seconds(), heard.welcome().heartbeat_interval().seconds());
  EXPECT_TRUE(IsConnected("agent-a"));
}

TEST_F(AgentStreamTest, WhoHasNoTokenIsRefusedBeforeAnythingElse) {
  EXPECT_EQ(AnswerTo(HelloOf("agent-a"), "").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(AnswerTo(HelloOf("agent-a"), "another").error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(engine_->ListAgents().empty());
}

TEST_F(AgentStreamTest, WhatDoesNotBeginWithAHelloIsRefused) {
  v1::AgentMessage heartbeat;
  heartbeat.set_heartbeat(true);
  EXPECT_EQ(AnswerTo(heartbeat).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(AnswerTo(ReportOf({})).error_message(), HasSubstr("the first message must be a hello"));
  EXPECT_EQ(Open()->End().error_code(), grpc::StatusCode::INVALID_ARGUMENT) << "nothing at all";
  v1::AgentMessage newer = HelloOf("agent-a");
  newer.mutable_hello()->set_protocol(99);
  EXPECT_THAT(AnswerTo(newer).error_message(), HasSubstr("speaks protocol 99"));
  EXPECT_EQ(AnswerTo(HelloOf("")).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(engine_->ListAgents().empty());
}

TEST_F(AgentStreamTest, TheSameProcessReplacesItsOlderStream) {
  const auto older = Connected(HelloOf("agent-a", "one"));
  const auto newer = Connected(HelloOf("agent-a", "one"));
  EXPECT_EQ(older->End().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(IsConnected("agent-a")) << "the end of the older is not that of the newer";
  Start("r1");
  EXPECT_EQ(newer->NextLease().step(), "a");
}

TEST_F(AgentStreamTest, AnotherProcessOfTheNameIsRefusedAndTheFirstGoesOn) {
  const auto first = Connected(HelloOf("agent-a", "one"));
  EXPECT_EQ(AnswerTo(HelloOf("agent-a", "two")).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  Start("r1");
  EXPECT_EQ(first->NextLease().step(), "a");
  EXPECT_TRUE(first->End().ok());
  const auto second = Connected(HelloOf("agent-a", "two"));  // the first has said goodbye
  EXPECT_TRUE(IsConnected("agent-a"));
}

TEST_F(AgentStreamTest, ReportsInAnyOrderAndTwiceAreTakenForWhatTheyAre) {
  const auto stream = Connected(HelloOf("agent-a"));
  Start("r1");
  const v1::LeaseKey first = stream->NextLease();
  v1::LeaseKey early = first;
  early.set_step("b");
  stream->Say(ReportOf(early));  // of a step that nobody was granted
  v1::ControlMessage heard =
      stream->HearUntil([](const auto& message) { return message.superseded_size() > 0; });
  EXPECT_EQ(heard.superseded(0).step(), "b");
  EXPECT_EQ(heard.acks_size(), 0);
  v1::LeaseKey later = first;
  later.set_attempt(2);
  stream->Say(ReportOf(later));  // of an attempt that there was not yet
  heard = stream->HearUntil([](const auto& message) { return message.superseded_size() > 0; });
  EXPECT_EQ(heard.superseded(0).attempt(), 2);
  EXPECT_EQ(PhaseOf("r1", 0), v1::STEP_PHASE_RUNNING);
  stream->Say(ReportOf(first));
  heard = stream->HearUntil([](const auto& message) { return message.tasks_size() > 0; });
  ASSERT_EQ(heard.acks_size(), 1) << "with the next task";
  const v1::LeaseKey second = heard.tasks(0).lease();
  EXPECT_EQ(second.step(), "b");
  stream->Say(ReportOf(first));  // again
  heard = stream->HearUntil([](const auto& message) { return message.acks_size() > 0; });
  EXPECT_EQ(heard.tasks_size(), 0);
  stream->Say(ReportOf(second));
  stream->HearUntil([](const auto& message) { return message.acks_size() > 0; });
  ASSERT_TRUE(engine_->WaitUntilFinished("r1", absl::FromChrono(kLongest)));
  EXPECT_EQ(engine_->GetRun("r1")->phase(), v1::RUN_PHASE_SUCCEEDED);
  stream->Say(ReportOf(first));  // when all is over
  heard = stream->HearUntil([](const auto& message) { return message.acks_size() > 0; });
  EXPECT_EQ(heard.acks(0).step(), "a");
}

TEST_F(AgentStreamTest, WhoDoesNotHoldAStepChangesNothingOfIt) {
  const auto holder = Connected(HelloOf("agent-a"));
  Start("r1");
  const v1::LeaseKey lease = holder->NextLease();
  const auto other = Connected(HelloOf("agent-b"));
  v1::AgentMessage lie = ReportOf(lease);
  lie.add_progress()->mutable_lease()->CopyFrom(lease);
  v1::LogLines* lines = lie.add_logs();
  lines->set_run("r1");
  lines->set_step("a");
  lines->add_lines()->set_text("a lie");
  other->Say(lie);
  other->HearUntil([](const auto& message) { return message.superseded_size() > 0; });
  EXPECT_EQ(PhaseOf("r1", 0), v1::STEP_PHASE_RUNNING);
  EXPECT_FALSE(engine_->GetRun("r1")->steps(0).has_progress());
  int64_t next = 0;
  EXPECT_TRUE(store_.ReadLog("r1", 0, next)->empty());
  holder->Say(ReportOf(lease));
  holder->HearUntil([](const auto& message) { return message.acks_size() > 0; });
}

// A token is good for one environment: what comes with it gets nothing of an agent of the same name in another one.
TEST_F(AgentStreamTest, AgentsOfOneNameInTwoEnvironmentsAreTwo) {
  const auto holder = Connected(HelloOf("agent-a", "one"));
  Start("r1");
  const v1::LeaseKey lease = holder->NextLease();
  v1::AgentMessage hello = HelloOf("agent-a");  // without an instance it would replace its own older stream
  hello.mutable_hello()->set_environment("other");
  const auto other = Connected(hello);
  EXPECT_EQ(PhaseOf("r1", 0), v1::STEP_PHASE_RUNNING) << "its not knowing of the attempt means nothing";
  v1::AgentMessage lie = ReportOf(lease);
  v1::LogLines* lines = lie.add_logs();
  lines->set_run("r1");
  lines->set_step("a");
  lines->add_lines()->set_text("a lie");
  other->Say(lie);
  other->HearUntil([](const auto& message) { return message.superseded_size() > 0; });
  EXPECT_EQ(PhaseOf("r1", 0), v1::STEP_PHASE_RUNNING);
  int64_t next = 0;
  EXPECT_TRUE(store_.ReadLog("r1", 0, next)->empty());
  EXPECT_EQ(engine_->ListAgents().size(), 2u);
  holder->Say(ReportOf(lease));
  EXPECT_EQ(holder->NextLease().step(), "b") << "the holder goes on as if nobody else were there";
  other->Vanish();
  EXPECT_TRUE(IsConnected("agent-a"));
}

TEST_F(AgentStreamTest, BytesThatAreNoMessageEndTheirStreamAndNothingElse) {
  const auto other = Connected(HelloOf("agent-b"));
  EXPECT_FALSE(SayBytes({"\xff\xff\xff no message"}).ok()) << "in place of a hello";
  SayBytes({HelloOf("agent-a", "one").SerializeAsString(), "\xff\xff\xff no message"});
  EXPECT_FALSE(IsConnected("agent-a"));
  EXPECT_TRUE(IsConnected("agent-b"));
  EXPECT_TRUE(other->End().ok()) << "its stream went on";
  const auto again = Connected(HelloOf("agent-a", "two"));
  Start("r1", false);
  EXPECT_FALSE(again->NextLease().step().empty()) << "it came back at once, and works";
}

TEST_F(AgentStreamTest, AMessageThatSaysNothingAndOneThatNamesNothingChangeNothing) {
  const auto stream = Connected(HelloOf("agent-a"));
  Start("r1");
  const v1::LeaseKey lease = stream->NextLease();
  stream->Say(v1::AgentMessage());
  v1::AgentMessage odd;
  odd.add_reports();
  odd.add_progress();
  odd.add_logs();
  odd.add_early_releases();
  odd.set_credits(-1);
  stream->Say(odd);
  stream->HearUntil([](const auto& message) { return message.early_release_acks_size() > 0; });
  EXPECT_EQ(PhaseOf("r1", 0), v1::STEP_PHASE_RUNNING);
  stream->Say(ReportOf(lease));
  stream->HearUntil([](const auto& message) { return message.acks_size() > 0; });
  EXPECT_EQ(PhaseOf("r1", 0), v1::STEP_PHASE_SUCCEEDED);
}

TEST_F(AgentStreamTest, LinesAreInTheLogWhenTheReportAfterThemIsAcknowledged) {
  const auto stream = Connected(HelloOf("agent-a"));
  Start("r1");
  const v1::LeaseKey lease = stream->NextLease();
  v1::AgentMessage message;
  v1::LogLines* lines = message.add_logs();
  lines->set_run("r1");
  lines->set_step("a");
  lines->set_attempt(1);
  for (const char* text : {"one", "two"}) lines->add_lines()->set_text(text);
  stream->Say(message);
  stream->Say(ReportOf(lease));
  stream->HearUntil([](const auto& heard) { return heard.acks_size() > 0; });
  int64_t next = 0;
  const auto log = store_.ReadLog("r1", 0, next);
  ASSERT_EQ(log->size(), 1u);
  ASSERT_EQ(log->front().lines_size(), 2);
  EXPECT_EQ(log->front().lines(1).text(), "two");
}

TEST_F(AgentStreamTest, AnAgentGetsAsMuchAsItHasRoomFor) {
  const auto stream = Connected(HelloOf("agent-a", "", 0));
  Start("r1", false);
  v1::AgentMessage room;
  room.set_credits(1);
  stream->Say(room);
  const v1::LeaseKey first = stream->NextLease();
  EXPECT_EQ(PhaseOf("r1", first.step() == "a" ? 1 : 0), v1::STEP_PHASE_READY) << "the other one waits";
  stream->Say(room);
  EXPECT_NE(stream->NextLease().step(), first.step());
}

TEST_F(AgentStreamTest, AnAgentThatEndsItsStreamOrVanishesIsNotConnected) {
  EXPECT_TRUE(Connected(HelloOf("agent-a"))->End().ok());
  EXPECT_FALSE(IsConnected("agent-a"));
  const auto stream = Connected(HelloOf("agent-b"));
  EXPECT_TRUE(IsConnected("agent-b"));
  stream->Vanish();
  const auto until = std::chrono::steady_clock::now() + kLongest;
  while (IsConnected("agent-b") && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_FALSE(IsConnected("agent-b"));
}

}  // namespace
}  // namespace salvor::controlplane
