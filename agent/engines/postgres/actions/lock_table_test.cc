// A restore of more objects than its server can lock at once.
#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/engines/postgres/scratch_engine.h"
#include "agent/scratch/scratch_places.h"

namespace salvor::agent {
namespace {

// A server with the smallest table of locks that there can be: as many as fit are few.
class FewLocks final : public ScratchEngine {
 public:
  std::string Kind() const override { return postgres_.Kind(); }
  std::string ProgramFolder() const override { return postgres_.ProgramFolder(); }
  int64_t EmptyServerBytes() const override { return postgres_.EmptyServerBytes(); }
  Status CheckVersion(int32_t version) const override { return postgres_.CheckVersion(version); }
  ProcessSpec Initializer(const ScratchState& state) const override { return postgres_.Initializer(state); }
  ProcessSpec Server(const ScratchState& state) const override {
    ProcessSpec server = postgres_.Server(state);
    server.argv.insert(server.argv.end(), {"-c", "max_locks_per_transaction=10"});  // the last one counts
    return server;
  }
  bool IsFatal(std::string_view line) const override { return postgres_.IsFatal(line); }
  Status OpenDoor(const ScratchState& state) const override { return postgres_.OpenDoor(state); }
  ScratchAnswer Ask(const ScratchState& state) const override { return postgres_.Ask(state); }
  std::vector<std::string> LeftByDeadServer() const override { return postgres_.LeftByDeadServer(); }

 private:
  PostgresScratch postgres_{TestTools(), kTestBinDirectory};
};

using LockTableTest = PostgresActionsTest;

TEST_F(LockTableTest, MoreObjectsThanTheServerHasLocksForAreRestored) {
  constexpr int kObjects = 20'000;  // with what else its shared memory has, it holds a few thousand locks
  ScratchPlaces places(
      {Server().Directory() + "/few", TestTools(), TestSupervisor(), {std::make_shared<FewLocks>()}, ""});
  ScratchRequest request;
  request.name = "few";
  request.engine = "postgres";
  const auto few = places.Start(request);
  ASSERT_TRUE(few.ok()) << few.status();
  auto session = Connection::Open(ConnectionTo(*few), {});
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE((*session)->Execute("CREATE ROLE postgres SUPERUSER LOGIN").ok());
  const std::string make = fmt::format("SELECT lo_create(0) FROM generate_series(1, {})", kObjects);
  ASSERT_TRUE((*session)->Execute(make).ok());
  const Status at_once = (*session)->Execute(
      "DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP"
      " EXECUTE format('ALTER LARGE OBJECT %s OWNER TO postgres', o); END LOOP; END $$");
  EXPECT_NE(MessageOf(at_once).find("out of shared memory"), std::string::npos)
      << "else this test shows nothing: " << MessageOf(at_once);

  Server().Execute("postgres", "CREATE DATABASE many");
  Server().Execute("many", make);
  const Kept kept = Backup("many");
  v1::PostgresTarget there;
  there.mutable_connection()->set_socket_directory(few->socket_directory);
  there.mutable_connection()->set_user("postgres");
  const auto restored = Restore(there, kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  SessionOptions in_copy;
  in_copy.database = "copy";
  auto copy = Connection::Open(there.connection(), in_copy);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ((*copy)->Number("SELECT count(*) FROM pg_largeobject_metadata").value(), kObjects);
  copy->reset();
  EXPECT_TRUE(places.Remove("few").ok());
}

}  // namespace
}  // namespace salvor::agent
