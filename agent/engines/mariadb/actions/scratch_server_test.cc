// A drill's server does nothing but hold what was restored.
#include <gmock/gmock.h>
#include <signal.h>

#include "agent/engines/mariadb/actions/actions_testing.h"
#include "agent/engines/mariadb/scratch_engine.h"

namespace salvor::agent {
namespace {

class MariadbScratchTest : public MariadbActionsTest {};

TEST_F(MariadbScratchTest, HasOneAccountAndNoWayToAct) {
  const auto session = SessionWith(Scratch("drill-1"));
  const auto value = [&session](const std::string& sql) { return session->Value(sql).value_or("failed"); };
  EXPECT_EQ(value("SELECT GROUP_CONCAT(User ORDER BY User) FROM mysql.global_priv"),
            "mariadb.sys,salvor_scratch");
  EXPECT_EQ(value("SELECT @@event_scheduler"), "OFF");
  EXPECT_EQ(value("SELECT @@log_bin"), "0");
  EXPECT_EQ(value("SELECT @@skip_networking"), "1");
  EXPECT_EQ(value("SELECT @@local_infile"), "0");
}

TEST_F(MariadbScratchTest, KeepsWhatWasRestoredWhenItIsKilled) {
  const v1::MariadbTarget drill = Scratch("drill-1");
  ASSERT_TRUE(SessionWith(drill)->Execute("CREATE DATABASE kept").ok());
  const ScratchState state = *Server().Drills().EnsureRunning("drill-1");
  ASSERT_EQ(kill(FindServerProcess(state.directory + "/data"), SIGKILL), 0);
  EXPECT_EQ(SessionWith(drill)
                ->Value("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'kept'")
                .value_or("failed"),
            "1");
}

TEST_F(MariadbScratchTest, ReadsNoFileOfTheHostForAServer) {
  const auto session = SessionWith(Scratch("drill-1"));
  ASSERT_TRUE(session->Execute("CREATE DATABASE d").ok());
  ASSERT_TRUE(session->Execute("CREATE TABLE d.t (a TEXT)").ok());
  EXPECT_FALSE(session->Execute("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE d.t").ok());
}

TEST_F(MariadbScratchTest, RefusesANewerServersBackup) {
  const MariadbScratch scratch(tools_, "/usr/bin");
  EXPECT_TRUE(scratch.CheckVersion(100500).ok());
  EXPECT_EQ(scratch.CheckVersion(990000).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace salvor::agent
