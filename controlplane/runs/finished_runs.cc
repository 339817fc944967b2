#include "controlplane/runs/finished_runs.h"

#include <utility>

#include "flows/run/reducer.h"
#include "flows/run/view.h"
#include "proto/phase.h"
#include "proto/time.h"
#include "strategies/verdicts/verdict.h"

namespace salvor::controlplane {
namespace {

StatusOr<v1::Run> Replay(StoredRun stored) {
  ASSIGN_OR_RETURN(flows::Graph graph, flows::Graph::Make(std::move(stored.flow)));
  flows::RunState state = flows::NewRun(std::make_shared<const flows::Graph>(std::move(graph)));
  for (const v1::Event& event : stored.events) {
    flows::Effects ignored;
    RETURN_IF_ERROR(flows::Reduce(state, event, ignored));
  }
  return flows::View(stored.header, state, true);
}

bool LacksVerdict(const v1::Run& run) {
  return IsOver(run.phase()) && run.verdict() == v1::VERDICT_UNSPECIFIED;
}

void TakeVerdict(const v1::Run& from, v1::Run& run) {
  run.set_verdict(from.verdict());
  run.set_verdict_reason(from.verdict_reason());
  run.set_verdict_hint(from.verdict_hint());
}

}  // namespace

FinishedRuns::FinishedRuns(Store& store, FindBackup find_backup)
    : store_(store), find_backup_(std::move(find_backup)) {}

// The backup is taken as it stood when the run ended: what a person accepted later does not change what was found.
v1::Run FinishedRuns::JudgedNow(v1::Run run) {
  std::optional<v1::Backup> backup = find_backup_(run.header().backup());
  if (backup.has_value() && FromProto(backup->acceptance().at()) > FromProto(run.finished_at()))
    backup->clear_acceptance();
  return verdicts::Judged(std::move(run), backup.has_value() ? &*backup : nullptr);
}

StatusOr<v1::Run> FinishedRuns::Load(const std::string& name) {
  // A view that is damaged is named in the store's records; its events may still say what it said.
  StatusOr<v1::Run> kept = store_.LoadRunView(name);
  if (kept.ok() || !IsDamage(kept.status())) return kept;
  auto stored = store_.LoadRun(name);
  if (stored.status().code() == absl::StatusCode::kNotFound)
    return WithHint(stored.status(), "List them with: salvor run list");
  if (!stored.ok() && !IsDamage(stored.status())) return stored.status();
  StatusOr<v1::Run> view = stored.ok() ? Replay(*std::move(stored)) : stored.status();
  ASSIGN_OR_RETURN(v1::Run summary, store_.LoadRunSummary(name));
  if (!view.ok()) {
    const std::string lost = "its steps can't be read: " + MessageOf(view.status());
    summary.set_reason(summary.reason().empty() ? lost : summary.reason() + "; " + lost);
    // That it succeeded is no word about what it found.
    if (LacksVerdict(summary) && summary.phase() != v1::RUN_PHASE_SUCCEEDED)
      return JudgedNow(std::move(summary));
    return summary;
  }
  view->set_revision(summary.revision());
  TakeVerdict(summary, *view);
  if (LacksVerdict(*view)) return JudgedNow(*std::move(view));
  return view;
}

void FinishedRuns::FillVerdict(v1::Run& summary) {
  if (!LacksVerdict(summary)) return;
  const std::string& name = summary.header().name();
  {
    MutexLock lock(mutex_);
    if (const auto known = judged_.find(name); known != judged_.end())
      return TakeVerdict(known->second, summary);
  }
  const StatusOr<v1::Run> view = Load(name);
  if (!view.ok()) return;
  TakeVerdict(*view, summary);
  if (LacksVerdict(summary)) return;  // what is not known is not remembered
  MutexLock lock(mutex_);
  judged_[name] = summary;
}

}  // namespace salvor::controlplane
