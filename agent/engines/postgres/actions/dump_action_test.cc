#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "agent/engines/postgres/actions/actions_testing.h"
#include "agent/engines/postgres/actions/dump_expectations.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

class PostgresDumpTest : public PostgresActionsTest {
 protected:
  static void MakeShop(const std::string& name) {
    Server().Execute("postgres", "CREATE DATABASE " + name);
    Server().Execute(name,
                     "CREATE TABLE orders (id serial PRIMARY KEY, what text);"
                     "INSERT INTO orders (what) SELECT 'thing ' || i FROM generate_series(1, 2000) i;"
                     "CREATE TABLE bulk AS SELECT i, repeat(md5(i::text), 10) AS filler"
                     "  FROM generate_series(1, 60000) i");  // some 20 MB: more than all pipes hold
  }

  // The process whose command line has this text; 0 when there is none.
  static int FindProcess(const std::string& program, const std::string& argument) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const auto line = ReadFile(entry.path().string() + "/cmdline");
      if (!line.ok() || line->find(argument) == std::string::npos) continue;
      if (line->compare(0, program.size(), program) == 0) return std::stoi(name);
    }
    return 0;
  }

  static std::string SnapshotOf(const std::string& database) {
    return Server().Value(database, "SELECT s FROM pg_ls_dir('pg_snapshots') s LIMIT 1");
  }
};

TEST_F(PostgresDumpTest, ADumpIsKeptWithItsDetailsRowsAndFullCoverage) {
  MakeShop("shop");
  const auto result = Dump(Component({"shop"}), "shop");
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  ASSERT_EQ(result->artifacts_size(), 2);
  const v1::Artifact& dump = result->artifacts(0);
  EXPECT_EQ(dump.kind(), v1::Artifact::KIND_POSTGRES_DUMP);
  EXPECT_GE(dump.snapshot().size(), 8u);
  EXPECT_EQ(dump.rows(), 62000) << "as programs of 0.1 read it";
  EXPECT_EQ(dump.tables(), 2);
  EXPECT_EQ(dump.contents().word(), "dump");
  ASSERT_EQ(dump.contents().counts_size(), 2);
  EXPECT_EQ(dump.contents().counts(0).noun(), "row") << "what it is weighed by";
  EXPECT_GT(dump.postgres().server_version_num(), 0);
  EXPECT_EQ(dump.postgres().server_version_num(), dump.server_version_num());
  EXPECT_EQ(result->artifacts(1).contents().role(), v1::Artifact::ROLE_DETAILS);
  EXPECT_EQ(result->artifacts(1).server_version_num(), dump.server_version_num());
  EXPECT_EQ(dump.coverage().exact(), 2);
  EXPECT_EQ(dump.coverage().none(), 0);
  EXPECT_EQ(dump.sha256().size(), 32u);
  EXPECT_GT(dump.bytes(), 19000000);
  const v1::DatabaseDetails details = DetailsOf({dump, result->artifacts(1), {}});
  ASSERT_EQ(details.tables_size(), 2);
  for (const v1::TableExpectation& table : details.tables()) EXPECT_EQ(table.counted_rows(), table.rows());
  EXPECT_EQ(Snapshots(), 2u);
}

TEST_F(PostgresDumpTest, ASecondAttemptLeavesOneDump) {
  MakeShop("shop");
  ASSERT_TRUE(Dump(Component({"shop"}), "shop").ok());
  ASSERT_TRUE(Dump(Component({"shop"}), "shop", "run-1", 2).ok());
  EXPECT_EQ(Snapshots(), 2u);
}

TEST_F(PostgresDumpTest, ADumperThatIsKilledLeavesNothing) {
  MakeShop("shop");
  int killed = 0;
  progress_ = [&](const v1::Progress&) {
    if (killed == 0) killed = FindProcess(std::string(kTestBinDirectory) + "/pg_dump", SnapshotOf("shop"));
    if (killed > 0) kill(killed, SIGKILL);
  };
  const auto result = Dump(Component({"shop"}), "shop");
  EXPECT_GT(killed, 0);
  EXPECT_FALSE(result.ok());
  EXPECT_NE(MessageOf(result.status()).find("pg_dump"), std::string::npos) << MessageOf(result.status());
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(PostgresDumpTest, AnAttemptThatIsStoppedLeavesNothing) {
  MakeShop("shop");
  progress_ = [&](const v1::Progress&) { stop_.request_stop(); };
  const auto result = Dump(Component({"shop"}), "shop");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled) << MessageOf(result.status());
  stop_ = std::stop_source();
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(PostgresDumpTest, WithoutTheSessionThatHeldTheSnapshotNothingIsKept) {
  MakeShop("shop");
  bool ended = false;
  progress_ = [&](const v1::Progress&) {
    if (ended) return;
    ended = Server().Value("shop",
                           "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                           " datname = 'shop' AND state = 'idle in transaction'"
                           " AND application_name = 'salvor'") != "0";
  };
  const auto result = Dump(Component({"shop"}), "shop");
  EXPECT_TRUE(ended);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kAborted) << MessageOf(result.status());
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(PostgresDumpTest, ADumpCutByOneByteIsNotKept) {
  MakeShop("shop");
  ReplacePgDump("$PG_DUMP \"$@\" | head -c -1; exit 0\n");
  const auto result = Dump(Component({"shop"}), "shop");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss) << MessageOf(result.status());
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(PostgresDumpTest, ADumpThatLacksATableIsNotKept) {
  MakeShop("shop");
  ReplacePgDump("exec $PG_DUMP \"$@\" --exclude-table-data=orders\n");
  const auto result = Dump(Component({"shop"}), "shop");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(result.status()).find("public.orders"), std::string::npos)
      << MessageOf(result.status());
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(PostgresDumpTest, ADumpOfAnotherMomentThanItsExpectationsIsNotKept) {
  MakeShop("shop");
  // The wrapper lets the snapshot go and waits until a row was added: what a dump without --snapshot would
  // hold.
  ReplacePgDump(
      "for a in \"$@\"; do case $a in --snapshot=*) ;; *) set -- \"$@\" \"$a\";; esac; shift; done\n"
      "psql -qc \"INSERT INTO orders (what) VALUES ('late')\" >&2\nexec $PG_DUMP \"$@\"\n");
  Server().Execute("postgres", "ALTER DATABASE shop SET search_path = public");
  const auto result = Dump(Component({"shop"}), "shop");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(result.status()).find("the dump has 2001 rows, its snapshot 2000"), std::string::npos)
      << MessageOf(result.status());
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(PostgresDumpTest, AVolumeCaptureKeepsTheSameDumpAndLeavesNoFile) {
  MakeShop("shop");
  v1::PostgresComponent component = Component({"shop"});
  component.set_capture(v1::CAPTURE_VOLUME);
  component.set_dump_directory(Server().Directory() + "/dumps");
  ASSERT_TRUE(MakeDirectories(component.dump_directory()).ok());
  const auto result = Dump(component, "shop");
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_EQ(result->artifacts(0).path(), component.dump_directory() + "/run-1/db.shop.dump");
  EXPECT_EQ(result->artifacts(0).coverage().exact(), 2);
  EXPECT_TRUE(std::filesystem::is_empty(component.dump_directory()));
  const Kept kept{result->artifacts(0), result->artifacts(1), {}};
  ASSERT_TRUE(Restore(Here(), kept, "from_volume").ok());
  EXPECT_EQ(Server().Value("from_volume", "SELECT count(*) FROM public.orders"), "2000");
}

TEST_F(PostgresDumpTest, LevelsBelowExactSayWhatTheyDoNotCover) {
  MakeShop("shop");
  v1::PostgresComponent component = Component({"shop"});
  component.mutable_expectations()->set_level(v1::PostgresExpectations::LEVEL_COUNT);
  const auto counted = Dump(component, "shop", "run-1");
  ASSERT_TRUE(counted.ok()) << MessageOf(counted.status());
  EXPECT_EQ(counted->artifacts(0).coverage().count(), 2);
  EXPECT_EQ(counted->artifacts(0).rows(), 62000);
  component.mutable_expectations()->set_level(v1::PostgresExpectations::LEVEL_NONE);
  const auto none = Dump(component, "shop", "run-2");
  ASSERT_TRUE(none.ok()) << MessageOf(none.status());
  EXPECT_EQ(none->artifacts(0).coverage().none(), 2);
  EXPECT_EQ(none->artifacts(0).coverage().not_covered_size(), 2);
}

TEST_F(PostgresDumpTest, ATableThatStaysLockedEndsTheWaitWithAnError) {
  MakeShop("shop");
  auto locker = Server().Connect("shop");
  ASSERT_TRUE(locker->Execute("BEGIN; LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE").ok());
  v1::PostgresComponent component = Component({"shop"});
  component.set_lock_wait_timeout("300ms");
  const Status locked = Dump(component, "shop").status();
  EXPECT_EQ(locked.code(), absl::StatusCode::kAborted) << locked;
  EXPECT_NE(MessageOf(locked).find("table public.orders by process "), std::string::npos) << locked;
  EXPECT_EQ(Snapshots(), 0u);
}

// Taken once the inventory is done, so that it is pg_dump that waits.
TEST_F(PostgresDumpTest, ADumperThatWaitsTooLongForALockIsWorthAnotherTry) {
  MakeShop("shop");
  ReplacePgDump(
      "exec 3>&2 2>/dev/null; psql=$(dirname $PG_DUMP)/psql\n"
      "$psql -qc 'BEGIN; LOCK TABLE public.orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)' 1>&2 &\n"
      "locked() { $psql -Atqc \"SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
      " AND relation = 'public.orders'::regclass\"; }\n"
      "until [ \"$(locked)\" = 1 ]; do :; done\n"
      "$PG_DUMP \"$@\" 2>&3; code=$?\n"
      "$psql -Atqc \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid()"
      " AND query LIKE '%pg_sleep(600)%'\" 1>&2\n"
      "wait; exit $code\n");
  v1::PostgresComponent component = Component({"shop"});
  component.set_lock_wait_timeout("300ms");
  const Status status = Dump(component, "shop").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_NE(HintOf(status).find("lockWaitTimeout"), std::string::npos) << status;
  EXPECT_EQ(Snapshots(), 0u);
}

TEST_F(PostgresDumpTest, ADumperWhoseConnectionIsEndedIsWorthAnotherTry) {
  MakeShop("shop");
  Server().Execute("shop",
                   "CREATE TABLE large AS SELECT g, repeat('x', 1000) FROM generate_series(1, 30000) g");
  bool ended = false;
  progress_ = [&](const v1::Progress&) {
    if (ended) return;
    ended =
        Server().Value("shop",
                       "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'shop'"
                       " AND pid != pg_backend_pid() AND state = 'active'") != "0";
  };
  const Status status = Dump(Component({"shop"}), "shop").status();
  EXPECT_TRUE(ended);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(Snapshots(), 0u);
}

// The script runs when our session has its snapshot and pg_dump has not begun. With a lock of ours on anything, these
// statements would not return.
constexpr char kAtOnce[] = "export PGOPTIONS=\"$PGOPTIONS -c lock_timeout=20s\"\n";

TEST_F(PostgresDumpTest, ATableThatIsTruncatedWhileADumpBeginsIsDumpedAgain) {
  MakeShop("shop");
  const std::string once = Server().Directory() + "/truncated";
  ReplacePgDump(
      std::string(kAtOnce) + "if mkdir " + once +
      " 2>/dev/null; then\n"
      "  $psql -c \"BEGIN; TRUNCATE orders RESTART IDENTITY; INSERT INTO orders (what) VALUES ('new');"
      " COMMIT\" >&2 || exit 3\nfi\nexec $PG_DUMP \"$@\"\n");
  const auto result = Dump(Component({"shop"}), "shop");
  std::filesystem::remove(once);
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_NE(log_.find("content of table public.orders; dumping again"), std::string::npos) << log_;
  EXPECT_EQ(result->artifacts(0).coverage().exact(), 2);
  EXPECT_EQ(result->artifacts(0).rows(), 60001);
  EXPECT_EQ(Snapshots(), 2u);
}

TEST_F(PostgresDumpTest, ATableThatIsTruncatedWhenEachDumpBeginsIsNamedAndNotCovered) {
  MakeShop("shop");
  ReplacePgDump(std::string(kAtOnce) +
                "$psql -c 'TRUNCATE orders RESTART IDENTITY' >&2 || exit 3\nexec $PG_DUMP \"$@\"\n");
  const auto result = Dump(Component({"shop"}), "shop");
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_EQ(result->artifacts(0).coverage().exact(), 1);
  ASSERT_EQ(result->artifacts(0).coverage().not_covered_size(), 1);
  EXPECT_EQ(result->artifacts(0).coverage().not_covered(0), "public.orders");
  ASSERT_EQ(result->warnings_size(), 1);
  EXPECT_NE(result->warnings(0).find("table public.orders was emptied or rewritten"), std::string::npos)
      << result->warnings(0);
}

TEST_F(PostgresDumpTest, ATableThatIsDroppedWhileADumpBeginsIsNoFailure) {
  MakeShop("shop");
  ReplacePgDump(std::string(kAtOnce) +
                "$psql -c 'DROP TABLE IF EXISTS bulk' >&2 || exit 3\nexec $PG_DUMP \"$@\"\n");
  const auto result = Dump(Component({"shop"}), "shop");
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_NE(log_.find("table public.bulk"), std::string::npos) << log_;
  EXPECT_EQ(result->artifacts(0).tables(), 1);
}

// $$ is the script's process id: another one for each dump.
TEST_F(PostgresDumpTest, ADatabaseThatIsMigratedWhenEachDumpBeginsIsWorthAnotherTry) {
  const struct {
    const char* sql;
    const char* named;
  } kMigrations[] = {
      {"ALTER TABLE orders ADD COLUMN c$$ int", "table public.orders"},
      {"ALTER TABLE orders ALTER what SET DEFAULT '$$'", "default value public.orders"},
      {"ALTER TABLE orders RENAME TO o$$; CREATE TABLE orders (id int, what text)", "table public.orders"},
      {"CREATE OR REPLACE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT text ''$$'''", "function f"},
      {"CREATE OR REPLACE VIEW v AS SELECT '$$'::text AS x", "rule _RETURN"},
      {"ALTER TYPE mood ADD VALUE 'm$$'", "type public.mood"},
  };
  for (const auto& migration : kMigrations) {
    MakeShop("shop");
    Server().Execute("shop",
                     "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT text ''x''';"
                     "CREATE VIEW v AS SELECT 'x'::text AS x; CREATE TYPE mood AS ENUM ('fine')");
    ReplacePgDump(std::string(kAtOnce) + "$psql -c \"" + migration.sql +
                  "\" >&2 || exit 3\nexec $PG_DUMP \"$@\"\n");
    const Status status = Dump(Component({"shop"}), "shop").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted) << migration.sql << ": " << status;
    EXPECT_NE(MessageOf(status).find(migration.named), std::string::npos) << status;
    EXPECT_EQ(Snapshots(), 0u);
    Server().Execute("postgres", "DROP DATABASE shop WITH (FORCE)");
  }
}

TEST_F(PostgresDumpTest, WhatAnApplicationDoesEveryDayIsNoMigration) {
  MakeShop("shop");
  Server().Execute("shop",
                   "CREATE TABLE log (at date) PARTITION BY RANGE (at);"
                   "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');"
                   "CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM orders;"
                   "CREATE SEQUENCE cyclic MAXVALUE 3 CYCLE");
  ReplacePgDump(std::string(kAtOnce) +
                "$psql -c \"REFRESH MATERIALIZED VIEW m; CREATE TEMP TABLE t (id serial); "
                "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); "
                "CREATE TABLE staging (id int); SELECT nextval('cyclic') FROM generate_series(1, 4); "
                "REINDEX TABLE orders; ANALYZE orders; UPDATE orders SET what = 'x'; "
                "SELECT setval('orders_id_seq', 7)\" >&2 || exit 3\nexec $PG_DUMP \"$@\"\n");
  const auto result = Dump(Component({"shop"}), "shop");
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_EQ(log_.find("dumping again"), std::string::npos) << log_;
  EXPECT_EQ(result->artifacts(0).coverage().exact(), 3);
  // The value of a sequence in the dump is the one to expect, for no snapshot holds sequences.
  std::map<std::string, int64_t> stand;
  const v1::DatabaseDetails details = DetailsOf({result->artifacts(0), result->artifacts(1), {}});
  for (const v1::SequenceExpectation& sequence : details.sequences()) {
    stand[sequence.name()] = sequence.at_least();
    EXPECT_TRUE(sequence.is_called()) << sequence.name();
  }
  EXPECT_EQ(stand["orders_id_seq"], 7);
  EXPECT_EQ(stand["cyclic"], 1);
}

TEST_F(PostgresDumpTest, ABusyApplicationAndABackupDoNotStopEachOther) {
  MakeShop("shop");
  Server().Execute("shop",
                   "CREATE TABLE cache (id serial PRIMARY KEY, v text);"
                   "CREATE VIEW seen AS SELECT c.id FROM cache c JOIN orders o USING (id);"
                   "CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM orders;"
                   "CREATE TABLE log (at date) PARTITION BY RANGE (at)");
  std::atomic<bool> enough = false;
  std::atomic<int> rounds = 0;
  const auto repeat = [&](const std::string& sql) {
    const auto session = Server().Connect("shop", "postgres", false);
    EXPECT_TRUE(session->Execute("SET lock_timeout TO '60s'").ok());
    while (!enough) {
      EXPECT_EQ(session->Execute(sql), OkStatus()) << sql;
      ++rounds;
    }
  };
  std::thread truncates(
      [&] { repeat("TRUNCATE cache RESTART IDENTITY; INSERT INTO cache (v) VALUES ('x')"); });
  std::thread refreshes([&] { repeat("REFRESH MATERIALIZED VIEW m"); });
  std::thread partitions([&] {
    repeat(
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2026-01-01') TO ('2026-02-01'); "
        "ALTER TABLE log DETACH PARTITION log_1; DROP TABLE log_1");
  });
  while (rounds < 10) std::this_thread::yield();
  const auto result = Dump(Component({"shop"}), "shop");
  const int at_end = rounds;
  while (rounds < at_end + 3) std::this_thread::yield();
  enough = true;
  for (std::thread* thread : {&truncates, &refreshes, &partitions}) thread->join();
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_GE(result->artifacts(0).rows(), 62000);
}

TEST_F(PostgresDumpTest, WhoeverHoldsALockThatADumpWaitsForIsNamed) {
  MakeShop("shop");
  // The lock outlives the script: a session that sleeps does not see that its client is gone.
  ReplacePgDump(
      "exec 3>&2 2>/dev/null\n"
      "PGAPPNAME=migrator $psql -c 'BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600)'"
      " 1>&2 &\n"
      "locked() { $psql -c \"SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
      " AND relation = 'orders'::regclass\"; }\n"
      "until [ \"$(locked)\" = 1 ]; do :; done\n"
      "$PG_DUMP \"$@\" 2>&3\n");
  v1::PostgresComponent component = Component({"shop"});
  component.set_lock_wait_timeout("300ms");
  const Status status = Dump(component, "shop").status();
  Server().Execute(
      "postgres",
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'migrator'");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_NE(MessageOf(status).find("table public.orders by process "), std::string::npos) << status;
  EXPECT_NE(MessageOf(status).find("(migrator of user postgres)"), std::string::npos) << status;
}

TEST_F(PostgresDumpTest, APgDumpallThatWasCutOrKilledFailsTheStep) {
  Server().Execute("postgres", "CREATE ROLE app LOGIN PASSWORD 'hidden'");
  ReplaceProgram("pg_dumpall", "$REAL \"$@\" | head -c 300; exit 0\n");
  EXPECT_EQ(SaveGlobals().status().code(), absl::StatusCode::kAborted);
  ReplaceProgram("pg_dumpall", "kill -9 $$\n");
  EXPECT_EQ(SaveGlobals().status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Snapshots(), 0u);
}

// A standby: a server that was stopped, and runs again in recovery without a primary.
class Standby {
 public:
  Standby(const std::string& directory, const std::string& before) : directory_(directory) {
    EXPECT_TRUE(MakeDirectories(directory_).ok());
    GiveAway(directory_);
    EXPECT_TRUE(TestTools()
                    .Run(Spec("initdb", {"-D", Data(), "-U", "postgres", "-A", "trust", "--no-sync"}), {},
                         SteadyNow() + absl::Minutes(1))
                    .ok());
    Start();
    EXPECT_EQ(Connect()->Execute(before), OkStatus());
    server_.reset();
    EXPECT_TRUE(WriteFileAtomically(Data() + "/standby.signal", "", 0600).ok());
    GiveAway(Data() + "/standby.signal");
    Start();
  }
  ~Standby() {
    server_.reset();
    EXPECT_TRUE(RemoveTree(directory_).ok());
  }
  Standby(const Standby&) = delete;
  Standby& operator=(const Standby&) = delete;

  v1::PostgresConnection Where() const {
    v1::PostgresConnection where;
    where.set_socket_directory(directory_);
    where.set_user("postgres");
    return where;
  }

 private:
  std::string Data() const { return directory_ + "/data"; }

  static void GiveAway(const std::string& path) {
    if (geteuid() != 0) return;
    const passwd* user = getpwnam("postgres");
    ASSERT_NE(user, nullptr);
    EXPECT_EQ(chown(path.c_str(), user->pw_uid, user->pw_gid), 0);
  }

  static ProcessSpec Spec(const std::string& program, const std::vector<std::string>& arguments) {
    ProcessSpec spec;
    spec.argv = {std::string(kTestBinDirectory) + "/" + program};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    spec.user = geteuid() == 0 ? "postgres" : "";
    spec.stop_signal = SIGINT;  // a fast shutdown
    return spec;
  }

  void Start() {
    auto started = TestTools().StartProcess(
        Spec("postgres", {"-D", Data(), "-c", "listen_addresses=", "-c",
                          "unix_socket_directories=" + directory_, "-c", "fsync=off"}));
    ASSERT_TRUE(started.ok()) << MessageOf(started.status());
    server_ = *std::move(started);
    Connect();
  }

  // Waits until it takes connections.
  std::unique_ptr<Connection> Connect() const {
    const SteadyTime until = SteadyNow() + absl::Minutes(1);
    while (true) {
      auto session = Connection::Open(Where(), {});
      if (session.ok()) return *std::move(session);
      if (SteadyNow() > until) {
        ADD_FAILURE() << MessageOf(session.status());
        std::abort();
      }
      std::this_thread::yield();
    }
  }

  std::string directory_;
  std::unique_ptr<Process> server_;
};

TEST_F(PostgresDumpTest, WhatAStandbyHasNotIsNamedAndTheRestIsKept) {
  const Standby standby(Server().Directory() + "/standby",
                        "CREATE UNLOGGED TABLE public.fleeting (id serial);"
                        "INSERT INTO public.fleeting DEFAULT VALUES;"
                        "CREATE TABLE public.lasting AS SELECT 1 AS x");
  v1::PostgresComponent component;
  *component.mutable_connection() = standby.Where();
  component.add_databases("postgres");
  const auto result = Dump(component, "postgres");
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_EQ(result->artifacts(0).coverage().exact(), 1);
  ASSERT_EQ(result->artifacts(0).coverage().not_covered_size(), 1);
  EXPECT_EQ(result->artifacts(0).coverage().not_covered(0), "public.fleeting");
  ASSERT_EQ(result->warnings_size(), 1);
  EXPECT_NE(result->warnings(0).find("not on a standby, and not in the dump: public.fleeting"),
            std::string::npos)
      << result->warnings(0);
}

TEST_F(PostgresDumpTest, GlobalsAreKeptForMachinesAndForPeople) {
  Server().Execute("postgres", "CREATE ROLE app LOGIN PASSWORD 'hidden'");
  const auto result = SaveGlobals();
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  EXPECT_EQ(result->artifacts(0).kind(), v1::Artifact::KIND_POSTGRES_GLOBALS);
  EXPECT_EQ(result->warnings_size(), 0);
  const std::string text = Restic(Location(), {&TestTools(), "", {}, SteadyTime::InfiniteFuture(), nullptr})
                               .LoadText(result->artifacts(0))
                               .value();
  EXPECT_NE(text.find("PostgreSQL database cluster dump complete"), std::string::npos);
  EXPECT_EQ(log_.find("SCRAM"), std::string::npos);
}

TEST(UploadedBytesTest, WhatResticSaysItReadIsCompared) {
  EXPECT_TRUE(CheckUploadedBytes("", 5).ok());
  EXPECT_TRUE(CheckUploadedBytes(R"({"message_type":"summary","total_bytes_processed":5,"x":1})", 5).ok());
  EXPECT_EQ(CheckUploadedBytes(R"({"total_bytes_processed":4})", 5).code(), absl::StatusCode::kDataLoss);
}

class PostgresPreflightTest : public PostgresActionsTest {
 protected:
  StatusOr<v1::ActionResult> Preflight(const v1::PostgresComponent& component) {
    v1::Action action;
    *action.mutable_postgres_preflight()->mutable_component() = component;
    return Act(RunPostgresPreflight, action);
  }
};

TEST_F(PostgresPreflightTest, ASuperuserMayBackUpWhatIsThereAndHearsOfTheRest) {
  Server().Execute("postgres", "CREATE DATABASE shop");
  Server().Execute("postgres", "CREATE DATABASE forgotten");
  Server().Execute("shop", "CREATE MATERIALIZED VIEW bare AS SELECT 1 AS x WITH NO DATA");
  const auto result = Preflight(Component({"shop"}));
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  const std::string warnings = Join({result->warnings().begin(), result->warnings().end()}, "\n");
  EXPECT_NE(warnings.find("database forgotten ("), std::string::npos) << warnings;
  EXPECT_NE(warnings.find("materialized views without data stay without data: public.bare"),
            std::string::npos);
  EXPECT_EQ(result->warnings_size(), 2) << warnings;
}

TEST_F(PostgresPreflightTest, OneDatabaseThatCannotBeKeptIsNamedAndTheOthersAreKept) {
  Server().Execute("postgres", "CREATE DATABASE shop");
  Server().Execute("postgres", "CREATE DATABASE closed");
  Server().Execute("postgres", "ALTER DATABASE closed ALLOW_CONNECTIONS false");
  const auto result = Preflight(Component({"shop", "missing", "closed"}));
  ASSERT_TRUE(result.ok()) << MessageOf(result.status());
  const std::string warnings = Join({result->warnings().begin(), result->warnings().end()}, "\n");
  EXPECT_NE(warnings.find("database missing can hardly be kept: database missing does not exist. Correct"),
            std::string::npos)
      << warnings;
  EXPECT_NE(warnings.find("database closed can hardly be kept"), std::string::npos) << warnings;
  EXPECT_EQ(result->note().substr(0, 11), "1 database ");
  EXPECT_EQ(Preflight(Component({"missing", "closed"})).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(PostgresPreflightTest, AllProblemsComeAtOnceWithWhatToDo) {
  Server().Execute("postgres", "CREATE DATABASE shop");
  Server().Execute("postgres", "CREATE ROLE backup LOGIN; GRANT pg_read_all_data TO backup");
  Server().Execute("shop",
                   "CREATE TABLE tenants (id int); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;"
                   "SELECT lo_create(0)");
  v1::PostgresComponent component = Component({"shop", "missing"}, "backup");
  component.set_capture(v1::CAPTURE_VOLUME);
  component.set_dump_directory("/nonexistent");
  const Status status = Preflight(component).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  for (const char* part : {"database missing does not exist",
                           "row-level security hides rows from user backup in: public.tenants",
                           "may not read 1 large objects", "dump directory /nonexistent is not there"}) {
    EXPECT_NE(MessageOf(status).find(part), std::string::npos) << MessageOf(status);
  }
  EXPECT_NE(HintOf(status).find("ALTER ROLE backup BYPASSRLS."), std::string::npos) << HintOf(status);
  Server().Execute("shop", "ALTER ROLE backup BYPASSRLS; SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
  EXPECT_TRUE(Preflight(Component({"shop"}, "backup")).ok());
  EXPECT_TRUE(Dump(Component({"shop"}, "backup"), "shop").ok());
}

TEST_F(PostgresPreflightTest, AUserWithoutTheRightToReadIsToldWhatItCannotRead) {
  Server().Execute("postgres", "CREATE DATABASE shop");
  Server().Execute("postgres", "CREATE ROLE modest LOGIN");
  Server().Execute("shop", "CREATE TABLE hidden (id serial)");
  const Status status = Preflight(Component({"shop"}, "modest")).status();
  EXPECT_NE(MessageOf(status).find("public.hidden, public.hidden_id_seq"), std::string::npos)
      << MessageOf(status);
  EXPECT_NE(HintOf(status).find("GRANT pg_read_all_data TO modest."), std::string::npos) << HintOf(status);
}

TEST_F(PostgresPreflightTest, AnOldPgDumpIsAProblemAndOneOfAnOlderMinorReleaseAWarning) {
  Server().Execute("postgres", "CREATE DATABASE shop");
  ReplacePgDump("echo 'pg_dump (PostgreSQL) 15.0 (Debian)'\n");
  const auto minor = Preflight(Component({"shop"}));
  ASSERT_TRUE(minor.ok()) << MessageOf(minor.status());
  ASSERT_EQ(minor->warnings_size(), 1);
  EXPECT_NE(minor->warnings(0).find("pg_dump is of PostgreSQL 15.0, the server of 15."), std::string::npos);
  ReplacePgDump("echo 'pg_dump (PostgreSQL) 12.4'\n");
  EXPECT_NE(MessageOf(Preflight(Component({"shop"})).status()).find("pg_dump is of PostgreSQL 12"),
            std::string::npos);
}

}  // namespace
}  // namespace salvor::agent
