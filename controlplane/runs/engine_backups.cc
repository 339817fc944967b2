// What the engine knows of backups, and what a run may do with one that another run has to do with. A run that deletes a
// backup and one that reads it never go together: which of them may begin is decided here, under the engine's lock, and is
// on record in the commit that begins the run.
#include <algorithm>
#include <utility>

#include "controlplane/runs/engine.h"
#include "proto/time.h"

namespace salvor::controlplane {

std::vector<v1::Backup> Engine::ListBackups(const std::string& application) {
  MutexLock lock(mutex_);
  return backups_.List({.application = application});
}

StatusOr<Page<v1::Backup>> Engine::ListBackups(const BackupFilter& filter, const PageRequest& page) {
  MutexLock lock(mutex_);
  return backups_.List(filter, page);
}

int Engine::CountBackupsAt(const std::string& location) {
  MutexLock lock(mutex_);
  return backups_.CountAt(location);
}

StatusOr<v1::Backup> Engine::FindBackup(const std::string& reference) {
  MutexLock lock(mutex_);
  return backups_.Resolve(reference);
}

StatusOr<v1::Backup> Engine::AcceptBackup(const std::string& reference, const std::string& by,
                                          const std::string& reason, Durable durable) {
  v1::Backup accepted;
  {
    MutexLock lock(mutex_);
    ASSIGN_OR_RETURN(accepted, backups_.Resolve(reference));
    if (accepted.doubts().empty())
      return FailedPrecondition("backup {} is not in doubt: there is nothing to accept", accepted.name());
    v1::Acceptance* acceptance = accepted.mutable_acceptance();
    acceptance->set_by(by);
    acceptance->set_reason(reason);
    *acceptance->mutable_at() = ToProto(clock_.Now());
    Turn turn;
    RecordBackup(turn, accepted);
    Conclude(turn);
  }
  CallWhenDurable(std::move(durable));
  return accepted;
}

std::vector<verdicts::Objection> Engine::FindObjections(const v1::Backup& backup,
                                                        const verdicts::DeletionTerms& terms) {
  std::vector<verdicts::BackupUse> uses;
  for (const auto& [name, run] : runs_) {
    if (run->header.backup() == backup.name() && !run->state.Finished())
      uses.push_back({name, run->header.kind(), false});
  }
  for (const auto& [name, quarantined] : quarantined_) {
    const v1::RunHeader& header = quarantined.view.header();
    if (header.backup() == backup.name() && !quarantined.is_given_up)
      uses.push_back({name, header.kind(), true});
  }
  std::sort(uses.begin(), uses.end(),
            [](const verdicts::BackupUse& a, const verdicts::BackupUse& b) { return a.run < b.run; });
  return verdicts::ObjectionsTo(backup, uses, backups_.Of(backup.application()), terms);
}

StatusOr<std::vector<verdicts::Objection>> Engine::ObjectionsToDeletion(
    const std::string& backup, const verdicts::DeletionTerms& terms) {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const v1::Backup found, backups_.Resolve(backup));
  return FindObjections(found, terms);
}

Status Engine::ClaimBackup(Turn& turn, const v1::RunHeader& header, const verdicts::DeletionTerms& terms) {
  const v1::Backup* backup = backups_.Find(header.backup());
  if (header.kind() == v1::RUN_KIND_DELETE) {
    if (backup == nullptr) return NotFound("backup {} does not exist", header.backup());
    RETURN_IF_ERROR(verdicts::RefuseDeletion(*backup, FindObjections(*backup, terms)));
    RecordBackup(turn, verdicts::BeginDeletion(*backup, header));
    return OkStatus();
  }
  return backup == nullptr ? OkStatus() : verdicts::CheckNotDeleted(*backup);
}

const v1::Backup* Engine::FindConcerned(const v1::RunHeader& header) {
  return header.kind() == v1::RUN_KIND_DELETE ? backups_.Find(header.backup())
                                              : backups_.MadeBy(header.name());
}

}  // namespace salvor::controlplane
