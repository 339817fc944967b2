// The whole way: what is dumped is restored to a scratch server, and to one in use, and found equal.
#include <gmock/gmock.h>

#include "agent/engines/mariadb/actions/actions_testing.h"
#include "agent/engines/mariadb/actions/shop_testing.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class MariadbRestoreTest : public MariadbActionsTest {
 protected:
  static std::string Ask(MariadbSession& session, const std::string& sql) {
    const auto value = session.Value(sql);
    return value.ok() ? *value : MessageOf(value.status());
  }
};

TEST_F(MariadbRestoreTest, ADrillFindsEverythingAsItWas) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  const v1::MariadbDetails details = DetailsOf(kept);
  EXPECT_EQ(details.not_exact(), "") << log_;
  EXPECT_EQ(details.events_size(), 2);
  EXPECT_TRUE(details.history());
  EXPECT_FALSE(details.binlog_file().empty());
  for (const v1::MariadbTable& table : details.tables()) {
    if (table.transactional()) {
      EXPECT_EQ(table.counted_rows(), table.rows()) << table.name();
    }
  }
  const v1::MariadbTarget drill = Scratch("drill-1");
  const auto checked = CheckTarget(drill, kept);
  ASSERT_TRUE(checked.ok()) << MessageOf(checked.status());
  const auto restored = Restore(drill, kept);
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status()) << "\n" << log_;
  const auto verified = Verify(drill, kept);
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(Failed(*verified), IsEmpty()) << Render(*verified);
  const auto session = SessionWith(drill);
  EXPECT_EQ(Ask(*session, "SELECT @@event_scheduler"), "OFF");
  EXPECT_EQ(Ask(*session, "SELECT COUNT(*) FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'"), "0");
  EXPECT_EQ(Ask(*session, "SELECT COUNT(*) FROM shop.prices FOR SYSTEM_TIME ALL"), "2");
  EXPECT_EQ(Ask(*session, "SELECT HEX(t) FROM shop.latin"), "636166E9");
  EXPECT_EQ(Ask(*session, "SELECT COUNT(*) FROM shop.a_names"), "5");
  EXPECT_EQ(
      Ask(*session, "SELECT SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'shop'"),
      "the shop's");
}

TEST_F(MariadbRestoreTest, ARestoreToAServerInUseGivesEventsTheirState) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  Server().Reset();
  ASSERT_TRUE(CheckTarget(Here(), kept).ok());
  const auto restored = Restore(Here(), kept);
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status()) << "\n" << log_;
  EXPECT_EQ(Server().Value("SELECT COUNT(*) FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'"), "0")
      << "nothing may fire before the comparison";
  const auto verified = Verify(Here(), kept);
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(Failed(*verified), IsEmpty()) << Render(*verified);
  EXPECT_EQ(
      Server().Value(
          "SELECT CONCAT(EVENT_NAME, ' ', DEFINER) FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'"),
      "wipe app@localhost")
      << "to enable an event must not make it ours";
  EXPECT_EQ(Server().Value("SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_NAME = 'sleeps'"),
            "DISABLED");
}

TEST_F(MariadbRestoreTest, EventsStayDisabledWhereTheCopyDiffers) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  Server().Reset();
  ASSERT_TRUE(Restore(Here(), kept).ok());
  Server().Execute({"DELETE FROM shop.lines"});
  const auto verified = Verify(Here(), kept);
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(Failed(*verified), testing::ElementsAre("rows shop.lines")) << Render(*verified);
  EXPECT_EQ(Server().Value("SELECT COUNT(*) FROM information_schema.EVENTS WHERE STATUS = 'ENABLED'"), "0");
}

TEST_F(MariadbRestoreTest, ADatabaseThatExistsIsNeverTouched) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  Server().Execute({"INSERT INTO shop.old VALUES (7)"});
  const auto checked = CheckTarget(Here(), kept);
  EXPECT_THAT(MessageOf(checked.status()), HasSubstr("database shop exists on the target"));
  const auto restored = Restore(Here(), kept);
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Server().Value("SELECT COUNT(*) FROM shop.old"), "3");
}

TEST_F(MariadbRestoreTest, ARetryReplacesWhatItsOwnRunLeftAndNothingElse) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  Server().Reset();
  Server().Execute(
      {"CREATE DATABASE shop COMMENT 'salvor: being restored by drill-1'", "CREATE TABLE shop.half (a INT)"});
  const auto of_another = Restore(Here(), kept, "drill-2");
  EXPECT_EQ(of_another.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Server().Value("SELECT COUNT(*) FROM shop.half"), "0");
  const auto restored = Restore(Here(), kept, "drill-1", 2);
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  const auto again = Restore(Here(), kept, "drill-1", 3);  // whose acknowledgement was lost
  ASSERT_TRUE(again.ok()) << MessageOf(again.status());
  const auto verified = Verify(Here(), kept);
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(Failed(*verified), IsEmpty()) << Render(*verified);
}

TEST_F(MariadbRestoreTest, AnAccountThatExistsStaysAsItIs) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  Server().Execute({"DROP DATABASE shop", "ALTER USER app@localhost IDENTIFIED BY 'another'"});
  const std::string before = Server().Value("SHOW CREATE USER app@localhost");
  const auto restored = Restore(Here(), kept);
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Server().Value("SHOW CREATE USER app@localhost"), before);
  const auto verified = Verify(Here(), kept);
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(Render(*verified), HasSubstr("VERDICT_UNVERIFIABLE accounts"));
}

// A definer that is gone lets a naive restore end with 0, and fails when it is used.
TEST_F(MariadbRestoreTest, ADefinerThatIsNotThereFailsByName) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  const v1::MariadbTarget drill = Scratch("drill-1");
  ASSERT_TRUE(Restore(drill, kept).ok());
  ASSERT_TRUE(SessionWith(drill)->Execute("DROP USER app@localhost").ok());
  const auto verified = Verify(drill, kept);
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_THAT(Failed(*verified), testing::ElementsAre("accounts app@localhost", "definers app@localhost"))
      << Render(*verified);
}

TEST_F(MariadbRestoreTest, ADumpThatIsDamagedIsNeverLoadedWhole) {
  Server().Execute(MakeShop());
  Kept kept = Backup();
  kept.dump.set_sha256(std::string(32, 'x'));
  const v1::MariadbTarget drill = Scratch("drill-1");
  const auto restored = Restore(drill, kept);
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss) << MessageOf(restored.status());
}

// The client prints the statement that failed, with its rows.
TEST_F(MariadbRestoreTest, ALoadThatFailsTellsNoRows) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  const v1::MariadbTarget drill = Scratch("drill-1");
  ReplaceProgram("mariadb", "{ cat | sed 's/^(1,1)/(2,2)/'; } | \"$REAL\" \"$@\"\n");
  const auto restored = Restore(drill, kept);
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss);
  // A dump is loaded with unique_checks=0: an empty table's key is looked at when its rows are committed.
  EXPECT_THAT(MessageOf(restored.status()), HasSubstr("ERROR 1180 (HY000) at line"));
  EXPECT_THAT(log_ + MessageOf(restored.status()), Not(HasSubstr("(2,2)")));
}

}  // namespace
}  // namespace salvor::agent
