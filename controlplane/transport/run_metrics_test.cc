// The life of three applications as a scrape sees it, with a restart in the middle of it.
#include "controlplane/transport/run_metrics.h"

#include <gmock/gmock.h>

#include "base/io/metrics/reference_testing.h"
#include "base/text.h"
#include "controlplane/store/memory/memory_store.h"
#include "strategies/verdicts/deletion.h"
#include "strategies/verdicts/records.h"
#include "strategies/verdicts/verdict.h"

namespace salvor::controlplane {
namespace {

constexpr char kSuccess[] = "salvor_backup_last_success_timestamp_seconds";
constexpr char kProven[] = "salvor_backup_last_proven_timestamp_seconds";
constexpr char kSize[] = "salvor_backup_last_size_bytes";

// The control plane's process: what was recorded outlives it, the metrics do not.
class ControlPlane {
 public:
  explicit ControlPlane(std::map<std::string, v1::Backup>& records) : records_(records) {
    for (const auto& [name, backup] : records_) metrics_.OnBackup(backup);
  }

  void Declare(const std::set<std::string>& applications) { metrics_.SetApplications(applications); }

  // A backup that was finished at `at_s`.
  void Backup(const std::string& application, const std::string& name, int64_t at_s, bool complete,
              int64_t bytes = 100) {
    v1::Run run;
    run.mutable_header()->set_name("backup-" + name);
    run.mutable_header()->set_application(application);
    run.mutable_header()->set_backup(name);
    run.mutable_header()->set_kind(v1::RUN_KIND_BACKUP);
    run.set_phase(v1::RUN_PHASE_SUCCEEDED);
    run.mutable_finished_at()->set_seconds(at_s);
    v1::StepStatus* step = run.add_steps();
    step->set_phase(v1::STEP_PHASE_SUCCEEDED);
    v1::Manifest* manifest = step->mutable_result()->mutable_manifest();
    manifest->add_artifacts()->set_bytes(bytes);
    if (!complete) manifest->add_missing()->set_why("no rights");
    const v1::Backup begun = verdicts::BeginBackup(run.header(), "vault");
    Record(verdicts::RecordsOf(run, {&begun, nullptr}));
  }

  // A drill whose steps all ended well, with a check of each of these verdicts.
  void Drill(const std::string& backup, int64_t at_s, const std::vector<v1::Check::Verdict>& found,
             v1::RunPhase phase = v1::RUN_PHASE_SUCCEEDED) {
    v1::Run run = Checked(found, phase);
    run.mutable_header()->set_name("drill");
    run.mutable_header()->set_kind(v1::RUN_KIND_DRILL);
    run.mutable_header()->set_backup(backup);
    run.mutable_header()->set_application(records_.at(backup).application());
    run.mutable_finished_at()->set_seconds(at_s);
    Record(verdicts::RecordsOf(run, {&records_.at(backup), nullptr}));
  }

  // A run that deletes it has begun, and is not over.
  void BeginToDelete(const std::string& backup) {
    v1::RunHeader header;
    header.set_name("delete");
    records_.at(backup) = verdicts::BeginDeletion(records_.at(backup), header);
    metrics_.OnBackup(records_.at(backup));
  }

  void Restore(const std::string& application, const std::vector<v1::Check::Verdict>& found) {
    v1::Run run = Checked(found, v1::RUN_PHASE_SUCCEEDED);
    run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
    run.mutable_header()->set_application(application);
    Record(verdicts::RecordsOf(run, {}));
  }

  // The value of a series as it is scraped; nothing when there is none.
  std::optional<double> Scrape(const std::string& name, const std::string& labels) {
    const std::string start = name + "{" + labels + "} ";
    for (const std::string& line : Split(registry_.Text(), '\n')) {
      if (line.rfind(start, 0) == 0) return std::stod(line.substr(start.size()));
    }
    return std::nullopt;
  }
  std::optional<double> Of(const std::string& name, const std::string& application) {
    return Scrape(name, "application=\"" + application + "\"");
  }
  std::optional<double> Runs(const std::string& application, const std::string& kind,
                             const std::string& verdict) {
    return Scrape("salvor_runs_total",
                  "application=\"" + application + "\",kind=\"" + kind + "\",verdict=\"" + verdict + "\"");
  }
  MetricRegistry& registry() { return registry_; }
  RunMetrics& metrics() { return metrics_; }

 private:
  static v1::Run Checked(const std::vector<v1::Check::Verdict>& found, v1::RunPhase phase) {
    v1::Run run;
    run.set_phase(phase);
    v1::StepStatus* step = run.add_steps();
    step->set_phase(v1::STEP_PHASE_SUCCEEDED);
    for (const v1::Check::Verdict verdict : found) step->mutable_result()->add_checks()->set_verdict(verdict);
    return run;
  }

  // As the engine tells it.
  void Record(const verdicts::Records& left) {
    if (left.backup.has_value()) {
      records_[left.backup->name()] = *left.backup;
      metrics_.OnBackup(*left.backup);
    }
    metrics_.OnRun(left.run);
  }

  std::map<std::string, v1::Backup>& records_;
  MetricRegistry registry_;
  RunMetrics metrics_{registry_, "1.2.3"};
};

constexpr auto kPassed = v1::Check::VERDICT_PASSED;
constexpr auto kFailed = v1::Check::VERDICT_FAILED;
constexpr auto kUnverifiable = v1::Check::VERDICT_UNVERIFIABLE;

TEST(RunMetrics, TellTheLivesOfThreeApplicationsAcrossARestart) {
  std::map<std::string, v1::Backup> records;
  auto before = std::make_unique<ControlPlane>(records);
  before->Declare({"blog", "shop", "wiki"});
  for (const char* application : {"blog", "shop", "wiki"}) {
    EXPECT_EQ(before->Of(kSuccess, application), 0) << "an alert on age must fire for what never succeeded";
    EXPECT_EQ(before->Of(kProven, application), 0);
  }
  // The shop goes well; the wiki's backups are never whole; the blog is never backed up.
  before->Backup("shop", "shop-1", 1000, true, 10);
  before->Drill("shop-1", 1100, {kPassed});
  before->Backup("shop", "shop-2", 2000, true, 20);
  before->Drill("shop-2", 2100, {kPassed, kPassed});
  before->Backup("wiki", "wiki-1", 2200, false);
  before->Drill("wiki-1", 2300, {kPassed});
  // A drill of an older backup, whatever it finds, says nothing about the newer.
  before->Drill("shop-1", 3000, {kPassed, kUnverifiable});

  const auto expect_all = [](ControlPlane& now, const char* when) {
    EXPECT_EQ(now.Of(kSuccess, "shop"), 2000) << when;
    EXPECT_EQ(now.Of(kProven, "shop"), 2100) << when;
    EXPECT_EQ(now.Of(kSize, "shop"), 20) << when;
    EXPECT_EQ(now.Of(kSuccess, "wiki"), 0) << when;
    EXPECT_EQ(now.Of(kProven, "wiki"), 0) << when;
    EXPECT_EQ(now.Of(kSuccess, "blog"), 0) << when;
  };
  expect_all(*before, "before the restart");
  EXPECT_EQ(before->Runs("shop", "backup", "complete"), 2);
  EXPECT_EQ(before->Runs("wiki", "backup", "partial"), 1);
  EXPECT_EQ(before->Runs("shop", "drill", "proven"), 2);
  EXPECT_EQ(before->Runs("shop", "drill", "unverifiable"), 1);
  EXPECT_EQ(before->Runs("wiki", "drill", "unverifiable"), 1);

  before.reset();
  ControlPlane after(records);
  EXPECT_EQ(after.Of(kSuccess, "shop"), std::nullopt) << "not before it is known what is declared";
  after.Declare({"blog", "shop", "wiki"});
  expect_all(after, "after the restart");

  // The newest backup turns out to be bad: what is left to rely on is the older one, which no drill proves now.
  after.Drill("shop-2", 4000, {kPassed, kFailed});
  EXPECT_EQ(after.Of(kSuccess, "shop"), 1000);
  EXPECT_EQ(after.Of(kSize, "shop"), 10);
  EXPECT_EQ(after.Of(kProven, "shop"), 0);
  EXPECT_EQ(after.Runs("shop", "drill", "disproven"), 1);
  EXPECT_EQ(after.Runs("shop", "drill", "proven"), std::nullopt) << "counted anew since the restart";

  after.Declare({"blog", "wiki"});
  EXPECT_EQ(after.Of(kSuccess, "shop"), std::nullopt) << "series go with their object";
  EXPECT_EQ(after.Of(kSuccess, "blog"), 0);
  after.Declare({"blog", "shop", "wiki"});
  EXPECT_EQ(after.Of(kSuccess, "shop"), 1000) << "declared again, its backups are still there";
}

TEST(RunMetrics, CountARunByWhatItFound) {
  std::map<std::string, v1::Backup> records;
  ControlPlane now(records);
  now.Backup("shop", "shop-1", 1000, true);
  now.Drill("shop-1", 1100, {kPassed}, v1::RUN_PHASE_FAILED);
  EXPECT_EQ(now.Runs("shop", "drill", "failed"), 1) << "it did not finish, so it proves nothing";
  now.Drill("shop-1", 1200, {kPassed}, v1::RUN_PHASE_CANCELLED);
  EXPECT_EQ(now.Runs("shop", "drill", "cancelled"), 1);
  now.Drill("shop-1", 1300, {});
  EXPECT_EQ(now.Runs("shop", "drill", "unverifiable"), 1) << "without a check nothing is proven";
  now.Drill("shop-1", 1400, {kFailed});
  EXPECT_EQ(now.Runs("shop", "drill", "disproven"), 1);
  now.Restore("shop", {kPassed});
  now.Restore("shop", {kPassed, kUnverifiable});
  now.Restore("shop", {kFailed});
  EXPECT_EQ(now.Runs("shop", "restore", "restored"), 1);
  EXPECT_EQ(now.Runs("shop", "restore", "unverifiable"), 1);
  EXPECT_EQ(now.Runs("shop", "restore", "failed"), 1);
}

TEST(RunMetrics, ARestoreThatLeftOutWhatCouldNotBeBuiltIsPartialUnlessMoreIsWrong) {
  std::map<std::string, v1::Backup> records;
  ControlPlane now(records);
  v1::Run run;
  run.mutable_header()->set_kind(v1::RUN_KIND_RESTORE);
  run.mutable_header()->set_application("shop");
  run.set_phase(v1::RUN_PHASE_SUCCEEDED);
  v1::ActionResult& result = *run.add_steps()->mutable_result();
  v1::Check& left_out = *result.add_checks();
  left_out.set_verdict(kFailed);
  left_out.set_not_built(true);
  now.metrics().OnRun(verdicts::Judged(run, nullptr));
  EXPECT_EQ(now.Runs("shop", "restore", "partial"), 1);
  result.add_checks()->set_verdict(kUnverifiable);
  now.metrics().OnRun(verdicts::Judged(run, nullptr));
  EXPECT_EQ(now.Runs("shop", "restore", "partial"), 2);
  result.add_checks()->set_verdict(kFailed);
  now.metrics().OnRun(verdicts::Judged(run, nullptr));
  EXPECT_EQ(now.Runs("shop", "restore", "partial"), 2);
  EXPECT_EQ(now.Runs("shop", "restore", "failed"), 1);
}

TEST(RunMetrics, ReadWhatIsDeclaredAndCountedAtEachScrape) {
  std::map<std::string, v1::Backup> records;
  ControlPlane now(records);
  MemoryStore store;
  const FakeClock clock(absl::FromUnixSeconds(5000));
  EngineOptions options;
  options.random = [] { return 0.5; };
  options.on_fatal = [](const Status&) {};
  const auto engine = Engine::Create(store, clock, options, nullptr);
  ASSERT_TRUE(engine.ok());
  now.registry().OnScrape([&] { now.metrics().Refresh(**engine, store); });
  EXPECT_EQ(now.Of(kSuccess, "shop"), std::nullopt);
  PutObject put;
  put.object.mutable_metadata()->set_name("shop");
  put.object.mutable_application();
  ASSERT_TRUE(CommitAndWait(store, {put}).ok());
  EXPECT_EQ(now.Of(kSuccess, "shop"), 0);
  EXPECT_THAT(now.registry().Text(), ::testing::HasSubstr("# TYPE salvor_store_commits_total counter\n"));
  ASSERT_TRUE(CommitAndWait(store, {EraseObject{"Application", "shop"}}).ok());
  EXPECT_EQ(now.Of(kSuccess, "shop"), std::nullopt);
  now.registry().OnScrape(nullptr);
}

TEST(RunMetrics, AreThoseOfTheReference) {
  MetricRegistry registry;
  const RunMetrics metrics(registry, "1.2.3");
  EXPECT_THAT(ReferenceRowsIn("salvord"), testing::ElementsAreArray(ReferenceRowsOf(registry)));
}

TEST(RunMetrics, WhatIsBeingDeletedIsNobodysLastSuccess) {
  std::map<std::string, v1::Backup> records;
  ControlPlane before(records);
  before.Declare({"shop"});
  before.Backup("shop", "b1", 100, true);
  before.Backup("shop", "b2", 200, true, 300);
  before.Drill("b2", 250, {v1::Check::VERDICT_PASSED});
  EXPECT_EQ(before.Of(kSuccess, "shop"), 200);
  before.BeginToDelete("b2");
  ControlPlane after(records);
  after.Declare({"shop"});
  for (ControlPlane* each : {&before, &after}) {
    EXPECT_EQ(each->Of(kSuccess, "shop"), 100);
    EXPECT_EQ(each->Of(kSize, "shop"), 100);
    EXPECT_EQ(each->Of(kProven, "shop"), 0);
  }
}

}  // namespace
}  // namespace salvor::controlplane
