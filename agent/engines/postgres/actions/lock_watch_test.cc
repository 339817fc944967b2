// A step that waits for a lock says for whom, while it waits. Each test holds a lock until the step has said so.
#include "agent/engines/postgres/actions/lock_watch.h"

#include "agent/engines/postgres/actions/actions_testing.h"
#include "base/io/mutex.h"
#include "base/steady_time.h"

namespace salvor::agent {
namespace {

class PostgresLockWatchTest : public PostgresActionsTest {
 protected:
  static void MakeShop() {
    Server().Execute("postgres", "CREATE DATABASE shop");
    Server().Execute("postgres", "CREATE ROLE migrator SUPERUSER LOGIN");
    Server().Execute("shop",
                     "CREATE TABLE orders (id int); INSERT INTO orders SELECT generate_series(1, 1000)");
  }

  // A session of somebody else's. It gives up its locks by itself when nobody says that it is waited for, so that a
  // test fails rather than hangs.
  static std::unique_ptr<Connection> Somebody(const std::string& database, const std::string& sql) {
    auto session = Server().Connect(database, "migrator", false);
    EXPECT_EQ(session->Execute(
                  "SET application_name = 'migration 42'; SET idle_in_transaction_session_timeout = '90s'"),
              OkStatus());
    EXPECT_EQ(session->Execute("BEGIN; " + sql), OkStatus());
    return session;
  }

  // Keeps what the step says, and ends the wait once it says for whom.
  void ReleaseOnceNamed(std::function<void()> release) {
    progress_ = [this, release = std::move(release)](const v1::Progress& progress) {
      MutexLock lock(mutex_);
      last_ = progress;
      if (progress.message().find("waits for ") == std::string::npos || !named_.empty()) return;
      named_ = progress.message();
      release();
    };
  }

  std::string Named() {
    MutexLock lock(mutex_);
    return named_;
  }
  std::string LastMessage() {
    MutexLock lock(mutex_);
    return last_.message();
  }

  Mutex mutex_;
  std::string named_ ABSL_GUARDED_BY(mutex_);
  v1::Progress last_ ABSL_GUARDED_BY(mutex_);
};

constexpr char kByMigrator[] = " (migration 42 of user migrator) for ";

TEST_F(PostgresLockWatchTest, TheSessionThatReadsTheCatalogueSaysWhomItWaitsFor) {
  MakeShop();
  const auto somebody = Somebody("shop", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
  const std::string pid = somebody->Value("SELECT pg_backend_pid()").value();
  ReleaseOnceNamed([&] { EXPECT_EQ(somebody->Execute("ROLLBACK"), OkStatus()); });
  const auto dumped = Dump(Component({"shop"}), "shop");
  ASSERT_TRUE(dumped.ok()) << MessageOf(dumped.status());
  EXPECT_EQ(Named().find("waits for table public.orders, held by process " + pid + kByMigrator), 0u)
      << Named();
  EXPECT_NE(log_.find("salvor-agent: waits for table public.orders, held by process " + pid),
            std::string::npos)
      << log_;
  EXPECT_EQ(LastMessage().find("waits for"), std::string::npos) << LastMessage();
}

TEST_F(PostgresLockWatchTest, ADumperSaysWhomItWaitsForAndNobodyWhoOnlyWaitsElsewhere) {
  MakeShop();
  // A lock that nobody of ours waits for.
  Server().Execute("postgres", "CREATE DATABASE other");
  Server().Execute("other", "CREATE TABLE t (id int)");
  const auto elsewhere = Somebody("other", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
  // Ours has its snapshot by then. The lock outlives the script.
  ReplacePgDump(
      "exec 3>&2 2>/dev/null\n"
      "PGAPPNAME='migration 42' PGUSER=migrator $psql -c 'BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;"
      " SELECT pg_sleep(90)' 1>&2 &\n"
      "locked() { $psql -c \"SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
      " AND relation = 'orders'::regclass\"; }\n"
      "until [ \"$(locked)\" = 1 ]; do :; done\n"
      "exec $PG_DUMP \"$@\" 2>&3\n");
  ReleaseOnceNamed([&] {
    Server().Execute(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(90)%'"
        " AND pid <> pg_backend_pid()");
  });
  const auto dumped = Dump(Component({"shop"}), "shop");
  ASSERT_TRUE(dumped.ok()) << MessageOf(dumped.status());
  EXPECT_EQ(Named().find("waits for table public.orders, held by process "), 0u) << Named();
  EXPECT_NE(Named().find(kByMigrator), std::string::npos) << Named();
  EXPECT_EQ(Named().find("public.t"), std::string::npos) << Named();
  EXPECT_EQ(LastMessage().find("waits for"), std::string::npos) << LastMessage();
}

TEST_F(PostgresLockWatchTest, ARestoreThatWaitsToDropWhatItLeftSaysForWhom) {
  MakeShop();
  const Kept kept = Backup("shop");
  Server().Execute("postgres", "CREATE DATABASE copy");
  Server().Execute("postgres", "COMMENT ON DATABASE copy IS 'salvor restore drill-1, not finished'");
  const auto somebody = Somebody("postgres", "COMMENT ON DATABASE copy IS 'mine'");
  ReleaseOnceNamed([&] { EXPECT_EQ(somebody->Execute("ROLLBACK"), OkStatus()); });
  const auto restored = Restore(Here(), kept, "copy");
  ASSERT_TRUE(restored.ok()) << MessageOf(restored.status());
  EXPECT_EQ(Named().find("waits for database copy, held by process "), 0u) << Named();
  EXPECT_NE(Named().find(kByMigrator), std::string::npos) << Named();
  EXPECT_EQ(Server().Value("copy", "SELECT count(*) FROM public.orders"), "1000");
}

TEST_F(PostgresLockWatchTest, AComparisonThatWaitsForATableSaysForWhom) {
  MakeShop();
  const Kept kept = Backup("shop");
  const auto somebody = Somebody("shop", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
  ReleaseOnceNamed([&] { EXPECT_EQ(somebody->Execute("ROLLBACK"), OkStatus()); });
  const auto verified = Verify(Here(), kept, "shop");
  ASSERT_TRUE(verified.ok()) << MessageOf(verified.status());
  EXPECT_TRUE(KindsNotPassed(*verified).empty()) << Render(*verified);
  EXPECT_EQ(Named().find("waits for table public.orders, held by process "), 0u) << Named();
  EXPECT_NE(Named().find(kByMigrator), std::string::npos) << Named();
}

// The watch itself, of a session that says that it is ours: beginning, end, and what the step said before.
TEST_F(PostgresLockWatchTest, AfterAWaitTheStepSaysWhatItSaidBefore) {
  MakeShop();
  const auto somebody = Somebody("shop", "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
  std::vector<std::string> said;
  CondVar changed;
  bool over = false;
  v1::Task task;
  ActionContext context{config_, TestTools(), task,   stop_.get_token(), SteadyTime::InfiniteFuture(),
                        nullptr, nullptr,     nullptr};
  context.progress = [&](const v1::Progress& progress) {  // never called by two at a time
    said.push_back(progress.message());
    if (said.size() == 2) {
      EXPECT_EQ(somebody->Execute("ROLLBACK"), OkStatus());
    }
    MutexLock lock(mutex_);
    over = said.size() > 2 && progress.message() == "1 of 2";
    changed.NotifyAll();
  };
  {
    const LockWatch watch(context, Server().Where(), "shop");
    v1::Progress before;
    before.set_bytes_done(7);
    before.set_message("1 of 2");
    context.progress(before);
    auto ours = Server().Connect("shop");
    EXPECT_EQ(ours->Number("SELECT count(*) FROM public.orders").value(),
              1000);  // once nobody holds it any more
    MutexLock lock(mutex_);
    while (!over) changed.Wait(mutex_);
  }
  ASSERT_GE(said.size(), 3u);
  EXPECT_EQ(said.front(), "1 of 2");
  EXPECT_EQ(said[1].find("waits for table public.orders, held by "), 0u) << said[1];
  EXPECT_EQ(said.back(), "1 of 2");
  context.progress({});  // its own again
  EXPECT_EQ(said.back(), "");
}

}  // namespace
}  // namespace salvor::agent
