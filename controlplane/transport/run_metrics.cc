#include "controlplane/transport/run_metrics.h"

#include <algorithm>

#include "base/io/log.h"
#include "proto/kind.h"
#include "proto/time.h"
#include "words/words.h"

namespace salvor::controlplane {
namespace {

constexpr char kLastSuccess[] = "salvor_backup_last_success_timestamp_seconds";
constexpr char kLastProven[] = "salvor_backup_last_proven_timestamp_seconds";
constexpr char kLastSize[] = "salvor_backup_last_size_bytes";

double Seconds(const google::protobuf::Timestamp& time) {
  return absl::ToDoubleSeconds(FromProto(time) - absl::UnixEpoch());
}

}  // namespace

RunMetrics::RunMetrics(MetricRegistry& registry, const std::string& version) : registry_(registry) {
  registry.DeclareGauge("salvor_build_info", "Version of this program, as a label.", {"version"});
  registry.DeclareCounter("salvor_runs_total",
                          "Finished runs, by kind and by what they found: complete, partial, proven, "
                          "disproven, unverifiable, restored, failed, cancelled.",
                          {"application", "kind", "verdict"});
  registry.DeclareHistogram("salvor_run_duration_seconds", "How long runs took, from request to outcome.",
                            {1, 5, 15, 60, 300, 900, 3600, 10800, 43200}, {"application", "kind"});
  registry.DeclareCounter("salvor_steps_total",
                          "Attempts of steps that were reported, by action and outcome.",
                          {"action", "kind", "outcome"});
  registry.DeclareHistogram("salvor_step_duration_seconds", "How long attempts took, from grant to report.",
                            {0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 10800}, {"action", "kind"});
  registry.DeclareCounter("salvor_step_retries_total", "Attempts that failed and will be tried again.",
                          {"kind"});
  registry.DeclareGauge(kLastSuccess,
                        "When the newest backup that is complete and not disproven was finished; 0: never.",
                        {"application"});
  registry.DeclareGauge(kLastProven, "When a drill last proved a backup that is still proven; 0: never.",
                        {"application"});
  registry.DeclareGauge(kLastSize,
                        "Bytes that the newest complete backup kept, before deduplication; 0: none.",
                        {"application"});
  registry.DeclareGauge("salvor_active_runs", "Runs that are not finished.");
  registry.DeclareGauge("salvor_open_obligations",
                        "Things that a step left behind and that are not undone yet.");
  registry.DeclareGauge("salvor_queue_oldest_step_age_seconds",
                        "How long the oldest ready step has waited for an agent.");
  registry.DeclareGauge("salvor_agent_connected", "Whether the agent is connected: 1 or 0.",
                        {"agent", "environment"});
  registry.DeclareGauge("salvor_agent_last_seen_timestamp_seconds", "When the agent was last heard from.",
                        {"agent", "environment"});
  registry.DeclareCounter("salvor_store_commits_total", "Transactions of the store since the start.");
  registry.DeclareGauge("salvor_store_damaged_records", "Records that could not be read since the start.");
  registry.Set("salvor_build_info", {{"version", version}}, 1);
}

void RunMetrics::OnStep(const v1::RunHeader& run, const v1::Step& step, v1::StepPhase phase,
                        absl::Duration took) {
  const MetricLabels labels = {{"action", KindOf(step.action())}, {"kind", words::Word(run.kind())}};
  registry_.Observe("salvor_step_duration_seconds", labels, absl::ToDoubleSeconds(took));
  MetricLabels outcome = labels;
  outcome["outcome"] = phase == v1::STEP_PHASE_SUCCEEDED ? "succeeded" : "failed";
  registry_.Add("salvor_steps_total", outcome);
}

void RunMetrics::OnRetry(const v1::RunHeader& run) {
  registry_.Add("salvor_step_retries_total", {{"kind", words::Word(run.kind())}});
}

void RunMetrics::OnRun(const v1::Run& finished) {
  const v1::RunHeader& run = finished.header();
  registry_.Add("salvor_runs_total", {{"application", run.application()},
                                      {"kind", words::Word(run.kind())},
                                      {"verdict", words::Word(finished.verdict())}});
  registry_.Observe("salvor_run_duration_seconds",
                    {{"application", run.application()}, {"kind", words::Word(run.kind())}},
                    absl::ToDoubleSeconds(FromProto(finished.finished_at()) - FromProto(run.requested_at())));
}

void RunMetrics::OnBackup(const v1::Backup& backup) {
  Standing standing;  // of one that is deleted, or going to be: nothing
  if (backup.has_deletion()) return Put(backup, standing);
  const bool disproven = backup.verification() == v1::Backup::VERIFICATION_DISPROVEN;
  if (backup.coverage() == v1::Backup::COVERAGE_COMPLETE && backup.has_finished_at() && !disproven)
    standing.succeeded_at_s = Seconds(backup.finished_at());
  if (backup.verification() == v1::Backup::VERIFICATION_PROVEN)
    standing.proven_at_s = Seconds(backup.verified_at());
  for (const v1::Artifact& artifact : backup.manifest().artifacts())
    standing.bytes += static_cast<double>(artifact.bytes());
  Put(backup, standing);
}

void RunMetrics::Put(const v1::Backup& backup, const Standing& standing) {
  MutexLock lock(mutex_);
  backups_[backup.application()][backup.name()] = standing;
  if (declared_.count(backup.application()) > 0) Publish(backup.application());
}

void RunMetrics::Publish(const std::string& application) {
  Standing newest;
  double proven_at_s = 0;
  for (const auto& [name, standing] : backups_[application]) {
    if (standing.succeeded_at_s > newest.succeeded_at_s) newest = standing;
    proven_at_s = std::max(proven_at_s, standing.proven_at_s);
  }
  const MetricLabels labels = {{"application", application}};
  registry_.Set(kLastSuccess, labels, newest.succeeded_at_s);
  registry_.Set(kLastSize, labels, newest.bytes);
  registry_.Set(kLastProven, labels, proven_at_s);
}

void RunMetrics::SetApplications(const std::set<std::string>& declared) {
  MutexLock lock(mutex_);
  for (const std::string& gone : declared_) {
    if (declared.count(gone) > 0) continue;
    for (const char* gauge : {kLastSuccess, kLastSize, kLastProven})
      registry_.Remove(gauge, {{"application", gone}});
  }
  for (const std::string& application : declared) {
    if (declared_.insert(application).second) Publish(application);
  }
  declared_ = declared;
}

void RunMetrics::Refresh(Engine& engine, Store& store) {
  registry_.Set("salvor_active_runs", {}, engine.ActiveRunCount());
  registry_.Set("salvor_open_obligations", {}, engine.OpenObligationCount());
  registry_.Set("salvor_queue_oldest_step_age_seconds", {}, absl::ToDoubleSeconds(engine.OldestReadyAge()));
  registry_.RaiseTo("salvor_store_commits_total", {}, static_cast<double>(store.Statistics().commits));
  registry_.Set("salvor_store_damaged_records", {}, static_cast<double>(store.DamagedRecords().size()));
  if (const StatusOr<std::vector<v1::Object>> objects = store.ListObjects(); objects.ok()) {
    std::set<std::string> applications;
    for (const v1::Object& object : *objects) {
      if (object.has_application()) applications.insert(object.metadata().name());
    }
    SetApplications(applications);
  } else {
    LogWarning("metrics: list the declared applications: {}", MessageOf(objects.status()));
  }
  for (const v1::AgentStatus& agent : engine.ListAgents()) {
    const MetricLabels labels = {{"agent", agent.name()}, {"environment", agent.environment()}};
    registry_.Set("salvor_agent_connected", labels, agent.connected() ? 1 : 0);
    registry_.Set("salvor_agent_last_seen_timestamp_seconds", labels, Seconds(agent.last_seen_at()));
  }
}

}  // namespace salvor::controlplane
