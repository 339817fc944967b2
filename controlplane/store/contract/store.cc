#include "controlplane/store/contract/store.h"

#include "base/io/mutex.h"
#include "proto/phase.h"

namespace salvor::controlplane {

bool RunFilter::MatchesVerdict(const v1::Run& run) const {
  return verdicts.empty() || std::find(verdicts.begin(), verdicts.end(), run.verdict()) != verdicts.end();
}

bool RunFilter::Matches(const v1::Run& run) const {
  const v1::RunHeader& header = run.header();
  if (!application.empty() && header.application() != application) return false;
  if (active_only && IsOver(run.phase())) return false;
  if (run.verdict() != v1::VERDICT_UNSPECIFIED && !MatchesVerdict(run)) return false;
  if (!phases.empty() && run.phase() != v1::RUN_PHASE_UNSPECIFIED &&
      std::find(phases.begin(), phases.end(), run.phase()) == phases.end())
    return false;
  const bool is_unreadable = run.phase() == v1::RUN_PHASE_QUARANTINED && header.environment().empty();
  if (is_unreadable) return true;
  if (!environment.empty() && header.environment() != environment) return false;
  return kind == v1::RUN_KIND_UNSPECIFIED || header.kind() == kind;
}

StatusOr<std::vector<v1::Run>> ReadAllRuns(Records& records, const RunFilter& filter) {
  return ReadAllPages<v1::Run>([&](const PageRequest& page) { return records.ListRuns(filter, page); });
}

StatusOr<std::vector<v1::Backup>> ReadAllBackups(Records& records) {
  return ReadAllPages<v1::Backup>([&](const PageRequest& page) { return records.ListBackups(page); });
}

Status CommitAndWait(Journal& journal, Batch batch) {
  Mutex mutex;
  CondVar changed;
  bool done = false;
  Status why;
  journal.Commit(std::move(batch), [&](const CommitOutcome& outcome) {
    MutexLock lock(mutex);
    why = outcome.why;
    done = true;
    changed.NotifyAll();
  });
  MutexLock lock(mutex);
  while (!done) changed.Wait(mutex);
  return why;
}

}  // namespace salvor::controlplane
