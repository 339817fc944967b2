#include "agent/engines/mariadb/actions/actions_testing.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "agent/engines/mariadb/actions/common.h"
#include "agent/engines/mariadb/scratch_engine.h"
#include "agent/engines/mariadb/tools.h"
#include "agent/process/process_testing.h"
#include "agent/restic/restic_testing.h"
#include "base/io/files.h"

namespace salvor::agent {
namespace {

void Require(const Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "test server: %s: %s\n", what, MessageOf(status).c_str());
  std::abort();
}

template <typename T>
T Require(StatusOr<T> value, const char* what) {
  Require(value.status(), what);
  return *std::move(value);
}

SupervisedTools& TestTools() {
  static SupervisedTools tools(Supervisor());
  return tools;
}

// A scratch server as one in use is: what is off for a drill is on.
class ServerInUse final : public ScratchEngine {
 public:
  std::string Kind() const override { return scratch_.Kind(); }
  std::string ProgramFolder() const override { return scratch_.ProgramFolder(); }
  int64_t EmptyServerBytes() const override { return scratch_.EmptyServerBytes(); }
  Status CheckVersion(int32_t version) const override { return scratch_.CheckVersion(version); }
  ProcessSpec Initializer(const ScratchState& state) const override { return scratch_.Initializer(state); }
  ProcessSpec Server(const ScratchState& state) const override {
    ProcessSpec server = scratch_.Server(state);
    for (std::string& argument : server.argv) {
      if (argument == "--event-scheduler=OFF") argument = "--event-scheduler=ON";
      if (argument == "--skip-log-bin") argument = "--log-bin=binlog";
    }
    server.argv.emplace_back("--server-id=1");
    server.argv.emplace_back("--log-bin-trust-function-creators=1");
    return server;
  }
  bool IsFatal(std::string_view line) const override { return scratch_.IsFatal(line); }
  Status OpenDoor(const ScratchState& state) const override { return scratch_.OpenDoor(state); }
  ScratchAnswer Ask(const ScratchState& state) const override { return scratch_.Ask(state); }
  std::vector<std::string> LeftByDeadServer() const override { return scratch_.LeftByDeadServer(); }

 private:
  MariadbScratch scratch_{TestTools(), kMariadbPrograms};
};

}  // namespace

MariadbTestServer::MariadbTestServer() {
  char pattern[] = "/tmp/salvor-test-XXXXXX";
  if (mkdtemp(pattern) == nullptr) Require(ErrnoStatus(errno, "mkdtemp"), "directory");
  directory_ = pattern;
  chmod(directory_.c_str(), 0755);
  places_ = std::make_unique<ScratchPlaces>(
      ScratchOptions{directory_ + "/use", TestTools(), Supervisor(), {std::make_shared<ServerInUse>()}, ""});
  drills_ = std::make_unique<ScratchPlaces>(
      ScratchOptions{directory_ + "/state",
                     TestTools(),
                     Supervisor(),
                     {std::make_shared<MariadbScratch>(TestTools(), kMariadbPrograms)},
                     ""});
  ScratchRequest request;
  request.name = "source";
  request.engine = kMariadbKind;
  state_ = Require(places_->Start(request), "start");
}

MariadbTestServer::~MariadbTestServer() {
  Require(places_->Remove("source"), "remove");
  places_.reset();
  drills_.reset();
  Require(RemoveTree(directory_), "clean up");
}

v1::MariadbConnection MariadbTestServer::Where() const { return MariadbConnectionTo(state_); }

void MariadbTestServer::Execute(const std::vector<std::string>& statements) const {
  auto session = Require(MariadbSession::Open(Where(), {}), "connect");
  for (const std::string& statement : statements) Require(session->Execute(statement), statement.c_str());
}

std::string MariadbTestServer::Value(const std::string& sql) const {
  return Require(Require(MariadbSession::Open(Where(), {}), "connect")->Value(sql), sql.c_str());
}

void MariadbTestServer::Reset() const {
  auto session = Require(MariadbSession::Open(Where(), {}), "connect");
  const auto each = [&session](const char* list) {
    for (const MariadbRow& row : Require(session->Query(list), list)) {
      Require(session->Execute(TextOf(row[0])), "reset");
    }
  };
  each(
      "SELECT CONCAT('DROP DATABASE `', SCHEMA_NAME, '`') FROM information_schema.SCHEMATA"
      " WHERE SCHEMA_NAME NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')");
  each(
      "SELECT IF(Host = '', CONCAT('DROP ROLE ', QUOTE(User)), CONCAT('DROP USER ', QUOTE(User), '@', QUOTE(Host)))"
      " FROM mysql.global_priv WHERE User NOT IN ('mariadb.sys', 'salvor_scratch')");
}

MariadbTestServer* MariadbActionsTest::server_ = nullptr;

void MariadbActionsTest::SetUpTestSuite() { server_ = new MariadbTestServer(); }

void MariadbActionsTest::TearDownTestSuite() {
  delete server_;
  server_ = nullptr;
}

MariadbActionsTest::MariadbActionsTest() : tools_(Supervisor()) {
  config_.name = "test";
  config_.state_directory = Server().Directory() + "/agent";
  const std::string directory = Server().Directory();
  location_.set_repository(directory + "/repository");
  location_.set_password_file(directory + "/password");
  location_.set_cache_directory(directory + "/cache");
  MakeRepositoryForTest(location_);
}

MariadbActionsTest::~MariadbActionsTest() {
  Server().Reset();
  for (const char* drill : {"drill-1", "drill-2"}) EXPECT_TRUE(Server().Drills().Remove(drill).ok());
  EXPECT_TRUE(RemoveTree(location_.repository()).ok());
  EXPECT_TRUE(RemoveTree(config_.state_directory).ok());
}

v1::MariadbComponent MariadbActionsTest::Component(const std::vector<std::string>& databases) {
  v1::MariadbComponent component;
  *component.mutable_connection() = Server().Where();
  for (const std::string& database : databases) component.add_databases(database);
  component.set_lock_hold("20s");  // the machine of a test may be busy
  return component;
}

StatusOr<v1::ActionResult> MariadbActionsTest::Preflight(const v1::MariadbComponent& component) {
  v1::MariadbPreflight action;
  *action.mutable_component() = component;
  return Act(RunMariadbPreflight, action);
}

StatusOr<v1::ActionResult> MariadbActionsTest::Dump(const v1::MariadbComponent& component,
                                                    const std::string& run) {
  v1::MariadbDump action;
  *action.mutable_component() = component;
  *action.mutable_target()->mutable_location() = location_;
  action.mutable_target()->set_backup(run);
  action.mutable_target()->set_component("db");
  action.mutable_target()->set_artifact("db.dump");
  return Act(RunMariadbDump, action, run);
}

MariadbActionsTest::Kept MariadbActionsTest::Backup(const std::vector<std::string>& databases) {
  const auto result = Dump(Component(databases));
  EXPECT_TRUE(result.ok()) << MessageOf(result.status()) << "\n" << log_;
  if (!result.ok()) return {};
  return {result->artifacts(0), result->artifacts(1)};
}

v1::MariadbTarget MariadbActionsTest::Scratch(const std::string& name) {
  ScratchRequest request;
  request.name = name;
  request.engine = kMariadbKind;
  const auto started = Server().Drills().Start(request);
  EXPECT_TRUE(started.ok()) << MessageOf(started.status());
  v1::MariadbTarget target;
  target.set_scratch(name);
  return target;
}

v1::MariadbTarget MariadbActionsTest::Here() {
  v1::MariadbTarget target;
  *target.mutable_connection() = Server().Where();
  return target;
}

StatusOr<v1::ActionResult> MariadbActionsTest::CheckTarget(const v1::MariadbTarget& target,
                                                           const Kept& kept) {
  v1::MariadbTargetCheck action;
  *action.mutable_target() = target;
  *action.mutable_location() = location_;
  *action.mutable_details() = kept.details;
  return Act(RunMariadbTargetCheck, action, "drill-1");
}

StatusOr<v1::ActionResult> MariadbActionsTest::Restore(const v1::MariadbTarget& target, const Kept& kept,
                                                       const std::string& run, int attempt) {
  v1::MariadbRestore action;
  *action.mutable_target() = target;
  *action.mutable_location() = location_;
  *action.mutable_dump() = kept.dump;
  *action.mutable_details() = kept.details;
  action.set_run(run);
  return Act(RunMariadbRestore, action, run, attempt);
}

StatusOr<v1::ActionResult> MariadbActionsTest::Verify(const v1::MariadbTarget& target, const Kept& kept) {
  v1::MariadbVerify action;
  *action.mutable_target() = target;
  *action.mutable_location() = location_;
  *action.mutable_details() = kept.details;
  return Act(RunMariadbVerify, action, "drill-1");
}

std::unique_ptr<MariadbSession> MariadbActionsTest::SessionWith(const v1::MariadbTarget& target) {
  if (target.has_connection()) return Require(MariadbSession::Open(target.connection(), {}), "connect");
  const ScratchState state = Require(Server().Drills().EnsureRunning(target.scratch()), "run");
  return Require(MariadbSession::Open(MariadbConnectionTo(state), {}), "connect");
}

v1::MariadbDetails MariadbActionsTest::DetailsOf(const Kept& kept) {
  v1::Task task;
  const ActionContext context{config_, tools_, task, {}, SteadyTime::InfiniteFuture(), nullptr, nullptr};
  return Require(LoadMariadbDetails(context, location_, kept.details), "details");
}

size_t MariadbActionsTest::Snapshots() {
  ResticContext context;
  context.tools = &tools_;
  const auto found = Restic(location_, context).Find({{"salvor", ""}});
  EXPECT_TRUE(found.ok()) << MessageOf(found.status());
  return found.ok() ? found->size() : 0;
}

void MariadbActionsTest::ReplaceProgram(const std::string& name, const std::string& script) {
  const std::string folder = Server().Directory() + "/programs";
  ASSERT_TRUE(RemoveTree(folder).ok());
  ASSERT_TRUE(MakeDirectories(folder).ok());
  for (const char* one : {"mariadb", "mariadb-dump"}) {
    ASSERT_EQ(symlink((std::string(kMariadbPrograms) + "/" + one).c_str(), (folder + "/" + one).c_str()), 0);
  }
  const std::string head = fmt::format("#!/bin/sh\nREAL={}/{}\n", kMariadbPrograms, name);
  ASSERT_TRUE(WriteFileAtomically(folder + "/" + name, head + script, 0755).ok());
  config_.program_folders[kMariadbKind] = folder;
}

std::vector<std::string> Failed(const v1::ActionResult& result) {
  std::vector<std::string> failed;
  for (const v1::Check& check : result.checks()) {
    if (check.verdict() == v1::Check::VERDICT_FAILED) failed.push_back(check.kind() + " " + check.subject());
  }
  std::sort(failed.begin(), failed.end());
  return failed;
}

std::string Render(const v1::ActionResult& result) {
  std::string text;
  for (const v1::Check& check : result.checks()) {
    text += fmt::format("{} {} {}: {}\n", v1::Check::Verdict_Name(check.verdict()), check.kind(),
                        check.subject(), check.compared());
  }
  return text;
}

}  // namespace salvor::agent
