// The places that restored files go to, and what stands there.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/disk/guarded_path.h"
#include "agent/work/action.h"
#include "base/status.h"

namespace salvor::agent {

// One declared path: as it was backed up, and where its copy goes. Absolute, normalised, plain.
struct DiskPlace {
  std::string path;
  std::string destination;  // with the prefix in front
};

using DiskDestinationList = google::protobuf::RepeatedPtrField<v1::DiskDestination>;
using DiskPathList = google::protobuf::RepeatedPtrField<std::string>;

// The directory to put before a destination, absolute; "" for the place as it is declared.
StatusOr<std::string> DiskPrefix(const v1::DiskTarget& target, const AgentConfig& config);

// Each path with its destination; one that `destinations` does not name is its own. Sorted by path; no path lies
// in another. InvalidArgument when two destinations meet.
StatusOr<std::vector<DiskPlace>> DiskPlaces(const DiskPathList& paths,
                                            const DiskDestinationList& destinations,
                                            const std::string& prefix);

// FailedPrecondition naming everything that stands at the destinations: only nothing and empty directories pass.
// An empty file system's lost+found, and entries named in `ours`, are nothing. Symlinks on the way are judged as
// by OpenParentBelow.
Status RefuseOccupied(const std::vector<DiskPlace>& places, const std::string& prefix,
                      const std::vector<std::string>& ours = {});

// FailedPrecondition naming each destination whose parent neither is nor can be made.
Status CheckParents(const std::vector<DiskPlace>& places);

// "4,312".
std::string WithCommas(int64_t number);

}  // namespace salvor::agent
