// Rows as COPY gives them, against the rows of a dump, and in no more memory than a piece of one takes.
#include "agent/engines/postgres/table_copies.h"

#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/engines/postgres/archive_stream.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/server_errors.h"
#include "agent/engines/postgres/test_server.h"
#include "agent/process/process_testing.h"
#include "base/steady_time.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

class TableCopiesTest : public testing::Test {
 public:
  static void SetUpTestSuite() { server_ = new TestServer(); }
  static void TearDownTestSuite() {
    delete server_;
    server_ = nullptr;
  }
  static TestServer& Server() { return *server_; }

  // A client program as the agent would start it.
  static ProcessSpec Tool(const std::string& name, const std::string& database, const Connection& session) {
    ProcessSpec spec;
    spec.argv = {std::string(kTestBinDirectory) + "/" + name};
    spec.environment = ToolEnvironment(Server().Where(), database, &session).value();
    spec.explain = [argv = spec.argv](const ExitStatus& status) { return PostgresToolError(argv, status); };
    return spec;
  }

  static Status Read(const std::string& database, const std::vector<TableCopy>& tables,
                     const OnTable& on_table, const std::stop_token& stop = {}) {
    const auto session = Server().Connect(database);
    RETURN_IF_ERROR(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    const TableReading reading{TestTools(), [&] { return Tool("psql", database, *session); }, *session, stop};
    return ReadTables(reading, tables, on_table);
  }

  // "3 rows" or the error of each table.
  static std::vector<std::string> RowsOf(const std::string& database,
                                         const std::vector<std::string>& queries) {
    std::vector<TableCopy> tables;
    for (const std::string& query : queries) tables.push_back({"COPY (" + query + ") TO STDOUT"});
    std::vector<std::string> found;
    const Status read = Read(database, tables, [&](size_t table, const StatusOr<RowDigest>& digest) {
      EXPECT_EQ(table, found.size());
      found.push_back(digest.ok() ? fmt::format("{} rows", digest->Rows()) : MessageOf(digest.status()));
      return OkStatus();
    });
    EXPECT_EQ(read, OkStatus());
    return found;
  }

  // The summary of a dump of the database, read as it flows by.
  static ArchiveSummary Dumped(const std::string& database) {
    const auto session = Server().Connect(database);
    ProcessSpec spec = Tool("pg_dump", database, *session);
    spec.argv.insert(spec.argv.end(), {"-Fc", "-Z0", "--encoding=" + session->ServerEncoding()});
    ArchiveStream stream;
    spec.on_output = [&stream](std::string_view bytes) { return stream.Feed(bytes); };
    const auto dumped = TestTools().Run(std::move(spec), {}, SteadyTime::InfiniteFuture());
    EXPECT_TRUE(dumped.ok()) << MessageOf(dumped.status());
    EXPECT_EQ(stream.Finish(), OkStatus());
    return stream.Summary();
  }

  // Reads every table of the dump once more by COPY; each has to be the same.
  static void ExpectTheSameByCopy(const std::string& database, const ArchiveSummary& dumped) {
    const auto session = Server().Connect(database);
    std::vector<TableCopy> tables;
    for (const ArchiveTable& table : dumped.tables) {
      tables.push_back(
          {fmt::format("COPY {} {} TO STDOUT (ENCODING '{}')", session->Table(table.schema, table.name),
                       table.columns, session->ServerEncoding())});
    }
    size_t read = 0;
    EXPECT_EQ(Read(database, tables,
                   [&](size_t at, const StatusOr<RowDigest>& digest) {
                     const ArchiveTable& table = dumped.tables[at];
                     EXPECT_EQ(at, read++);
                     EXPECT_TRUE(digest.ok()) << table.name << ": " << MessageOf(digest.status());
                     if (!digest.ok()) return OkStatus();
                     EXPECT_TRUE(table.covered) << table.name;
                     EXPECT_EQ(table.rows, digest->Rows()) << table.name;
                     EXPECT_EQ(ToHex(table.content_hash), ToHex(digest->Sum())) << table.name;
                     return OkStatus();
                   }),
              OkStatus());
    EXPECT_EQ(read, dumped.tables.size());
  }

  static TestServer* server_;
};
TestServer* TableCopiesTest::server_ = nullptr;

// Tables whose text form is easily got wrong, and every shape a table can have.
void FillEveryShape(const std::string& database) {
  TableCopiesTest::Server().Execute(database, R"(
    CREATE TABLE plain (id serial PRIMARY KEY, name text, at timestamptz DEFAULT now(), amount money);
    INSERT INTO plain (name, amount) SELECT CASE WHEN i % 5 = 0 THEN NULL ELSE E'a\tb\nc\\.' || i END, i
      FROM generate_series(1, 5000) i;
    CREATE TABLE empty_rows (only_text text); INSERT INTO empty_rows VALUES (''), (''), (E'\\.');
    CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
    CREATE TABLE dropped (a int, b int, "C (x) FROM stdin;" text); ALTER TABLE dropped DROP COLUMN a;
    INSERT INTO dropped VALUES (1, 'x');
    CREATE TABLE generated (a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
    INSERT INTO generated VALUES (1), (2);
    CREATE TABLE parent (id int); CREATE TABLE child (extra text) INHERITS (parent);
    INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 'x'), (3, 'y');
    CREATE TABLE parts (id int, at date) PARTITION BY RANGE (at);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
    CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
    INSERT INTO parts SELECT i, date '2026-01-01' + i FROM generate_series(0, 300) i;
    CREATE UNLOGGED TABLE fleeting (id int); INSERT INTO fleeting VALUES (1);
    CREATE SCHEMA "Odd ""one"""; CREATE TABLE "Odd ""one""".t (b bytea);
    INSERT INTO "Odd ""one""".t VALUES ('\x00ff0a5c');
    SELECT lo_from_bytea(0, decode(repeat('ab', 3000000), 'hex')), lo_from_bytea(0, '');
  )");
}

TEST_F(TableCopiesTest, RowsAndHashesOfADumpEqualThoseOfCopyOnTheSameData) {
  Server().Execute("postgres", "CREATE DATABASE shapes");
  FillEveryShape("shapes");
  const ArchiveSummary dumped = Dumped("shapes");
  auto session = Server().Connect("shapes");
  EXPECT_EQ(ListDumpedTables(*session).value().size(), dumped.tables.size());
  ExpectTheSameByCopy("shapes", dumped);
  for (const ArchiveTable& table : dumped.tables) {
    EXPECT_EQ(
        table.rows,
        session->Number("SELECT count(*) FROM ONLY " + session->Table(table.schema, table.name)).value());
  }
  LargeObjectDigest objects;
  Rows oids = session->Query("SELECT oid FROM pg_largeobject_metadata").value();
  for (int i = 0; i < oids.Count(); ++i) {
    objects.Begin(static_cast<uint32_t>(oids.Int(i, 0)));
    ASSERT_TRUE(
        session
            ->ReadLargeObject(oids.Text(i, 0),
                              [&](std::string_view piece) { objects.Feed(piece.data(), piece.size()); })
            .ok());
    objects.End();
  }
  EXPECT_EQ(dumped.large_objects, 2);
  EXPECT_EQ(dumped.large_object_bytes, 3000000);
  EXPECT_EQ(ToHex(dumped.large_object_hash), ToHex(objects.Sum()));
}

// Every byte that a text can hold, and texts that a program which interprets something would change.
constexpr char kOddBytes[] = R"sql(
CREATE TABLE odd (id int, t text, b bytea);
DO $$ BEGIN FOR i IN 1..255 LOOP
  INSERT INTO odd VALUES (i, chr(i) || E'\t' || chr(i) || chr(i), decode(lpad(to_hex(i), 2, '0') || '00', 'hex'));
END LOOP; END $$;
INSERT INTO odd SELECT 1000, string_agg(chr(i), '' ORDER BY i), NULL FROM generate_series(1, 255) i;
INSERT INTO odd VALUES (1001, E'\\.', ''), (1002, E'\\.\n\\.\n', NULL), (1003, E'\r\n\r', NULL), (1004, '', NULL),
  (1005, E'\\! echo', NULL), (1006, ':ON_ERROR_STOP :''VERBOSITY''', NULL), (1007, E'\\N', NULL),
  (1008, repeat('wide ', 100000), NULL);
)sql";

TEST_F(TableCopiesTest, OddBytesComeByCopyAsTheyStandInADumpInEveryEncoding) {
  const std::pair<std::string, std::string> kDatabases[] = {
      {"odd_utf8", "UTF8"}, {"odd_latin", "LATIN1"}, {"odd_ascii", "SQL_ASCII"}};
  for (const auto& [database, encoding] : kDatabases) {
    Server().Execute("postgres", fmt::format("CREATE DATABASE {} TEMPLATE template0 ENCODING '{}' LOCALE 'C'",
                                             database, encoding));
    Server().Execute(database, kOddBytes);
    const ArchiveSummary dumped = Dumped(database);
    ASSERT_EQ(dumped.tables.size(), 1u) << encoding;
    EXPECT_EQ(dumped.tables[0].rows, 264) << encoding;
    ExpectTheSameByCopy(database, dumped);
  }
}

TEST_F(TableCopiesTest, AValueOfTensOfMegabytesIsComparedWithoutBeingHeld) {
  constexpr int64_t kMostBytes = 16 << 20;
  Server().Execute("postgres", "CREATE DATABASE wide");
  Server().Execute("wide", R"sql(
      CREATE TABLE wide (id int, b bytea);
      INSERT INTO wide SELECT i, decode(repeat(md5(i::text), 2097152), 'hex') FROM generate_series(1, 2) i;
      INSERT INTO wide VALUES (3, 'narrow'))sql");
  ResetPeakMemory();
  const int64_t before = PeakMemoryBytes();
  ASSERT_GT(before, 0);
  const ArchiveSummary dumped = Dumped("wide");
  ExpectTheSameByCopy("wide", dumped);
  EXPECT_LT(PeakMemoryBytes() - before, kMostBytes);
  EXPECT_EQ(dumped.tables[0].rows, 3);
  Server().Execute("wide", "UPDATE wide SET b = set_byte(b, 33000000, 1) WHERE id = 2");
  const Status other =
      Read("wide", {{"COPY public.wide TO STDOUT"}}, [&dumped](size_t, const StatusOr<RowDigest>& digest) {
        EXPECT_EQ(digest->Rows(), 3);
        EXPECT_NE(ToHex(digest->Sum()), ToHex(dumped.tables[0].content_hash));
        return OkStatus();
      });
  EXPECT_EQ(other, OkStatus());
}

TEST_F(TableCopiesTest, AnErrorOfTheServersIsAboutItsTableAndTheOthersAreReadAllTheSame) {
  const std::vector<std::string> expected = {
      "7 rows",           "relation \"public.not_there\" does not exist",
      "division by zero", "0 rows",
      "division by zero", "1 rows"};
  EXPECT_EQ(RowsOf("postgres", {"SELECT generate_series(1, 7)", "SELECT 1 FROM public.not_there",
                                "SELECT 1 / (i - 5) FROM generate_series(1, 8) i", "SELECT WHERE false",
                                "SELECT 1 / 0", "SELECT"}),
            expected);
}

TEST_F(TableCopiesTest, NothingOfAStatementIsACommandToPsql) {
  const std::string mark = Server().Directory() + "/psql_ran_it";
  const char* const kAround[] = {
      "\\! touch {}", "\n\\! touch {}\n",          "'\n\\! touch {}",   "\" \\! touch {}",
      "`touch {}`",   ") TO STDOUT; \\! touch {}", ":VERBOSITY \\o {}", ") TO STDOUT \\g |touch {}"};
  for (const char* around : kAround) {
    const auto found =
        RowsOf("postgres", {"SELECT 1 " + fmt::format(fmt::runtime(around), mark), "SELECT 2"});
    ASSERT_EQ(found.size(), 2u);
    EXPECT_THAT(found[0], testing::AnyOf(HasSubstr(" at or near "), HasSubstr(" at end of input"))) << around;
    EXPECT_EQ(found[1], "1 rows") << around;
    EXPECT_FALSE(Exists(mark)) << around;
  }
}

TEST_F(TableCopiesTest, ManyTablesAreReadInTheirOrderByMoreThanOnePsql) {
  std::vector<std::string> queries, expected;
  for (int i = 0; i < 2500; ++i) {
    queries.push_back(fmt::format("SELECT generate_series(1, {}) /* {} */", i % 7, std::string(500, 'x')));
    expected.push_back(fmt::format("{} rows", i % 7));
  }
  EXPECT_EQ(RowsOf("postgres", queries), expected);
}

TEST_F(TableCopiesTest, AllIsReadAsTheSnapshotOfTheSessionHasIt) {
  Server().Execute("postgres", "CREATE DATABASE still");
  Server().Execute("still", "CREATE TABLE t AS SELECT generate_series(1, 5)");
  std::vector<int64_t> rows;
  const Status read = Read(
      "still", {{"COPY public.t TO STDOUT"}, {"COPY (SELECT 1 / 0) TO STDOUT"}, {"COPY public.t TO STDOUT"}},
      [&rows](size_t, const StatusOr<RowDigest>& digest) {
        rows.push_back(digest.ok() ? digest->Rows() : -1);
        Server().Execute("still", "DELETE FROM t");
        return OkStatus();
      });
  EXPECT_EQ(read, OkStatus());
  EXPECT_EQ(rows, (std::vector<int64_t>{5, -1, 5}));
}

TEST_F(TableCopiesTest, ASessionThatIsLostSaysNothingAboutATable) {
  const Status lost = Read("postgres", {{"COPY (SELECT pg_terminate_backend(pg_backend_pid())) TO STDOUT"}},
                           [](size_t, const StatusOr<RowDigest>&) {
                             ADD_FAILURE() << "it says nothing about a table";
                             return OkStatus();
                           });
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable) << lost;
}

TEST_F(TableCopiesTest, AStopRequestEndsPsqlAndWhatItsServerDoes) {
  std::stop_source stop;
  const Status stopped = Read(
      "postgres", {{"COPY (SELECT 1) TO STDOUT"}, {"COPY (SELECT 'for psql', pg_sleep(600)) TO STDOUT"}},
      [&stop](size_t, const StatusOr<RowDigest>&) {
        stop.request_stop();
        return OkStatus();
      },
      stop.get_token());
  EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled) << stopped;
  EXPECT_TRUE(Eventually([] {
    return Server().Value("postgres",
                          "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%for psql%'"
                          " AND pid <> pg_backend_pid()") == "0";
  }));
}

TEST_F(TableCopiesTest, AnErrorOfWhoIsToldEndsTheReadingAndIsItsAnswer) {
  const Status told =
      Read("postgres", {{"COPY (SELECT 1) TO STDOUT"}, {"COPY (SELECT pg_sleep(600)) TO STDOUT"}},
           [](size_t, const StatusOr<RowDigest>&) { return WithHint(DataLoss("enough"), "Look."); });
  EXPECT_EQ(MessageOf(told), "enough");
  EXPECT_EQ(HintOf(told), "Look.");
}

TEST_F(TableCopiesTest, AMachineWithoutPsqlIsToldToInstallIt) {
  const auto session = Server().Connect("postgres");
  ASSERT_TRUE(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").ok());
  const auto psql = [&session] {
    ProcessSpec spec = Tool("psql", "postgres", *session);
    spec.argv = {"/nonexistent/psql"};
    return spec;
  };
  const Status read = ReadTables({TestTools(), psql, *session, {}}, {{"COPY (SELECT 1) TO STDOUT"}},
                                 [](size_t, const StatusOr<RowDigest>&) { return OkStatus(); });
  EXPECT_EQ(read.code(), absl::StatusCode::kNotFound) << read;
  EXPECT_THAT(HintOf(read), HasSubstr("Install"));
}

TEST(CopyAnswersTest, AnswersCutAnywhereGoToTheirTables) {
  const std::vector<TableCopy> tables = {{"before"}, {"a"}, {"b"}, {"c", RowDigest::Mode::kCount}, {"after"}};
  const std::string text = "\\.\n1\ta\n2\tb\n\\.\n\\.\n\\\\.\n\n\\.\n";
  const std::vector<std::pair<size_t, int64_t>> expected = {{1, 2}, {2, 0}, {3, 2}};
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    std::vector<std::pair<size_t, int64_t>> found;
    CopyAnswers answers(tables, 1, 4, [&found](size_t table, const StatusOr<RowDigest>& digest) {
      found.emplace_back(table, digest->Rows());
      return OkStatus();
    });
    ASSERT_EQ(answers.Feed(std::string_view(text).substr(0, cut)), OkStatus()) << cut;
    EXPECT_EQ(answers.Begun(), cut >= 3) << cut;
    ASSERT_EQ(answers.Feed(std::string_view(text).substr(cut)), OkStatus()) << cut;
    EXPECT_EQ(found, expected) << cut;
    EXPECT_EQ(answers.Next(), 4u);
    EXPECT_EQ(answers.Feed("more\n").code(), absl::StatusCode::kInternal);
  }
}

TEST(CopyAnswersTest, ATableWhoseEndDidNotComeIsTheNext) {
  const std::vector<TableCopy> tables = {{"a"}, {"b"}};
  int calls = 0;
  CopyAnswers answers(tables, 0, 2, [&calls](size_t, const StatusOr<RowDigest>&) {
    ++calls;
    return OkStatus();
  });
  EXPECT_FALSE(answers.Begun());
  ASSERT_EQ(answers.Feed("\\.\n1\n\\.\n2\n3\n\\"), OkStatus());
  EXPECT_TRUE(answers.Begun());
  EXPECT_EQ(answers.Next(), 1u);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace salvor::agent
