// The tests of MariaDB's actions share a server in use, a repository, and actions that run as the agent would run them.
// Tests only.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/engines/mariadb/actions/actions.h"
#include "agent/engines/mariadb/session.h"
#include "agent/process/process.h"
#include "agent/scratch/scratch_places.h"
#include "agent/work/registry.h"
#include "base/io/mutex.h"
#include "salvor/v1/mariadb_details.pb.h"

namespace salvor::agent {

// A throw-away MariaDB that stands for one in use: with a binary log, and an event scheduler that runs.
class MariadbTestServer {
 public:
  MariadbTestServer();  // ends the program when the machine cannot have one
  ~MariadbTestServer();

  v1::MariadbConnection Where() const;
  // Statements must succeed; one string is one statement.
  void Execute(const std::vector<std::string>& statements) const;
  std::string Value(const std::string& sql) const;
  // Drops all databases and accounts that a test made.
  void Reset() const;

  ScratchPlaces& Drills() { return *drills_; }
  const std::string& Directory() const { return directory_; }

 private:
  std::string directory_;
  std::unique_ptr<ScratchPlaces> places_, drills_;
  ScratchState state_;
};

class MariadbActionsTest : public testing::Test {
 public:
  static void SetUpTestSuite();
  static void TearDownTestSuite();

 protected:
  MariadbActionsTest();
  ~MariadbActionsTest() override;

  static MariadbTestServer& Server() { return *server_; }
  static v1::MariadbComponent Component(const std::vector<std::string>& databases = {"shop"});

  template <typename Message>
  StatusOr<v1::ActionResult> Act(TypedAction<Message> function, const Message& message,
                                 const std::string& run = "run-1", int attempt = 1) {
    v1::Task task;
    task.mutable_lease()->set_run(run);
    task.mutable_lease()->set_attempt(attempt);
    task.set_component("db");
    const auto log = [this](std::string_view source, std::string_view line) {
      MutexLock lock(log_mutex_);
      log_ += std::string(source) + ": " + std::string(line) + "\n";
    };
    ActionContext context{
        config_,           tools_, task, stop_.get_token(), SteadyTime::InfiniteFuture(), nullptr, log,
        &Server().Drills()};
    return function(message, context);
  }

  struct Kept {
    v1::Artifact dump, details;
  };
  StatusOr<v1::ActionResult> Preflight(const v1::MariadbComponent& component);
  StatusOr<v1::ActionResult> Dump(const v1::MariadbComponent& component, const std::string& run = "run-1");
  Kept Backup(const std::vector<std::string>& databases = {"shop"});  // must succeed

  // A scratch server of that name, which is started; and the server in use.
  v1::MariadbTarget Scratch(const std::string& name);
  v1::MariadbTarget Here();
  StatusOr<v1::ActionResult> CheckTarget(const v1::MariadbTarget& target, const Kept& kept);
  StatusOr<v1::ActionResult> Restore(const v1::MariadbTarget& target, const Kept& kept,
                                     const std::string& run = "drill-1", int attempt = 1);
  StatusOr<v1::ActionResult> Verify(const v1::MariadbTarget& target, const Kept& kept);
  // A session with that target.
  std::unique_ptr<MariadbSession> SessionWith(const v1::MariadbTarget& target);
  v1::MariadbDetails DetailsOf(const Kept& kept);
  size_t Snapshots();
  // Other programs than MariaDB's: a shell script in the place of one, in which $REAL is the real one.
  void ReplaceProgram(const std::string& name, const std::string& script);

  AgentConfig config_;
  SupervisedTools tools_;
  std::stop_source stop_;
  std::string log_;  // once the action is over
  v1::ResticLocation location_;

 private:
  static MariadbTestServer* server_;
  Mutex log_mutex_;
};

// "rows shop.t" … of the checks that failed, one each, sorted.
std::vector<std::string> Failed(const v1::ActionResult& result);
std::string Render(const v1::ActionResult& result);

}  // namespace salvor::agent
