// Streams over gRPC go on for as long as a run does: a log's cursor, and a stream whose caller's token is revoked.
#include <iostream>
#include <optional>

#include "base/io/mutex.h"
#include "controlplane/runs/waiting_calls.h"
#include "controlplane/transport/transport_testing.h"
#include "proto/run_change.h"

namespace salvor::controlplane {
namespace {

class RunStreamsTest : public ServicesTest {
 protected:
  void StartRun() {
    v1::Flow flow;
    v1::Step* step = flow.add_steps();
    step->set_id("a");
    step->mutable_action()->mutable_noop();
    v1::RunHeader header;
    header.set_name("r1");
    header.set_environment("nowhere");
    ASSERT_TRUE(StartRunAndWait(*engine_, header, flow, "").ok());
  }

  void Say(const std::string& text) {
    AppendLog log;
    log.lines.set_run("r1");
    log.lines.set_step("a");
    log.lines.add_lines()->set_text(text);
    ASSERT_TRUE(CommitAndWait(store_, {log}).ok());
  }

  // The lines that a reader gets who has all up to there: "text@next".
  std::vector<std::string> ReadFrom(int64_t after) {
    grpc::ClientContext context;
    Token(kPeople).Attach(context);
    v1::GetRunLogsRequest request;
    request.set_name("r1");
    request.set_after(after);
    const auto stream = stub_->GetRunLogs(&context, request);
    std::vector<std::string> read;
    v1::LogLines lines;
    while (stream->Read(&lines)) read.push_back(fmt::format("{}@{}", lines.lines(0).text(), lines.next()));
    const Status end = FromGrpc(stream->Finish(), context);
    if (!end.ok()) read.push_back(MessageOf(end));
    return read;
  }
};

TEST_F(RunStreamsTest, ALogIsReadOnFromAnyOfItsCursorsAlsoAfterARestart) {
  StartRun();
  for (const char* text : {"one", "two", "two"}) Say(text);
  EXPECT_THAT(ReadFrom(0), testing::ElementsAre("one@1", "two@2", "two@3"));
  EXPECT_THAT(ReadFrom(1), testing::ElementsAre("two@2", "two@3"));
  Start();
  Say("four");
  EXPECT_THAT(ReadFrom(3), testing::ElementsAre("four@4"));
  EXPECT_THAT(ReadFrom(4), testing::IsEmpty());
  EXPECT_THAT(ReadFrom(-1), testing::ElementsAre("a place in a log is not negative"));
}

TEST_F(RunStreamsTest, AWatchEndsWhenItsTokenIsRevoked) {
  StartRun();
  grpc::ClientContext context;
  Token(MakeUserToken("zoe", v1::TOKEN_CLASS_VIEW)).Attach(context);
  v1::GetRunRequest request;
  request.set_name("r1");
  const auto stream = stub_->WatchRun(&context, request);
  v1::Run run;
  ASSERT_TRUE(stream->Read(&run));
  ASSERT_TRUE(Revoke("zoe").ok());
  while (stream->Read(&run)) {
  }
  const Status end = FromGrpc(stream->Finish(), context);
  EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(MessageOf(end), "the token zoe was revoked");
}

// An agent that takes one task and is told nothing else.
class TaskLink final : public AgentLink {
 public:
  void Send(v1::ControlMessage message) override {
    MutexLock lock(mutex_);
    if (message.tasks_size() > 0) lease_ = message.tasks(0).lease();
    is_there_.NotifyAll();
  }
  void Close(const std::string&) override {}
  v1::LeaseKey Lease() {
    MutexLock lock(mutex_);
    while (!lease_) is_there_.Wait(mutex_);
    return *lease_;
  }

 private:
  Mutex mutex_;
  CondVar is_there_;
  std::optional<v1::LeaseKey> lease_ ABSL_GUARDED_BY(mutex_);
};

// One watch of r1, as its caller sees it.
class Watcher {
 public:
  Watcher(v1::ControlService::Stub& stub, const Token& token, bool changes_only) {
    token.Attach(context_);
    v1::GetRunRequest request;
    request.set_name("r1");
    request.set_changes_only(changes_only);
    stream_ = stub.WatchRun(&context_, request);
  }
  ~Watcher() { context_.TryCancel(); }

  // Reads until the run is as it is wanted.
  template <typename Condition>
  void ReadUntil(const Condition& is_it) {
    v1::Run next;
    while (!is_it(run)) {
      ASSERT_TRUE(stream_->Read(&next)) << "the watch ended";
      if (messages > 0) bytes += next.ByteSizeLong();
      changes += next.is_change() ? 1 : 0;
      ++messages;
      EXPECT_GT(next.revision(), run.revision());
      TakeNext(std::move(next), run);
    }
  }

  v1::Run run;
  size_t messages = 0, changes = 0, bytes = 0;  // the bytes after the first message

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::Run>> stream_;
};

TEST_F(RunStreamsTest, AWatchSendsWhatChangedToWhoAsksForItAndTheWholeRunToAClientOfBefore) {
  v1::Flow flow;
  for (int i = 0; i < 200; ++i) {
    flow.add_steps()->set_id(fmt::format("step-{}", i));
    flow.mutable_steps(i)->mutable_action()->mutable_noop();
    flow.mutable_steps(i)->set_title("a step of many");
  }
  v1::RunHeader header;
  header.set_name("r1");
  header.set_environment("local");
  ASSERT_TRUE(StartRunAndWait(*engine_, header, flow, "").ok());
  Watcher of_today(*stub_, Token(kPeople), true), of_before(*stub_, Token(kPeople), false);
  v1::AgentHello hello;
  hello.set_agent("agent-a");
  hello.set_environment("local");
  hello.set_protocol(1);
  hello.add_capabilities("noop");
  const auto link = std::make_shared<TaskLink>();
  const int64_t session = *engine_->Connect(hello, link);
  v1::AgentMessage credits;
  credits.set_credits(1);
  engine_->Receive(session, credits);
  const auto is_granted = [](const v1::Run& run) {
    return run.steps_size() > 0 && run.steps(0).phase() == v1::STEP_PHASE_RUNNING;
  };
  for (Watcher* watcher : {&of_today, &of_before}) {
    watcher->ReadUntil(is_granted);
    watcher->bytes = 0;
  }
  for (int64_t done = 1; done <= 5; ++done) {
    v1::AgentMessage message;
    *message.add_progress()->mutable_lease() = link->Lease();
    message.mutable_progress(0)->mutable_progress()->set_bytes_done(done);
    engine_->Receive(session, message);
    for (Watcher* watcher : {&of_today, &of_before})
      watcher->ReadUntil([&](const v1::Run& run) { return run.steps(0).progress().bytes_done() == done; });
  }
  EXPECT_GT(of_today.changes, 0u);
  EXPECT_EQ(of_before.changes, 0u);
  std::cout << "five changes of a run of 200 steps: " << of_before.bytes << " bytes whole, " << of_today.bytes
            << " by changes\n";
  EXPECT_LT(of_today.bytes, 5 * 300u);
  EXPECT_GT(of_before.bytes, 20 * of_today.bytes);

  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "zoe", "enough").ok());
  v1::AgentMessage report;
  *report.add_reports()->mutable_lease() = link->Lease();
  report.mutable_reports(0)->mutable_result()->mutable_error()->set_message("it was cancelled");
  engine_->Receive(session, report);
  for (Watcher* watcher : {&of_today, &of_before})
    watcher->ReadUntil([](const v1::Run& run) { return run.phase() == v1::RUN_PHASE_CANCELLED; });
  const v1::Run ended = *engine_->GetRun("r1");
  EXPECT_EQ(of_today.run.SerializeAsString(), of_before.run.SerializeAsString());
  EXPECT_EQ(of_today.run.SerializeAsString(), ended.SerializeAsString());
}

TEST_F(RunStreamsTest, ARunThatIsOverIsWatchedOnceAndWhole) {
  StartRun();
  ASSERT_TRUE(CancelRunAndWait(*engine_, "r1", "zoe", "").ok());
  Watcher watcher(*stub_, Token(kPeople), true);
  watcher.ReadUntil([](const v1::Run& run) { return run.phase() == v1::RUN_PHASE_CANCELLED; });
  EXPECT_EQ(watcher.messages, 1u);
  EXPECT_EQ(watcher.changes, 0u);
  EXPECT_EQ(watcher.run.header().name(), "r1");
}

}  // namespace
}  // namespace salvor::controlplane
