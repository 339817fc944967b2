// The tests of the postgres actions share a server, a repository, and actions that run as the agent would run them.
// Tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/scratch_engine.h"
#include "agent/engines/postgres/test_server.h"
#include "agent/work/action.h"
#include "agent/work/registry.h"
#include "base/io/files.h"
#include "base/io/mutex.h"
#include "base/steady_time.h"
#include "base/text.h"

namespace salvor::agent {

class PostgresActionsTest : public testing::Test {
 public:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

 protected:
  // Each test begins with an empty server and an empty repository.
  PostgresActionsTest();
  ~PostgresActionsTest() override;

  static TestServer& Server() { return *server_; }
  const v1::ResticLocation& Location() const { return location_; }

  // The component that tests back up: chosen databases, as `user`.
  static v1::PostgresComponent Component(const std::vector<std::string>& databases,
                                         const std::string& user = "postgres");

  // Runs one action as the agent would, for `run`, as this attempt.
  template <typename Message>
  StatusOr<v1::ActionResult> Act(TypedAction<Message> function, const v1::Action& action,
                                 const std::string& run = "run-1", int attempt = 1) {
    v1::Task task;
    task.mutable_lease()->set_run(run);
    task.mutable_lease()->set_attempt(attempt);
    task.set_component("db");
    const auto log = [this](std::string_view source, std::string_view line) {
      MutexLock lock(log_mutex_);  // a producer, a consumer and who watches them log by themselves
      log_ += std::string(source) + ": " + std::string(line) + "\n";
    };
    ActionContext context{
        config_, TestTools(),        task, stop_.get_token(), SteadyTime::InfiniteFuture(), progress_,
        log,     &Server().Servers()};
    return function(PartOf<Message>(action), context);
  }

  StatusOr<v1::ActionResult> Dump(const v1::PostgresComponent& component, const std::string& database,
                                  const std::string& run = "run-1", int attempt = 1);
  StatusOr<v1::ActionResult> SaveGlobals(const std::string& run = "run-1");

  // A kept backup of one database.
  struct Kept {
    v1::Artifact dump, details, globals;
  };
  Kept Backup(const std::string& database, const std::string& run = "run-1");

  static v1::PostgresTarget Scratch(const std::string& name);
  static v1::PostgresTarget Here();
  static v1::RestoreDatabase Of(const Kept& kept, const std::string& name);
  StatusOr<v1::ActionResult> CheckTarget(const v1::PostgresTarget& target, const Kept& kept,
                                         const std::string& name);
  StatusOr<v1::ActionResult> RestoreRoles(const v1::PostgresTarget& target, const Kept& kept);
  StatusOr<v1::ActionResult> Restore(const v1::PostgresTarget& target, const Kept& kept,
                                     const std::string& name, const std::string& run = "drill-1");
  StatusOr<v1::ActionResult> Verify(const v1::PostgresTarget& target, const Kept& kept,
                                    const std::string& name);

  // How many snapshots the repository has in all.
  size_t Snapshots();
  v1::DatabaseDetails DetailsOf(const Kept& kept);

  // A directory of PostgreSQL programs in which this one is a shell script; $REAL is the real one, $PG_DUMP
  // the real pg_dump, and $psql a psql.
  void ReplaceProgram(const std::string& name, const std::string& script);
  void ReplacePgDump(const std::string& script) { ReplaceProgram("pg_dump", script); }

  AgentConfig config_;
  std::stop_source stop_;
  std::function<void(const v1::Progress&)> progress_;
  std::string log_;  // once the action is over

 private:
  static TestServer* server_;
  v1::ResticLocation location_;
  Mutex log_mutex_;
};

// "schema", "rows" … of the checks that did not pass, one each, in order of their first appearance.
std::vector<std::string> KindsNotPassed(const v1::ActionResult& result);
std::string Render(const v1::ActionResult& result);

}  // namespace salvor::agent
