#include "agent/engines/postgres/actions/actions_testing.h"

#include <sys/stat.h>

#include <algorithm>

#include "agent/engines/postgres/details_json.h"
#include "agent/restic/restic_testing.h"
#include "base/names.h"

namespace salvor::agent {

TestServer* PostgresActionsTest::server_ = nullptr;

void PostgresActionsTest::SetUpTestSuite() { server_ = new TestServer(); }

void PostgresActionsTest::TearDownTestSuite() {
  delete server_;
  server_ = nullptr;
}

PostgresActionsTest::PostgresActionsTest() {
  config_.name = "test";
  config_.state_directory = Server().Directory() + "/state";
  config_.program_folders[kPostgresKind] = kTestBinDirectory;
  const std::string directory = Server().Directory();
  location_.set_repository(directory + "/repository");
  location_.set_password_file(directory + "/password");
  location_.set_cache_directory(directory + "/cache");
  MakeRepositoryForTest(location_);
}

PostgresActionsTest::~PostgresActionsTest() {
  Server().Reset();
  EXPECT_TRUE(RemoveTree(location_.repository()).ok());
}

v1::PostgresComponent PostgresActionsTest::Component(const std::vector<std::string>& databases,
                                                     const std::string& user) {
  v1::PostgresComponent component;
  *component.mutable_connection() = Server().Where(user);
  for (const std::string& database : databases) component.add_databases(database);
  return component;
}

namespace {

v1::ArtifactTarget TargetOf(const v1::ResticLocation& location, const std::string& run,
                            const std::string& artifact) {
  v1::ArtifactTarget target;
  *target.mutable_location() = location;
  target.set_backup(run);
  target.set_component("db");
  target.set_artifact(artifact);
  return target;
}

}  // namespace

StatusOr<v1::ActionResult> PostgresActionsTest::Dump(const v1::PostgresComponent& component,
                                                     const std::string& database, const std::string& run,
                                                     int attempt) {
  v1::Action action;
  *action.mutable_postgres_dump()->mutable_component() = component;
  action.mutable_postgres_dump()->set_database(database);
  *action.mutable_postgres_dump()->mutable_target() = TargetOf(Location(), run, "db." + Slug(database));
  return Act(RunPostgresDump, action, run, attempt);
}

StatusOr<v1::ActionResult> PostgresActionsTest::SaveGlobals(const std::string& run) {
  v1::Action action;
  *action.mutable_postgres_globals()->mutable_component() = Component({});
  *action.mutable_postgres_globals()->mutable_target() = TargetOf(Location(), run, "db.globals");
  return Act(RunPostgresGlobals, action, run);
}

PostgresActionsTest::Kept PostgresActionsTest::Backup(const std::string& database, const std::string& run) {
  const auto globals = SaveGlobals(run);
  const auto dump = Dump(Component({database}), database, run);
  EXPECT_TRUE(globals.ok()) << MessageOf(globals.status());
  EXPECT_TRUE(dump.ok()) << MessageOf(dump.status());
  if (!dump.ok() || !globals.ok()) return {};
  return {dump->artifacts(0), dump->artifacts(1), globals->artifacts(0)};
}

v1::PostgresTarget PostgresActionsTest::Scratch(const std::string& name) {
  ScratchRequest request;
  request.name = name;
  request.engine = "postgres";
  const auto started = Server().Servers().Start(request);
  EXPECT_TRUE(started.ok()) << MessageOf(started.status());
  v1::PostgresTarget target;
  target.set_scratch(name);
  return target;
}

v1::PostgresTarget PostgresActionsTest::Here() {
  v1::PostgresTarget target;
  *target.mutable_connection() = Server().Where();
  return target;
}

v1::RestoreDatabase PostgresActionsTest::Of(const Kept& kept, const std::string& name) {
  v1::RestoreDatabase database;
  database.set_source(kept.dump.database());
  database.set_name(name);
  *database.mutable_dump() = kept.dump;
  *database.mutable_details() = kept.details;
  return database;
}

StatusOr<v1::ActionResult> PostgresActionsTest::CheckTarget(const v1::PostgresTarget& target,
                                                            const Kept& kept, const std::string& name) {
  v1::Action action;
  v1::PostgresTargetCheck& check = *action.mutable_postgres_target_check();
  *check.mutable_target() = target;
  *check.add_databases() = Of(kept, name);
  *check.mutable_location() = Location();
  *check.mutable_globals() = kept.globals;
  return Act(RunPostgresTargetCheck, action, "drill-1");
}

StatusOr<v1::ActionResult> PostgresActionsTest::RestoreRoles(const v1::PostgresTarget& target,
                                                             const Kept& kept) {
  v1::Action action;
  v1::PostgresRestoreRoles& roles = *action.mutable_postgres_restore_roles();
  *roles.mutable_target() = target;
  *roles.mutable_location() = Location();
  *roles.mutable_globals() = kept.globals;
  return Act(RunPostgresRestoreRoles, action, "drill-1");
}

StatusOr<v1::ActionResult> PostgresActionsTest::Restore(const v1::PostgresTarget& target, const Kept& kept,
                                                        const std::string& name, const std::string& run) {
  v1::Action action;
  v1::PostgresRestore& restore = *action.mutable_postgres_restore();
  *restore.mutable_target() = target;
  *restore.mutable_location() = Location();
  *restore.mutable_database() = Of(kept, name);
  restore.set_run(run);
  return Act(RunPostgresRestore, action, run);
}

StatusOr<v1::ActionResult> PostgresActionsTest::Verify(const v1::PostgresTarget& target, const Kept& kept,
                                                       const std::string& name) {
  v1::Action action;
  v1::PostgresVerify& verify = *action.mutable_postgres_verify();
  *verify.mutable_target() = target;
  *verify.mutable_location() = Location();
  *verify.mutable_database() = Of(kept, name);
  *verify.mutable_globals() = kept.globals;
  return Act(RunPostgresVerify, action, "drill-1");
}

size_t PostgresActionsTest::Snapshots() {
  ResticContext context;
  context.tools = &TestTools();
  const auto found = Restic(Location(), context).Find({{"salvor", ""}});
  EXPECT_TRUE(found.ok()) << MessageOf(found.status());
  return found.ok() ? found->size() : 0;
}

v1::DatabaseDetails PostgresActionsTest::DetailsOf(const Kept& kept) {
  ResticContext context;
  context.tools = &TestTools();
  v1::DatabaseDetails details;
  const auto text = Restic(Location(), context).LoadText(kept.details);
  EXPECT_TRUE(text.ok()) << MessageOf(text.status());
  if (text.ok()) {
    EXPECT_TRUE(FromJson(*text, &details).ok());
  }
  return details;
}

void PostgresActionsTest::ReplaceProgram(const std::string& name, const std::string& script) {
  const std::string directory = Server().Directory() + "/programs";
  ASSERT_TRUE(MakeDirectories(directory).ok());
  const std::string head = fmt::format(
      "#!/bin/sh\nREAL={0}/{1}\nPG_DUMP={0}/pg_dump\npsql='{0}/psql -qAtX'\n", kTestBinDirectory, name);
  ASSERT_TRUE(WriteFileAtomically(directory + "/" + name, head + script, 0755).ok());
  config_.program_folders[kPostgresKind] = directory;
}

std::vector<std::string> KindsNotPassed(const v1::ActionResult& result) {
  std::vector<std::string> kinds;
  for (const v1::Check& check : result.checks()) {
    if (check.verdict() == v1::Check::VERDICT_PASSED) continue;
    if (std::find(kinds.begin(), kinds.end(), check.kind()) == kinds.end()) kinds.push_back(check.kind());
  }
  return kinds;
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
