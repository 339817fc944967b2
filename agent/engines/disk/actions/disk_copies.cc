#include "agent/engines/disk/actions/disk_copies.h"

#include <optional>

namespace salvor::agent {
namespace {

std::optional<CopyPlace> FindDiskCopy(const v1::ApplicationChecks& action) {
  if (!action.has_disk()) return std::nullopt;
  CopyPlace place;
  place.scratch = action.disk().scratch();
  place.has_files = true;
  if (action.disk().where_case() == v1::DiskTarget::kRoot) place.root = action.disk().root();
  return place;
}

}  // namespace

CopyEngine DiskCopies() { return {FindDiskCopy, nullptr}; }

}  // namespace salvor::agent
