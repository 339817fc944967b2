// A dump that is kept is whole: each test is one in which a pipe by hand would keep something else, and say nothing.
#include <gmock/gmock.h>

#include <thread>

#include "agent/engines/mariadb/actions/actions_testing.h"
#include "agent/engines/mariadb/actions/shop_testing.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kVersionFirst[] = "case \" $* \" in *--version*) exec \"$REAL\" \"$@\" ;; esac\n";

class MariadbDumpTest : public MariadbActionsTest {
 protected:
  // Nothing is kept, and the error has this in it.
  void ExpectNothingKept(const StatusOr<v1::ActionResult>& result, const std::string& text) {
    EXPECT_THAT(MessageOf(result.status()), HasSubstr(text)) << log_;
    EXPECT_EQ(Snapshots(), 0u);
  }
  void ReplaceDump(const std::string& script) { ReplaceProgram("mariadb-dump", kVersionFirst + script); }
};

TEST_F(MariadbDumpTest, UnderWritesTheCountsAreOfTheDumpsOwnInstant) {
  Server().Execute({"CREATE DATABASE shop", "CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
                    "INSERT INTO shop.t (v) SELECT seq FROM shop.seq_1_to_20000"});
  std::stop_source enough;
  std::thread writer([&enough] {
    const auto session = MariadbSession::Open(Server().Where(), {});
    while (!enough.stop_requested()) {
      if (!(*session)->Execute("INSERT INTO shop.t (v) VALUES (1), (2)").ok()) return;
    }
  });
  const Kept kept = Backup();
  enough.request_stop();
  writer.join();
  const v1::MariadbDetails details = DetailsOf(kept);
  ASSERT_EQ(details.tables_size(), 1);
  EXPECT_EQ(details.not_exact(), "");
  EXPECT_EQ(details.tables(0).counted_rows(), details.tables(0).rows());
  const v1::MariadbTarget drill = Scratch("drill-1");
  ASSERT_TRUE(Restore(drill, kept).ok());
  const auto verified = Verify(drill, kept);
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(Failed(*verified), IsEmpty()) << Render(*verified);
}

TEST_F(MariadbDumpTest, ADumperThatFailsAtItsEndLeavesNothing) {
  Server().Execute(MakeShop());
  ReplaceDump("\"$REAL\" \"$@\"; exit 2\n");
  ExpectNothingKept(Dump(Component()), "exit code 2");
}

TEST_F(MariadbDumpTest, ADumpWithoutItsLastLineLeavesNothing) {
  Server().Execute(MakeShop());
  ReplaceDump("\"$REAL\" \"$@\" | head -n -1\n");
  ExpectNothingKept(Dump(Component()), "ends in the middle");
}

TEST_F(MariadbDumpTest, ADumpThatLacksRowsLeavesNothing) {
  Server().Execute(MakeShop());
  ReplaceDump("\"$REAL\" \"$@\" | sed '/^(1,1),$/d'\n");
  ExpectNothingKept(Dump(Component()), "the dump has 1 rows of table shop.lines, and the same snapshot 2");
}

TEST_F(MariadbDumpTest, ADatabaseThatIsMigratedMeanwhileIsDumpedAgain) {
  Server().Execute(MakeShop());
  const std::string once = Server().Directory() + "/once";
  ReplaceDump(
      fmt::format("\"$REAL\" \"$@\" || exit\n[ -e {0} ] || {{ touch {0}; {1} --no-defaults -S {2} -u {3} -e "
                  "'ALTER TABLE shop.latin ADD COLUMN more INT' >&2; }}\n",
                  once, "mariadb", Server().Where().socket(), Server().Where().user()));
  const auto result = Dump(Component());
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_THAT(log_, HasSubstr("changed while they were dumped: tables shop.latin; dumping again"));
}

TEST_F(MariadbDumpTest, ALockThatIsNotHadInTimeIsGivenUpAndWritersGoOn) {
  Server().Execute(MakeShop());
  v1::MariadbComponent component = Component();
  component.set_lock_wait("50ms");
  auto holder = MariadbSession::Open(Server().Where(), {});
  ASSERT_TRUE(holder.ok());
  ASSERT_TRUE((*holder)->Execute("LOCK TABLES shop.lines WRITE").ok());
  const auto given_up = [](MariadbSession& session) {
    return session
        .Number(
            "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = "
            "'MAX_STATEMENT_TIME_EXCEEDED'")
        .value_or(-1);
  };
  const auto looks = MariadbSession::Open(Server().Where(), {});
  ASSERT_TRUE(looks.ok());
  const int64_t before = given_up(**looks);
  std::thread releases([&] {  // once it was given up; the dump itself reads the table
    while (given_up(**looks) == before) std::this_thread::yield();
    EXPECT_TRUE((*holder)->Execute("UNLOCK TABLES").ok());
  });
  const auto result = Dump(component);
  releases.join();
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_THAT(log_, HasSubstr("waiting for the moment of the snapshot"));
}

TEST_F(MariadbDumpTest, ALockThatTheDumpIsTooSlowForIsGivenBack) {
  Server().Execute(MakeShop());
  v1::MariadbComponent component = Component();
  component.set_lock_hold("1ms");
  const auto result = Dump(component);
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_THAT(log_, HasSubstr("dumping again"));
  ASSERT_EQ(result->warnings_size(), 1);
  EXPECT_THAT(result->warnings(0), HasSubstr("the dump had no snapshot 1ms after the lock was taken"));
}

TEST_F(MariadbDumpTest, ATableWithoutTransactionsThatIsWrittenToIsNamed) {
  Server().Execute(MakeShop());
  ReplaceDump(fmt::format(
      "\"$REAL\" \"$@\" || exit\nmariadb --no-defaults -S {} -u {} -e 'INSERT INTO shop.old VALUES "
      "(3); FLUSH TABLES shop.old' >&2\n",
      Server().Where().socket(), Server().Where().user()));
  // The time of the last write is in seconds.
  const std::string before =
      Server().Value("SELECT UPDATE_TIME FROM information_schema.TABLES WHERE TABLE_NAME = 'old'");
  while (Server().Value("SELECT NOW() > '" + before + "'") != "1") {
  }
  const auto result = Dump(Component());
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  ASSERT_EQ(result->warnings_size(), 1);
  EXPECT_THAT(result->warnings(0), HasSubstr("shop.old (MyISAM)"));
}

TEST_F(MariadbDumpTest, APasswordIsOnNoCommandLineAndInNoEnvironment) {
  Server().Execute(MakeShop());
  Server().Execute({"CREATE USER backup@localhost IDENTIFIED BY 'p\\\\a\"ss#word'",
                    "GRANT ALL ON *.* TO backup@localhost"});
  const std::string file = Server().Directory() + "/backup.password", seen = Server().Directory() + "/seen";
  ASSERT_TRUE(WriteFileAtomically(file, "p\\a\"ss#word\n", 0600).ok());
  ReplaceDump(fmt::format("{{ echo \"$@\"; env; }} > {}\nexec \"$REAL\" \"$@\"\n", seen));
  v1::MariadbComponent component = Component();
  component.mutable_connection()->set_user("backup");
  component.mutable_connection()->set_password_file(file);
  const auto result = Dump(component);
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_THAT(*ReadFile(seen), testing::Not(HasSubstr("ss#word")));
  component.mutable_connection()->clear_password_file();
  EXPECT_EQ(Dump(component, "run-2").status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MariadbDumpTest, ACancelledDumpLeavesNothing) {
  Server().Execute(MakeShop());
  ReplaceDump("\"$REAL\" \"$@\" | head -c 3000; touch " + Server().Directory() + "/begun; exec sleep 600\n");
  std::thread stops([this] {
    while (!ReadFile(Server().Directory() + "/begun").ok()) std::this_thread::yield();
    stop_.request_stop();
  });
  const auto result = Dump(Component());
  stops.join();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled) << MessageOf(result.status());
  EXPECT_EQ(Snapshots(), 0u);
}

}  // namespace
}  // namespace salvor::agent
