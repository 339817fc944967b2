#include "agent/kubernetes/velero/records.h"

#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr char kUnknown[] = "unknown";  // Velero's word for a handle that it has not

StatusOr<Json> Parse(std::string_view json, const char* what) {
  Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) return DataLoss("Velero's {} can't be read: it is no JSON", what);
  return parsed;
}

VolumeRecord ReadVolumeInfo(const Json& info) {
  VolumeRecord record;
  record.name_space = TextAt(info, {"pvcNamespace"});
  record.claim = TextAt(info, {"pvcName"});
  record.volume = TextAt(info, {"pvName"});
  record.method = TextAt(info, {"backupMethod"});
  record.moved = FlagAt(info, {"snapshotDataMoved"});
  record.skipped = FlagAt(info, {"skipped"});
  record.skipped_reason = TextAt(info, {"skippedReason"});
  record.result = TextAt(info, {"result"});
  record.started = TimeAt(info, {"startTimestamp"});
  record.completed = TimeAt(info, {"completionTimestamp"});
  const char* part = record.method == "PodVolumeBackup" ? "pvbInfo"
                     : record.method != "CSISnapshot"   ? "nativeSnapshotInfo"
                     : record.moved                     ? "snapshotDataMovementInfo"
                                                        : "csiSnapshotInfo";
  const Json& details = At(info, {part});
  record.handle = TextAt(details, {"snapshotHandle"});
  if (record.handle == kUnknown) record.handle.clear();
  record.bytes = NumberAt(details, {"size"});
  record.pod = TextAt(details, {"podName"});
  record.phase = TextAt(details, {"Phase"});
  return record;
}

std::vector<std::string> Sentences(const Json& result) {
  std::vector<std::string> sentences;
  const auto add = [&](const std::string& place, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) sentences.push_back(place + CleanText(text));
  };
  add("", TextsAt(result, {"velero"}));
  add("the cluster's objects: ", TextsAt(result, {"cluster"}));
  const Json& namespaces = At(result, {"namespaces"});
  if (!namespaces.is_object()) return sentences;
  for (const auto& [name, texts] : namespaces.items())
    add("namespace " + CleanText(name) + ": ", TextsAt(namespaces, {name}));
  return sentences;
}

}  // namespace

v1::VolumeMethod MethodOf(const VolumeRecord& record) {
  if (record.method == "PodVolumeBackup") return v1::VOLUME_METHOD_FILE_SYSTEM;
  if (record.method == "CSISnapshot")
    return record.moved ? v1::VOLUME_METHOD_SNAPSHOT_MOVED : v1::VOLUME_METHOD_SNAPSHOT;
  return v1::VOLUME_METHOD_UNSPECIFIED;
}

StatusOr<std::vector<VolumeRecord>> ReadVolumeInfos(std::string_view json) {
  ASSIGN_OR_RETURN(const Json infos, Parse(json, "list of volumes"));
  std::vector<VolumeRecord> records;
  if (infos.is_null()) return records;  // Go's empty list
  if (!infos.is_array()) return DataLoss("Velero's list of volumes can't be read: it is no list");
  for (const Json& info : infos) records.push_back(ReadVolumeInfo(info));
  return records;
}

StatusOr<Results> ReadResults(std::string_view json) {
  ASSIGN_OR_RETURN(const Json results, Parse(json, "errors and warnings"));
  if (!results.is_object()) return DataLoss("Velero's errors and warnings can't be read: they are no object");
  return Results{Sentences(At(results, {"errors"})), Sentences(At(results, {"warnings"}))};
}

StatusOr<ResourceList> ReadResourceList(std::string_view json) {
  ASSIGN_OR_RETURN(const Json list, Parse(json, "list of objects"));
  if (!list.is_object()) return DataLoss("Velero's list of objects can't be read: it is no object");
  ResourceList resources;
  for (const auto& [kind, names] : list.items()) resources[kind] = TextsAt(list, {kind});
  return resources;
}

}  // namespace salvor::velero
