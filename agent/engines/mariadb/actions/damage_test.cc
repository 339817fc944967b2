// Damage in a restored copy, each named by the comparison; and in what was kept.
#include <gmock/gmock.h>

#include "agent/engines/mariadb/actions/actions_testing.h"
#include "agent/engines/mariadb/actions/shop_testing.h"

namespace salvor::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;

class MariadbDamageTest : public MariadbActionsTest {};

struct Damage {
  const char* what;
  std::vector<std::string> statements;
  const char* found;  // a check that fails, as Failed has it
};

// One copy: each damage is done and found in turn, and what was found before stays.
TEST_F(MariadbDamageTest, InTheCopyIsFoundByName) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  const v1::MariadbTarget drill = Scratch("drill-1");
  ASSERT_TRUE(Restore(drill, kept).ok()) << log_;
  const std::vector<Damage> damages = {
      {"an event is gone", {"DROP EVENT shop.sleeps"}, "events shop.sleeps"},
      {"an event does something else", {"ALTER EVENT shop.wipe DO SELECT 2"}, "events shop.wipe"},
      {"a row is gone", {"DELETE FROM shop.lines WHERE id = 2"}, "rows shop.lines"},
      {"a value is another", {"UPDATE shop.latin SET t = 'cafe'"}, "content shop.latin"},
      {"a row takes the place of its double",
       {"UPDATE shop.orders SET name = 'other' WHERE id = 5"},
       "content shop.orders"},
      {"a row of a table without transactions", {"DELETE FROM shop.old LIMIT 1"}, "rows shop.old"},
      {"history is gone", {"DELETE HISTORY FROM shop.prices"}, "rows shop.prices"},
      {"a trigger is gone", {"DROP TRIGGER shop.stamp"}, "triggers shop.stamp"},
      {"a routine is gone", {"DROP FUNCTION shop.two"}, "routines shop.FUNCTION two"},
      {"a routine has another definer",
       {"DROP PROCEDURE shop.add_line", "CREATE PROCEDURE shop.add_line() MODIFIES SQL DATA BEGIN END"},
       "routines shop.PROCEDURE add_line"},
      {"a view is a table",
       {"DROP VIEW shop.a_names", "CREATE TABLE shop.a_names (id INT, name INT)"},
       "views shop.a_names"},
      {"an index is gone", {"ALTER TABLE shop.orders DROP KEY by_name"}, "tables shop.orders"},
      {"a table is gone", {"DROP TABLE shop.nothing"}, "tables shop.nothing"},
      {"a table is of another engine", {"ALTER TABLE shop.latin ENGINE=Aria"}, "tables shop.latin"},
      {"numbers would be given out twice",
       {"ALTER SEQUENCE shop.numbers RESTART 1"},
       "sequences shop.numbers"},
      {"a grant is gone", {"REVOKE INSERT ON shop.* FROM clerk"}, "accounts clerk"},
      {"a password is another", {"ALTER USER app@localhost IDENTIFIED BY 'x'"}, "accounts app@localhost"},
      {"the database sorts otherwise", {"ALTER DATABASE shop COLLATE utf8mb4_bin"}, "databases shop"},
      {"an account is gone", {"DROP USER app@localhost"}, "definers app@localhost"},
  };
  for (const Damage& damage : damages) {
    const auto session = SessionWith(drill);
    for (const std::string& statement : damage.statements) {
      const Status done = session->Execute(statement);
      ASSERT_TRUE(done.ok()) << damage.what << ": " << MessageOf(done);
    }
    const auto verified = Verify(drill, kept);
    ASSERT_TRUE(verified.ok()) << damage.what << ": " << MessageOf(verified.status());
    EXPECT_THAT(Failed(*verified), Contains(damage.found)) << damage.what << "\n" << Render(*verified);
  }
}

TEST_F(MariadbDamageTest, InWhatWasKeptIsFoundBeforeOrWhileItIsRestored) {
  Server().Execute(MakeShop());
  const Kept kept = Backup();
  const v1::MariadbTarget drill = Scratch("drill-1");
  const auto code_of = [&](const std::function<void(Kept*)>& damage) {
    Kept damaged = kept;
    damage(&damaged);
    return Restore(drill, damaged).status().code();
  };
  EXPECT_EQ(code_of([](Kept* one) { one->dump.set_sha256(std::string(32, 'x')); }),
            absl::StatusCode::kDataLoss)
      << "another byte in the dump";
  EXPECT_EQ(code_of([](Kept* one) { one->dump.set_bytes(one->dump.bytes() + 1); }),
            absl::StatusCode::kDataLoss)
      << "a dump that was cut";
  EXPECT_EQ(code_of([](Kept* one) { one->dump.set_snapshot(std::string(64, 'a')); }),
            absl::StatusCode::kDataLoss)
      << "a dump that is gone";
  EXPECT_EQ(code_of([](Kept* one) { one->details.set_sha256(std::string(32, 'x')); }),
            absl::StatusCode::kDataLoss)
      << "another byte in the details";
  EXPECT_EQ(code_of([](Kept* one) { one->details = one->dump; }), absl::StatusCode::kDataLoss)
      << "the details are something else";
  EXPECT_TRUE(Restore(drill, kept).ok()) << "and what is sound is restored after all of them";
}

}  // namespace
}  // namespace salvor::agent
