// The puller and a real executor against a control plane that says what the test tells it to.
#include "agent/puller/puller.h"

#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <deque>
#include <thread>

#include "agent/process/process.h"
#include "agent/process/process_testing.h"
#include "agent/work/noop_action.h"
#include "agent/work/registry.h"
#include "base/io/files.h"
#include "base/io/system_clock.h"
#include "salvor/v1/agent_service.grpc.pb.h"

namespace salvor::agent {
namespace {

using Stream = grpc::ServerReaderWriter<v1::ControlMessage, v1::AgentMessage>;

// Takes one agent's stream at a time; what it said waits to be read by the test.
class ScriptedControlPlane final : public v1::AgentService::Service {
 public:
  grpc::Status Connect(grpc::ServerContext*, Stream* stream) override {
    {
      MutexLock lock(mutex_);  // one write at a time
      v1::ControlMessage welcome;
      welcome.mutable_welcome()->mutable_heartbeat_interval()->set_seconds(60);
      stream->Write(welcome);
      stream_ = stream;
      ++streams_;
      changed_.NotifyAll();
    }
    v1::AgentMessage message;
    while (!EndsAfter(message) && stream->Read(&message)) {
      MutexLock lock(mutex_);
      said_.push_back(message);
      changed_.NotifyAll();
    }
    MutexLock lock(mutex_);
    stream_ = nullptr;
    return grpc::Status::OK;
  }

  void Send(const v1::ControlMessage& message) {
    MutexLock lock(mutex_);
    while (stream_ == nullptr) changed_.Wait(mutex_);
    stream_->Write(message);
  }
  // The next message with something in it, heartbeats left out.
  v1::AgentMessage Next() {
    MutexLock lock(mutex_);
    while (true) {
      while (said_.empty()) changed_.Wait(mutex_);
      v1::AgentMessage message = said_.front();
      said_.pop_front();
      if (message.has_hello() || message.reports_size() > 0 || message.early_releases_size() > 0)
        return message;
    }
  }
  // Ends each stream as soon as it brings a report, as a parser does that refuses one.
  void RefuseReports(bool refuse) {
    MutexLock lock(mutex_);
    refuse_reports_ = refuse;
  }
  int Streams() {
    MutexLock lock(mutex_);
    return streams_;
  }

 private:
  bool EndsAfter(const v1::AgentMessage& message) {
    MutexLock lock(mutex_);
    return refuse_reports_ && message.reports_size() > 0;
  }

  Mutex mutex_;
  CondVar changed_;
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::deque<v1::AgentMessage> said_ ABSL_GUARDED_BY(mutex_);
  bool refuse_reports_ ABSL_GUARDED_BY(mutex_) = false;
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;
};

class PullerTest : public testing::Test {
 protected:
  PullerTest() : directory_(testing::TempDir() + "pullerXXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    config_.name = "agent-a";
    config_.environment = "local";
    config_.max_parallel = 3;
    EXPECT_TRUE(Token::Load(directory_ + "/token", true).ok());
    Listen();
    journal_ = *Journal::Open(directory_ + "/state");
    ExecutorOptions options;
    options.config = &config_;
    options.clock = &clock_;
    options.journal = journal_.get();
    options.tools = &tools_;
    Register(options.actions, RunNoop);
    options.actions["scratch_start"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    options.actions["scratch_stop"] = {[](const v1::Action&, ActionContext&) { return v1::ActionResult(); }};
    options.undo_of_0_1 = [](const v1::HeldObligation& held) {
      v1::Action undo;
      undo.mutable_scratch_stop()->set_name(held.run());
      return undo;
    };
    executor_ = std::make_unique<Executor>(std::move(options));
    PullerOptions puller{*ParseEndpoint(Address()), {}, directory_ + "/token", "test", "host", "instance-1"};
    puller_ = MakePuller(config_, *executor_, std::move(puller));
    runner_ = std::thread([this] { EXPECT_TRUE(puller_->Run().ok()); });
  }
  ~PullerTest() override {
    puller_->Stop();
    runner_.join();
    executor_.reset();
    server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
    journal_.reset();
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }
  std::string Address() const { return "unix://" + directory_ + "/socket"; }
  void Listen() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(Address(), grpc::InsecureServerCredentials());
    builder.RegisterService(&control_plane_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  static v1::Task Task(const std::string& step, bool waits = false) {
    v1::Task task;
    task.mutable_lease()->set_run("r1");
    task.mutable_lease()->set_step(step);
    task.mutable_lease()->set_attempt(1);
    task.mutable_lease()->set_epoch(1);
    task.mutable_action()->mutable_noop()->set_wait_for_cancel(waits);
    return task;
  }
  void Cut() {
    server_->Shutdown(std::chrono::system_clock::now());
    Listen();
  }

  std::string directory_;
  AgentConfig config_;
  SupervisedTools tools_{"none"};  // nothing is started here
  SystemClock clock_;
  ScriptedControlPlane control_plane_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Puller> puller_;
  std::thread runner_;
};

TEST_F(PullerTest, SaysHelloAndHowManyTasksItTakes) {
  const v1::AgentMessage hello = control_plane_.Next();
  EXPECT_EQ(hello.hello().agent(), "agent-a");
  EXPECT_EQ(hello.hello().instance(), "instance-1");
  EXPECT_EQ(hello.hello().kind(), v1::AGENT_KIND_HOST);
  EXPECT_EQ(hello.hello().protocol(), 1) << "what a control plane of 0.1 asks for";
  EXPECT_LE(hello.hello().oldest_protocol(), 1);
  EXPECT_GE(hello.hello().newest_protocol(), 2);
  EXPECT_EQ(hello.task_limit(), 3);
  v1::ControlMessage message;
  *message.add_tasks() = Task("a");
  control_plane_.Send(message);
  const v1::AgentMessage report = control_plane_.Next();
  ASSERT_EQ(report.reports_size(), 1);
  EXPECT_EQ(report.task_limit(), 4) << "one was received, and there is room for three";
}

// Somebody writes the file just now: what runs goes on.
TEST_F(PullerTest, ATokenFileThatBecomesUnfitIsWaitedFor) {
  const std::string token = directory_ + "/token";
  control_plane_.Next();
  v1::ControlMessage message;
  *message.add_tasks() = Task("a", true);
  control_plane_.Send(message);
  ASSERT_TRUE(Eventually([this] { return executor_->Held().size() == 1; }));
  ASSERT_EQ(::truncate(token.c_str(), 0), 0);
  const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  ASSERT_GE(::inotify_add_watch(watch.Get(), token.c_str(), IN_OPEN), 0);
  Cut();
  char event[1024];
  ASSERT_TRUE(Eventually([&] { return ::read(watch.Get(), event, sizeof event) > 0; }))
      << "it was read, and is empty";
  ASSERT_TRUE(WriteFileAtomically(token, "another-token\n", 0600).ok());
  v1::AgentMessage hello;
  while (!hello.has_hello()) hello = control_plane_.Next();
  EXPECT_EQ(hello.hello().held_size(), 1) << "it runs what it ran";
}

TEST_F(PullerTest, ACancelThatTravelsWithItsTaskIsHeeded) {
  control_plane_.Next();
  v1::ControlMessage message;
  *message.add_tasks() = Task("a", true);
  *message.add_cancels() = Task("a").lease();
  control_plane_.Send(message);
  EXPECT_EQ(control_plane_.Next().reports(0).result().error().reason(), v1::Error::REASON_CANCELLED);
}

TEST_F(PullerTest, TheRoomOfASupersededTaskComesBack) {
  control_plane_.Next();
  v1::ControlMessage start;
  for (const char* step : {"a", "b", "c"}) *start.add_tasks() = Task(step, true);
  control_plane_.Send(start);
  v1::ControlMessage superseded;
  for (const char* step : {"a", "b", "c"}) *superseded.add_superseded() = Task(step).lease();
  control_plane_.Send(superseded);
  v1::ControlMessage next;
  *next.add_tasks() = Task("d");
  control_plane_.Send(next);
  // All four were received, and in the end nothing runs: 4 + 3. Until then messages say less.
  v1::AgentMessage report = control_plane_.Next();
  EXPECT_EQ(report.reports(0).lease().step(), "d");
  while (executor_->Running() > 0) std::this_thread::yield();
  Cut();
  EXPECT_EQ(control_plane_.Next().task_limit(), 3) << "of the new stream";
}

TEST_F(PullerTest, ReportsOfBeforeTravelAloneAfterAReconnect) {
  control_plane_.Next();
  v1::ControlMessage start;
  for (const char* step : {"a", "b"}) *start.add_tasks() = Task(step);
  control_plane_.Send(start);
  while (executor_->Unacknowledged().size() < 2) std::this_thread::yield();
  Cut();
  v1::AgentMessage message;
  do {
    message = control_plane_.Next();
  } while (!message.has_hello());
  EXPECT_EQ(message.reports_size(), 0);
  EXPECT_EQ(message.hello().held_size(), 2);
  for (const char* step : {"a", "b"}) {
    message = control_plane_.Next();
    ASSERT_EQ(message.reports_size(), 1);
    EXPECT_EQ(message.reports(0).lease().step(), step);
    v1::ControlMessage acknowledged;
    *acknowledged.add_acks() = message.reports(0).lease();
    control_plane_.Send(acknowledged);
  }
  while (!executor_->Held().empty()) std::this_thread::yield();
}

TEST_F(PullerTest, AReportThatEndsEveryStreamIsPutAsideAndTheErrorIsReported) {
  control_plane_.Next();
  control_plane_.RefuseReports(true);
  v1::ControlMessage start;
  *start.add_tasks() = Task("poison");
  control_plane_.Send(start);
  v1::AgentMessage message;
  do {
    message = control_plane_.Next();
  } while (message.reports_size() == 0 || !message.reports(0).result().has_error());
  EXPECT_NE(message.reports(0).result().error().message().find("could not take the result"),
            std::string::npos);
  control_plane_.RefuseReports(false);
  v1::ControlMessage acknowledged;
  *acknowledged.add_acks() = Task("poison").lease();
  control_plane_.Send(acknowledged);
  while (!executor_->Held().empty()) std::this_thread::yield();
  EXPECT_GE(control_plane_.Streams(), 4) << "a stream that breaks once blames nobody";
}

TEST_F(PullerTest, ARejectedReportIsNotRepeated) {
  control_plane_.Next();
  v1::ControlMessage start;
  *start.add_tasks() = Task("a");
  control_plane_.Send(start);
  v1::ControlMessage rejected;
  *rejected.add_rejected()->mutable_lease() = control_plane_.Next().reports(0).lease();
  rejected.mutable_rejected(0)->set_why("it is too large");
  control_plane_.Send(rejected);
  while (!journal_->Entries()->empty()) std::this_thread::yield();
  EXPECT_TRUE(executor_->Held().empty());
}

TEST_F(PullerTest, AnObligationUndoneEarlyIsSaidAgainUntilItIsHeard) {
  control_plane_.Next();
  v1::ControlMessage start;
  v1::Task task = Task("start");
  task.mutable_action()->mutable_scratch_start();
  task.set_obligation("scratch");
  task.mutable_obligation_deadline()->set_seconds(0);
  *start.add_tasks() = task;
  control_plane_.Send(start);
  EXPECT_EQ(control_plane_.Next().reports_size(), 1);
  executor_->ReleaseExpired();
  v1::AgentMessage message = control_plane_.Next();
  while (message.early_releases_size() == 0) message = control_plane_.Next();
  Cut();
  do {
    message = control_plane_.Next();
  } while (!message.has_hello());
  ASSERT_EQ(message.early_releases_size(), 1);
  v1::ControlMessage heard;
  *heard.add_early_release_acks() = message.early_releases(0);
  control_plane_.Send(heard);
  while (!executor_->EarlyReleases().empty()) std::this_thread::yield();
}

}  // namespace
}  // namespace salvor::agent
