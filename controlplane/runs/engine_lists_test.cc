// Lists of runs and backups as people see them: page by page, with what only the engine knows.
#include "controlplane/runs/backup_index.h"
#include "controlplane/runs/engine_testing.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> NamesOf(const std::vector<v1::Run>& runs) {
  std::vector<std::string> names;
  for (const v1::Run& run : runs) names.push_back(run.header().name());
  return names;
}

std::vector<std::string> NamesOf(const std::vector<v1::Backup>& backups) {
  std::vector<std::string> names;
  for (const v1::Backup& backup : backups) names.push_back(backup.name());
  return names;
}

TEST_F(EngineTest, APhaseIsThatOfNowAndAppliesBeforeTheSizeOfAPage) {
  Start("running", Chain(2));
  const Agent agent = Connect();
  Take(agent);
  for (int i = 0; i < 4; ++i) {
    Start("r" + std::to_string(i), Chain(1));
    Report(agent, Take(agent).tasks(0).lease(), i == 1 ? "disk full" : "");
  }
  Start("cancelling", Chain(2));
  Take(agent);
  ASSERT_TRUE(CancelRunAndWait(*engine_, "cancelling", "anna", "").ok());
  ASSERT_EQ(PhaseOf("r3"), v1::RUN_PHASE_SUCCEEDED);
  const auto names = [this](const RunFilter& filter, int size) {
    return NamesOf(engine_->ListRuns(filter, {size, ""})->items);
  };
  EXPECT_THAT(names({.phases = {v1::RUN_PHASE_RUNNING}}, 1), ElementsAre("running"));
  EXPECT_THAT(names({.phases = {v1::RUN_PHASE_FAILED}}, 1), ElementsAre("r1"));
  EXPECT_THAT(names({.phases = {v1::RUN_PHASE_FAILED, v1::RUN_PHASE_CANCELLING}}, 9),
              ElementsAre("cancelling", "r1"));
  EXPECT_THAT(names({.phases = {v1::RUN_PHASE_QUARANTINED}}, 9), IsEmpty());
  EXPECT_THAT(names({.phases = {v1::RUN_PHASE_SUCCEEDED}, .active_only = true}, 9), IsEmpty());
  EXPECT_THAT(names({.active_only = true}, 9), ElementsAre("cancelling", "running"));
}

TEST_F(EngineTest, PagesOfRunsFollowEachOther) {
  for (int i = 0; i < 5; ++i) Start("r" + std::to_string(i), Chain(1));
  const auto first = engine_->ListRuns({}, {2, ""});
  EXPECT_THAT(NamesOf(first->items), ElementsAre("r4", "r3"));
  Start("r5", Chain(1));
  const auto second = engine_->ListRuns({}, {3, first->next_token});
  EXPECT_THAT(NamesOf(second->items), ElementsAre("r2", "r1", "r0"));
  EXPECT_EQ(second->next_token, "");
  EXPECT_EQ(engine_->ListRuns({.active_only = true}, {2, first->next_token}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(BackupIndexTest, PagesOfBackupsStayRightWhileBackupsAreMadeAndTheirRecordsChange) {
  BackupIndex index;
  const auto put = [&index](const std::string& name, int second, const std::string& location = "main") {
    v1::Backup backup;
    backup.set_name(name);
    backup.set_application("shop");
    backup.set_environment("local");
    backup.set_location(location);
    *backup.mutable_created_at() = ToProto(absl::FromUnixSeconds(1795256100 + second));
    index.Put(backup);
  };
  put("b1", 1);
  put("b2", 2, "other");
  put("b3a", 3);
  put("b3b", 3);  // of the same moment
  EXPECT_THAT(NamesOf(index.List({})), ElementsAre("b3a", "b3b", "b2", "b1"));
  const auto first = index.List({}, {1, ""});
  ASSERT_THAT(NamesOf(first->items), ElementsAre("b3a"));
  put("b4", 4);
  put("b3a", 3, "other");  // its record changed
  const auto second = index.List({}, {2, first->next_token});
  ASSERT_THAT(NamesOf(second->items), ElementsAre("b3b", "b2"));
  const auto third = index.List({}, {2, second->next_token});
  EXPECT_THAT(NamesOf(third->items), ElementsAre("b1"));
  EXPECT_EQ(third->next_token, "");
  EXPECT_THAT(NamesOf(index.List({.location = "other"}, {5, ""})->items), ElementsAre("b3a", "b2"));
  EXPECT_THAT(NamesOf(index.List({.environment = "far"}, {5, ""})->items), IsEmpty());
  for (const std::string& foreign : {std::string("x"), first->next_token + "A"}) {
    EXPECT_EQ(index.List({}, {1, foreign}).status().code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(index.List({.application = "shop"}, {1, first->next_token}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(BackupIndexTest, CountsAtALocationWhatKeptSomethingOrMayYet) {
  BackupIndex index;
  const auto put = [&](const std::string& name, const std::string& location, v1::Backup::Coverage coverage) {
    v1::Backup backup;
    backup.set_name(name);
    backup.set_location(location);
    backup.set_coverage(coverage);
    index.Put(std::move(backup));
  };
  put("b1", "vault", v1::Backup::COVERAGE_COMPLETE);
  put("b2", "vault", v1::Backup::COVERAGE_PARTIAL);
  put("b3", "vault", v1::Backup::COVERAGE_RUNNING);
  put("b4", "vault", v1::Backup::COVERAGE_FAILED);
  put("b5", "attic", v1::Backup::COVERAGE_COMPLETE);
  EXPECT_EQ(index.CountAt("vault"), 3);
  EXPECT_EQ(index.CountAt("attic"), 1);
  EXPECT_EQ(index.CountAt("nowhere"), 0);
  put("b3", "vault", v1::Backup::COVERAGE_FAILED);
  EXPECT_EQ(index.CountAt("vault"), 2) << "it has failed since";
}

}  // namespace
}  // namespace salvor::controlplane
