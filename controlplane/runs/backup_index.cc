#include "controlplane/runs/backup_index.h"

#include <algorithm>
#include <utility>

#include "proto/time.h"

namespace salvor::controlplane {
namespace {

// Something can be restored from it, as far as anybody knows.
bool IsUsable(const v1::Backup& backup) {
  const bool kept =
      backup.coverage() == v1::Backup::COVERAGE_COMPLETE || backup.coverage() == v1::Backup::COVERAGE_PARTIAL;
  return kept && backup.manifest().artifacts_size() > 0 &&
         backup.verification() != v1::Backup::VERIFICATION_DISPROVEN;
}

Status NoSuchBackup(const std::string& application, bool proven) {
  const Status status =
      NotFound("application {} has no {} backup", application, proven ? "proven" : "usable");
  return WithHint(
      status, proven
                  ? fmt::format("Prove one with: salvor drill create --backup latest:{} --wait", application)
                  : fmt::format("Make one with: salvor backup create {} --wait", application));
}

}  // namespace

void BackupIndex::Put(v1::Backup backup) {
  const std::string name = backup.name();
  backups_[name] = std::move(backup);
}

const v1::Backup* BackupIndex::Find(const std::string& name) const {
  const auto found = backups_.find(name);
  return found == backups_.end() ? nullptr : &found->second;
}

std::vector<v1::Backup> BackupIndex::List(const std::string& application) const {
  std::vector<v1::Backup> backups;
  for (const auto& [name, backup] : backups_) {
    if (application.empty() || backup.application() == application) backups.push_back(backup);
  }
  std::sort(backups.begin(), backups.end(), [](const v1::Backup& a, const v1::Backup& b) {
    return FromProto(a.created_at()) > FromProto(b.created_at());
  });
  return backups;
}

const v1::Backup* BackupIndex::MadeBy(const std::string& run) const {
  for (const auto& [name, backup] : backups_) {
    if (backup.run() == run) return &backup;
  }
  return nullptr;
}

const v1::Backup* BackupIndex::LatestBelieved(const std::string& application) const {
  const v1::Backup* latest = nullptr;
  for (const auto& [name, backup] : backups_) {
    const bool doubted = backup.doubts_size() > 0 && !backup.has_acceptance();
    if (backup.application() != application || !IsUsable(backup) || doubted) continue;
    if (latest == nullptr || FromProto(latest->created_at()) < FromProto(backup.created_at()))
      latest = &backup;
  }
  return latest;
}

StatusOr<v1::Backup> BackupIndex::Resolve(const std::string& reference) const {
  const auto colon = reference.find(':');
  if (colon == std::string::npos) {
    if (const v1::Backup* backup = Find(reference)) return *backup;
    return WithHint(NotFound("backup {} does not exist", reference), "List them with: salvor backup list");
  }
  const std::string which = reference.substr(0, colon), application = reference.substr(colon + 1);
  if (which != "latest" && which != "proven") {
    return WithHint(InvalidArgument("'{}' names no backup", reference),
                    "Use a name, latest:APPLICATION or proven:APPLICATION.");
  }
  for (v1::Backup& backup : List(application)) {
    if (!IsUsable(backup)) continue;
    if (which == "latest" || backup.verification() == v1::Backup::VERIFICATION_PROVEN)
      return std::move(backup);
  }
  return NoSuchBackup(application, which == "proven");
}

}  // namespace salvor::controlplane
