// Each thing that a dump would leave out without a word is said beforehand.
#include <gmock/gmock.h>

#include "agent/engines/mariadb/actions/actions_testing.h"
#include "agent/engines/mariadb/actions/shop_testing.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class MariadbPreflightTest : public MariadbActionsTest {
 protected:
  // As an account with these rights.
  std::string RefusalFor(const std::vector<std::string>& grants) {
    Server().Execute({"CREATE OR REPLACE USER backup@localhost"});
    for (const std::string& grant : grants) Server().Execute({"GRANT " + grant + " TO backup@localhost"});
    v1::MariadbComponent component = Component();
    component.mutable_connection()->set_user("backup");
    return MessageOf(Preflight(component).status());
  }
  static std::string Warnings(const v1::ActionResult& result) {
    return Join({result.warnings().begin(), result.warnings().end()}, "\n");
  }
};

TEST_F(MariadbPreflightTest, NamesWhatAnAccountMayNotSee) {
  Server().Execute(MakeShop());
  EXPECT_THAT(RefusalFor({"SELECT ON shop.*"}),
              AllOf(HasSubstr("lacks SHOW VIEW, TRIGGER, EVENT on database shop"),
                    HasSubstr("may not read mysql.proc")));
  // With these a dump ends with 0 and has no routine.
  EXPECT_THAT(RefusalFor({"SELECT, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT ON shop.*"}),
              HasSubstr("may not read mysql.proc"));
  EXPECT_THAT(RefusalFor({"SELECT ON shop.orders"}), HasSubstr("lacks SELECT"));
  EXPECT_THAT(RefusalFor({}), HasSubstr("database shop does not exist, or the account may not see it"));
  EXPECT_EQ(RefusalFor({"SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS, RELOAD ON *.*"}), "");
}

TEST_F(MariadbPreflightTest, NamesWhatIsNotOfOneInstantAndWhatLosesDigits) {
  Server().Execute(MakeShop());
  Server().Execute({"CREATE DATABASE other", "CREATE TABLE shop.f (x FLOAT)",
                    "CREATE DEFINER=nobody@nowhere FUNCTION shop.lost() RETURNS INT DETERMINISTIC RETURN 1"});
  const auto result = Preflight(Component());
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_THAT(Warnings(*result),
              AllOf(HasSubstr("shop.old (MyISAM)"), HasSubstr("shop.f.x"),
                    HasSubstr("database other is not in the plan"),
                    HasSubstr("accounts that do not exist, and fail when they are used: nobody@nowhere")));
}

TEST_F(MariadbPreflightTest, RefusesWhatMariadbDumpWouldStopAt) {
  Server().Execute(MakeShop());
  Server().Execute({"CREATE TABLE shop.gone (a INT)", "CREATE VIEW shop.broken AS SELECT * FROM shop.gone",
                    "DROP TABLE shop.gone"});
  EXPECT_THAT(MessageOf(Preflight(Component()).status()), HasSubstr("shop.broken"));
}

TEST_F(MariadbPreflightTest, TellsAWrongPasswordAndAServerThatIsNotThere) {
  v1::MariadbComponent component = Component();
  component.mutable_connection()->set_user("nobody");
  EXPECT_EQ(Preflight(component).status().code(), absl::StatusCode::kFailedPrecondition);
  component.mutable_connection()->set_socket("/nowhere/mariadb.sock");
  EXPECT_EQ(Preflight(component).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace salvor::agent
