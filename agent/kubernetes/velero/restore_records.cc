#include "agent/kubernetes/velero/restore_records.h"

#include <utility>

namespace salvor::velero {
namespace {

constexpr std::string_view kUnknown = "unknown";  // Velero's word for a handle that it has not

StatusOr<Json> Parse(std::string_view json, const char* what) {
  Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return DataLoss("Velero's {} can't be read: it is no JSON", what);
  return parsed;
}

// "shop/uploads(created)". An entry without an action has none that counts.
RestoredObject ReadEntry(const std::string& entry) {
  const size_t open = entry.rfind('(');
  if (open == std::string::npos || entry.back() != ')') return {entry, ""};
  return {entry.substr(0, open), entry.substr(open + 1, entry.size() - open - 2)};
}

}  // namespace

StatusOr<RestoredList> ReadRestoredList(std::string_view json) {
  ASSIGN_OR_RETURN(const Json list, Parse(json, "list of restored objects"));
  if (!list.is_object()) return DataLoss("Velero's list of restored objects can't be read: it is no object");
  RestoredList restored;
  for (const auto& [kind, entries] : list.items()) {
    std::vector<RestoredObject>& objects = restored[kind];
    for (const std::string& entry : TextsAt(list, {kind})) {
      if (!entry.empty()) objects.push_back(ReadEntry(entry));
    }
  }
  return restored;
}

StatusOr<std::vector<ReturnedVolume>> ReadReturnedVolumes(std::string_view json) {
  ASSIGN_OR_RETURN(const Json infos, Parse(json, "list of restored volumes"));
  std::vector<ReturnedVolume> volumes;
  if (infos.is_null()) return volumes;  // Go's empty list
  if (!infos.is_array()) return DataLoss("Velero's list of restored volumes can't be read: it is no list");
  for (const Json& info : infos) {
    ReturnedVolume& volume = volumes.emplace_back();
    volume.name_space = TextAt(info, {"pvcNamespace"});
    volume.claim = TextAt(info, {"pvcName"});
    volume.method = TextAt(info, {"restoreMethod"});
    volume.moved = FlagAt(info, {"snapshotDataMoved"});
    const char* part = volume.method == "PodVolumeRestore" ? "pvrInfo"
                       : volume.method != "CSISnapshot"    ? "nativeSnapshotInfo"
                       : volume.moved                      ? "snapshotDataMovementInfo"
                                                           : "csiSnapshotInfo";
    const Json& details = At(info, {part});
    volume.handle = TextAt(details, {"snapshotHandle"});
    if (volume.handle == kUnknown) volume.handle.clear();
    volume.bytes = NumberAt(details, {"size"});
  }
  return volumes;
}

}  // namespace salvor::velero
