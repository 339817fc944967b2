#include "controlplane/services/run_metrics.h"

#include "flows/run/view.h"
#include "proto/time.h"

namespace salvor::controlplane {
namespace {

const char* KindWord(v1::RunKind kind) {
  switch (kind) {
    case v1::RUN_KIND_BACKUP:
      return "backup";
    case v1::RUN_KIND_RESTORE:
      return "restore";
    case v1::RUN_KIND_DRILL:
      return "drill";
    default:
      return "other";
  }
}

const char* OutcomeWord(v1::RunPhase phase) {
  return phase == v1::RUN_PHASE_SUCCEEDED   ? "succeeded"
         : phase == v1::RUN_PHASE_CANCELLED ? "cancelled"
                                            : "failed";
}

double Seconds(const google::protobuf::Timestamp& time) {
  return absl::ToDoubleSeconds(FromProto(time) - absl::UnixEpoch());
}

}  // namespace

RunMetrics::RunMetrics(MetricRegistry& registry, const std::string& version) : registry_(registry) {
  registry.DeclareGauge("salvor_build_info", "Version of this program, as a label.");
  registry.DeclareCounter("salvor_runs_total", "Runs that are over, by kind and outcome.");
  registry.DeclareHistogram("salvor_run_duration_seconds", "How long runs took, from request to outcome.",
                            {1, 5, 15, 60, 300, 900, 3600, 10800, 43200});
  registry.DeclareCounter("salvor_steps_total",
                          "Attempts of steps that were reported, by action and outcome.");
  registry.DeclareHistogram("salvor_step_duration_seconds", "How long attempts took, from grant to report.",
                            {0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 10800});
  registry.DeclareCounter("salvor_step_retries_total", "Attempts that failed and will be tried again.");
  registry.DeclareGauge("salvor_backup_last_success_timestamp_seconds",
                        "When the newest complete backup was finished.");
  registry.DeclareGauge("salvor_backup_last_proven_timestamp_seconds", "When a drill last proved a backup.");
  registry.DeclareGauge("salvor_backup_last_size_bytes",
                        "Bytes that the newest complete backup kept, before deduplication.");
  registry.DeclareGauge("salvor_active_runs", "Runs that are not over.");
  registry.DeclareGauge("salvor_open_obligations",
                        "Things that a step left behind and that are not undone yet.");
  registry.DeclareGauge("salvor_queue_oldest_step_age_seconds",
                        "How long the oldest ready step has waited for an agent.");
  registry.DeclareGauge("salvor_agent_connected", "Whether the agent is connected: 1 or 0.");
  registry.DeclareGauge("salvor_agent_last_seen_timestamp_seconds", "When the agent was last heard from.");
  registry.DeclareGauge("salvor_store_commits", "Transactions of the store since the start.");
  registry.Set("salvor_build_info", {{"version", version}}, 1);
}

void RunMetrics::OnStep(const v1::RunHeader& run, const v1::Step& step, v1::StepPhase phase,
                        absl::Duration took) {
  const MetricLabels labels = {{"action", flows::ActionKind(step.action())}, {"kind", KindWord(run.kind())}};
  registry_.Observe("salvor_step_duration_seconds", labels, absl::ToDoubleSeconds(took));
  MetricLabels outcome = labels;
  outcome["outcome"] = phase == v1::STEP_PHASE_SUCCEEDED ? "succeeded" : "failed";
  registry_.Add("salvor_steps_total", outcome);
}

void RunMetrics::OnRetry(const v1::RunHeader& run) {
  registry_.Add("salvor_step_retries_total", {{"kind", KindWord(run.kind())}});
}

void RunMetrics::OnRun(const v1::Run& finished) {
  const v1::RunHeader& run = finished.header();
  registry_.Add("salvor_runs_total", {{"application", run.application()},
                                      {"kind", KindWord(run.kind())},
                                      {"outcome", OutcomeWord(finished.phase())}});
  registry_.Observe("salvor_run_duration_seconds",
                    {{"application", run.application()}, {"kind", KindWord(run.kind())}},
                    absl::ToDoubleSeconds(FromProto(finished.finished_at()) - FromProto(run.requested_at())));
}

void RunMetrics::OnBackup(const v1::Backup& backup) {
  const MetricLabels labels = {{"application", backup.application()}};
  if (backup.coverage() == v1::Backup::COVERAGE_COMPLETE && backup.has_finished_at()) {
    registry_.Set("salvor_backup_last_success_timestamp_seconds", labels, Seconds(backup.finished_at()));
    double bytes = 0;
    for (const v1::Artifact& artifact : backup.manifest().artifacts())
      bytes += static_cast<double>(artifact.bytes());
    registry_.Set("salvor_backup_last_size_bytes", labels, bytes);
  }
  if (backup.verification() == v1::Backup::VERIFICATION_PROVEN) {
    registry_.Set("salvor_backup_last_proven_timestamp_seconds", labels, Seconds(backup.verified_at()));
  }
}

void RunMetrics::Refresh(Engine& engine, Store& store) {
  registry_.Set("salvor_active_runs", {}, engine.ActiveRunCount());
  registry_.Set("salvor_open_obligations", {}, engine.OpenObligationCount());
  registry_.Set("salvor_queue_oldest_step_age_seconds", {}, absl::ToDoubleSeconds(engine.OldestReadyAge()));
  registry_.Set("salvor_store_commits", {}, static_cast<double>(store.Statistics().commits));
  for (const v1::AgentStatus& agent : engine.ListAgents()) {
    const MetricLabels labels = {{"agent", agent.name()}, {"environment", agent.environment()}};
    registry_.Set("salvor_agent_connected", labels, agent.connected() ? 1 : 0);
    registry_.Set("salvor_agent_last_seen_timestamp_seconds", labels, Seconds(agent.last_seen_at()));
  }
}

}  // namespace salvor::controlplane
