// Velero's own records of a Backup, as they lie beside it in the storage location. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/reading.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::velero {

// What became of one volume.
struct VolumeRecord {
  std::string name_space, claim;  // both "" for a volume without a claim
  std::string volume;
  std::string method;  // in Velero's words: "CSISnapshot"
  bool moved = false;
  bool skipped = false;
  std::string skipped_reason;
  std::string result;  // "succeeded", "failed", or "" where Velero does not say
  std::string handle;  // of what was kept, in Velero's words
  int64_t bytes = 0;
  std::string pod;    // that it was read through
  std::string phase;  // of its transfer
  absl::Time started = absl::InfinitePast(), completed = absl::InfinitePast();
};

// By which method that was; UNSPECIFIED for one that we never ask for.
v1::VolumeMethod MethodOf(const VolumeRecord& record);

// What the log counts as errors and warnings, as sentences: "namespace shop: …".
struct Results {
  std::vector<std::string> errors, warnings;
};

// "v1/PersistentVolumeClaim" -> {"shop/uploads"}.
using ResourceList = std::map<std::string, std::vector<std::string>>;

// DataLoss for what is none of it.
StatusOr<std::vector<VolumeRecord>> ReadVolumeInfos(std::string_view json);
StatusOr<Results> ReadResults(std::string_view json);
StatusOr<ResourceList> ReadResourceList(std::string_view json);

}  // namespace salvor::velero
