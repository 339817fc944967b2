// A store that any earlier version of the schema wrote is read, runs that are over included, and goes on.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/io/sqlite/database.h"
#include "base/io/sqlite/row_checksum.h"
#include "base/text.h"
#include "controlplane/store/contract/store_testing.h"
#include "controlplane/store/sqlite/sqlite_schema.h"
#include "controlplane/store/sqlite/sqlite_store.h"

namespace salvor::controlplane {
namespace {

constexpr int kWithChecksums = 2;  // the number of the migration that brought them

std::string Blob(const std::string& bytes) { return "x'" + ToHex(bytes) + "'"; }

// The rows of one run as the version of that number wrote them: columns that came later are not named.
class OldRows {
 public:
  explicit OldRows(int version) : version_(version) {}

  // A run with two events; `summary` is null while it is active.
  std::string Run(int number, const std::string& name, const v1::Run* summary) const {
    const PutRun put = Begin(name);
    const std::string header = put.header.SerializeAsString(), flow = put.flow->SerializeAsString();
    std::string columns = "number, name, application, header, flow, active, summary";
    std::string values = fmt::format("{}, {}, {}, {}, {}, {}, {}", number, Blob(name), Blob("shop"),
                                     Blob(header), Blob(flow), summary == nullptr ? 1 : 0,
                                     summary == nullptr ? "NULL" : Blob(summary->SerializeAsString()));
    if (version_ >= kWithChecksums) {
      columns += ", checksum, summary_checksum";
      values += fmt::format(
          ", {}, {}", RowChecksum({name, header, flow}),
          summary == nullptr ? "NULL" : std::to_string(RowChecksum({name, summary->SerializeAsString()})));
    }
    return fmt::format("INSERT INTO run({}) VALUES({});", columns, values) + Event(number, name, 0) +
           Event(number, name, 1);
  }

 private:
  std::string Event(int number, const std::string& name, int64_t first) const {
    const std::string events = Granted(name, first).events.SerializeAsString();
    if (version_ < kWithChecksums)
      return fmt::format("INSERT INTO journal VALUES({}, {}, {});", number, first, Blob(events));
    return fmt::format("INSERT INTO journal VALUES({}, {}, {}, {});", number, first, Blob(events),
                       RowChecksum({name, std::to_string(first), events}));
  }

  const int version_;
};

class SqliteMigrationsTest : public testing::TestWithParam<int> {
 protected:
  // The file that a program of that version leaves.
  void MakeOld(const std::string& rows) {
    auto database = SqliteDatabase::Open(directory_.Path() + "/salvor.db", SqliteDatabase::Mode::kDurable);
    ASSERT_TRUE(database.ok()) << database.status();
    std::vector<SqliteMigration> known = StoreMigrations();
    known.erase(known.begin() + GetParam(), known.end());
    ASSERT_EQ(Migrate(**database, known), OkStatus());
    const Status written = (*database)->Execute(rows);
    ASSERT_TRUE(written.ok()) << written;
  }

  StoreDirectory directory_;
};

TEST_P(SqliteMigrationsTest, AFinishedRunAndAnActiveOneAreReadAndTheActiveOneEnds) {
  const v1::Run summary = Finish("r1", v1::RUN_PHASE_SUCCEEDED).summary;
  const OldRows rows(GetParam());
  MakeOld(rows.Run(1, "r1", &summary) + rows.Run(2, "r2", nullptr));
  for (const int time : {1, 2}) {  // the first opening migrates
    auto store = OpenSqliteStore(directory_.Path());
    ASSERT_TRUE(store.ok()) << store.status();
    const auto runs = ReadAllRuns(**store, {});
    ASSERT_TRUE(runs.ok() && runs->size() == 2) << "opening " << time;
    EXPECT_EQ((*runs)[1].header().name(), "r1");
    EXPECT_EQ((*runs)[1].phase(), v1::RUN_PHASE_SUCCEEDED);
    EXPECT_EQ((*store)->LoadRunSummary("r1")->header().application(), "shop");
    EXPECT_EQ((*store)->LoadRun("r1")->events.size(), 2u);
    EXPECT_EQ((*store)->LoadRunView("r1").status().code(), absl::StatusCode::kNotFound) << "it is replayed";
    EXPECT_EQ(*(*store)->ActiveRuns(), std::vector<std::string>{"r2"});
    EXPECT_TRUE((*store)->DamagedRecords().empty());
  }
  auto store = *OpenSqliteStore(directory_.Path());
  FinishRun finish = Finish("r2", v1::RUN_PHASE_FAILED);
  finish.view = std::make_shared<v1::Run>(finish.summary);
  ASSERT_TRUE(CommitAndWait(*store, {Granted("r2", 2), finish, Begin("r3")}).ok());
  store.reset();
  store = *OpenSqliteStore(directory_.Path());
  EXPECT_EQ(store->LoadRun("r2")->events.size(), 3u);
  EXPECT_EQ(store->LoadRunView("r2")->phase(), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(ReadAllRuns(*store, {})->size(), 3u);
  EXPECT_TRUE(store->DamagedRecords().empty());
}

TEST_P(SqliteMigrationsTest, AFinishedRunThatChangedOnTheDiskIsNamedAsSoonAsRowsHaveChecksums) {
  const v1::Run summary = Finish("r1", v1::RUN_PHASE_FAILED).summary;
  const OldRows rows(GetParam());
  v1::Run other = summary;
  other.set_phase(v1::RUN_PHASE_SUCCEEDED);
  MakeOld(rows.Run(1, "r1", &summary) + "UPDATE run SET summary = " + Blob(other.SerializeAsString()) + ";");
  const auto store = *OpenSqliteStore(directory_.Path());
  const v1::RunPhase expected =
      GetParam() < kWithChecksums ? v1::RUN_PHASE_SUCCEEDED : v1::RUN_PHASE_QUARANTINED;
  EXPECT_EQ((*ReadAllRuns(*store, {}))[0].phase(), expected);
}

std::vector<int> EarlierVersions() {
  std::vector<int> versions(StoreMigrations().size() - 1);
  for (size_t i = 0; i < versions.size(); ++i) versions[i] = static_cast<int>(i) + 1;
  return versions;
}

INSTANTIATE_TEST_SUITE_P(FromVersion, SqliteMigrationsTest, testing::ValuesIn(EarlierVersions()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace salvor::controlplane
