#include "controlplane/runs/backup_index.h"

#include <algorithm>
#include <utility>

#include "controlplane/store/contract/page_token.h"
#include "proto/time.h"
#include "strategies/verdicts/deletion.h"

namespace salvor::controlplane {
namespace {

using verdicts::IsUsable;

bool IsDeleted(const v1::Backup& backup) { return backup.deletion().state() == v1::Deletion::STATE_DELETED; }

// The newest first; those of one moment by name.
bool IsBefore(const v1::Backup* a, const v1::Backup* b) {
  const absl::Time at_a = FromProto(a->created_at()), at_b = FromProto(b->created_at());
  return at_a != at_b ? at_a > at_b : a->name() < b->name();
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

std::vector<const v1::Backup*> BackupIndex::Sorted(const BackupFilter& filter) const {
  const auto passes = [](const std::string& wanted, const std::string& is) {
    return wanted.empty() || wanted == is;
  };
  std::vector<const v1::Backup*> backups;
  for (const auto& [name, backup] : backups_) {
    if (passes(filter.application, backup.application()) &&
        passes(filter.environment, backup.environment()) && passes(filter.location, backup.location()) &&
        (filter.include_deleted || !IsDeleted(backup)))
      backups.push_back(&backup);
  }
  std::sort(backups.begin(), backups.end(), IsBefore);
  return backups;
}

std::vector<v1::Backup> BackupIndex::List(const BackupFilter& filter) const {
  std::vector<v1::Backup> backups;
  for (const v1::Backup* backup : Sorted(filter)) backups.push_back(*backup);
  return backups;
}

StatusOr<Page<v1::Backup>> BackupIndex::List(const BackupFilter& filter, const PageRequest& page) const {
  const std::string list = fmt::format("backups\n{}\n{}\n{}{}", filter.application, filter.environment,
                                       filter.location, filter.include_deleted ? "\ndeleted" : "");
  v1::Backup last;  // its place in the list stays, whatever becomes of its record
  if (!page.token.empty()) {
    ASSIGN_OR_RETURN(const std::string place, ReadPageToken(list, page.token));
    if (!last.ParseFromString(place)) return InvalidArgument("the page token is damaged");
  }
  Page<v1::Backup> backups;
  for (const v1::Backup* backup : Sorted(filter)) {
    if (!page.token.empty() && !IsBefore(&last, backup)) continue;
    if (static_cast<int>(backups.items.size()) >= std::max(page.size, 1)) {
      v1::Backup place;
      place.set_name(backups.items.back().name());
      *place.mutable_created_at() = backups.items.back().created_at();
      backups.next_token = MakePageToken(list, place.SerializeAsString());
      break;
    }
    backups.items.push_back(*backup);
  }
  return backups;
}

int BackupIndex::CountAt(const std::string& location) const {
  return static_cast<int>(std::count_if(backups_.begin(), backups_.end(), [&](const auto& entry) {
    return entry.second.location() == location && entry.second.coverage() != v1::Backup::COVERAGE_FAILED &&
           !IsDeleted(entry.second);
  }));
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
  for (const v1::Backup* backup : Sorted({.application = application})) {
    if (!IsUsable(*backup)) continue;
    if (which == "latest" || backup->verification() == v1::Backup::VERIFICATION_PROVEN) return *backup;
  }
  return NoSuchBackup(application, which == "proven");
}

}  // namespace salvor::controlplane
