// The objects in a Backup of Velero's, read from its archive: a tar file, whose objects are a JSON file each. Pure.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/reading.h"
#include "base/status.h"

namespace salvor::velero {

// An object as it was when it was kept.
struct KeptObject {
  std::string resource;  // "deployments.apps"
  std::string name;
  Json object;
};

// Those of the namespace that are of these resources, in the archive's order; all others, Secrets among them, are passed
// over unread. DataLoss for what is no archive, or is cut short.
StatusOr<std::vector<KeptObject>> ReadArchive(std::string_view tar, const std::string& name_space,
                                              const std::set<std::string>& resources);

}  // namespace salvor::velero
