#include "agent/kubernetes/velero/claims.h"

#include <algorithm>
#include <set>

#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {
namespace {

constexpr char kSnapshotClassAnnotation[] = "velero.io/csi-volumesnapshot-class";
constexpr std::string_view kHookMark = "hook.backup.velero.io/command";

// The field of a volume's spec that says what is behind it: all others are plain values or known by name.
std::string SourceOf(const Json& volume) {
  static const std::set<std::string> others = {"claimRef", "capacity", "nodeAffinity"};
  const Json& spec = At(volume, {"spec"});
  if (!spec.is_object()) return "";
  for (const auto& [key, value] : spec.items()) {
    if (value.is_object() && others.count(key) == 0) return key;
  }
  return "";
}

// Of a pod's containers as Velero looks at them: not of those that only begin it, and no raw devices.
std::set<std::string> MountedVolumes(const Json& pod) {
  std::set<std::string> volumes;
  const Json& containers = At(pod, {"spec", "containers"});
  if (!containers.is_array()) return volumes;
  for (const Json& container : containers) {
    const Json& mounts = At(container, {"volumeMounts"});
    if (!mounts.is_array()) continue;
    for (const Json& mount : mounts) volumes.insert(TextAt(mount, {"name"}));
  }
  return volumes;
}

}  // namespace

Claim ReadClaim(const Json& claim, const Json& volume) {
  Claim read;
  read.name_space = TextAt(claim, {"metadata", "namespace"});
  read.name = TextAt(claim, {"metadata", "name"});
  read.uid = TextAt(claim, {"metadata", "uid"});
  read.labels = TextMapAt(claim, {"metadata", "labels"});
  read.phase = TextAt(claim, {"status", "phase"});
  read.block = TextAt(claim, {"spec", "volumeMode"}) == "Block";
  read.excluded = read.labels.count(kExcludeLabel) > 0 && read.labels[kExcludeLabel] == "true";
  read.snapshot_class = TextAt(claim, {"metadata", "annotations", kSnapshotClassAnnotation});
  read.volume = TextAt(claim, {"spec", "volumeName"});
  read.capacity = TextAt(volume, {"spec", "capacity", "storage"});
  read.storage_class = TextAt(volume, {"spec", "storageClassName"});
  read.reclaim_policy = TextAt(volume, {"spec", "persistentVolumeReclaimPolicy"});
  read.source = SourceOf(volume);
  read.driver = TextAt(volume, {"spec", "csi", "driver"});
  read.attributes = TextMapAt(volume, {"spec", "csi", "volumeAttributes"});
  read.nfs_server = TextAt(volume, {"spec", "nfs", "server"});
  read.nfs_path = TextAt(volume, {"spec", "nfs", "path"});
  return read;
}

Pod ReadPod(const Json& pod) {
  Pod read;
  read.name_space = TextAt(pod, {"metadata", "namespace"});
  read.name = TextAt(pod, {"metadata", "name"});
  read.node = TextAt(pod, {"spec", "nodeName"});
  read.running = TextAt(pod, {"status", "phase"}) == "Running";
  read.excluded = TextAt(pod, {"metadata", "labels", kExcludeLabel}) == "true";
  for (const auto& [key, value] : TextMapAt(pod, {"metadata", "annotations"}))
    read.has_hooks = read.has_hooks || key.find(kHookMark) != std::string::npos;
  read.labels = TextMapAt(pod, {"metadata", "labels"});
  if (const Json& containers = At(pod, {"spec", "containers"}); containers.is_array()) {
    for (const Json& container : containers) read.containers.push_back(TextAt(container, {"name"}));
  }
  const std::set<std::string> mounted = MountedVolumes(pod);
  const Json& volumes = At(pod, {"spec", "volumes"});
  if (!volumes.is_array()) return read;
  for (const Json& volume : volumes) {
    // Velero reads no files of an ephemeral volume, though that has a claim, too.
    const std::string claim = TextAt(volume, {"persistentVolumeClaim", "claimName"});
    if (!claim.empty() && mounted.count(TextAt(volume, {"name"})) > 0) read.claims.push_back(claim);
  }
  return read;
}

std::string Key(const std::string& name_space, const std::string& name) { return name_space + "/" + name; }

std::string Describe(v1::VolumeMethod method) {
  switch (method) {
    case v1::VOLUME_METHOD_FILE_SYSTEM:
      return "a file-system backup";
    case v1::VOLUME_METHOD_SNAPSHOT:
      return "a CSI snapshot";
    case v1::VOLUME_METHOD_SNAPSHOT_MOVED:
      return "a CSI snapshot with its data moved";
    default:
      return "the method that suits it";
  }
}

}  // namespace salvor::velero
