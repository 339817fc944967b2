// Velero's own records of a Restore, as they lie in the storage location. Pure. Its errors and warnings are read as
// those of a Backup (records.h).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/records.h"

namespace salvor::velero {

// What became of one object: "created", "updated", "skipped" (it is there and equal, or is made by something else), or
// "failed", which is also said of one that is there and differs.
struct RestoredObject {
  std::string name;  // "shop-copy/uploads": where it went; without a namespace of one that is in none
  std::string action;
};

// "v1/PersistentVolumeClaim" -> its objects.
using RestoredList = std::map<std::string, std::vector<RestoredObject>>;

// By what a volume came back, where Velero says so.
struct ReturnedVolume {
  std::string name_space, claim;  // where it went
  std::string method;             // in Velero's words: "CSISnapshot"
  bool moved = false;
  std::string handle;  // of what it was made from, in Velero's words; "" where it is not known
  int64_t bytes = 0;
};

// DataLoss for what is none of it.
StatusOr<RestoredList> ReadRestoredList(std::string_view json);
StatusOr<std::vector<ReturnedVolume>> ReadReturnedVolumes(std::string_view json);

}  // namespace salvor::velero
