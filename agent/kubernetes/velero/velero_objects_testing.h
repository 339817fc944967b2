// Objects as Kubernetes and Velero 1.18 write them, in short. Tests only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/kubernetes/velero/claims.h"
#include "agent/kubernetes/velero/reading.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::velero {

using Labels = std::map<std::string, std::string>;

inline Json ClaimObject(const std::string& name, const Labels& labels = {},
                        const std::string& phase = "Bound") {
  Json claim = {
      {"apiVersion", "v1"},
      {"kind", "PersistentVolumeClaim"},
      {"metadata", {{"namespace", "shop"}, {"name", name}, {"uid", "uid-" + name}, {"labels", labels}}},
      {"spec", Json::object()},
      {"status", {{"phase", phase}}}};
  if (phase == "Bound") claim["spec"]["volumeName"] = "pvc-" + name;
  return claim;
}

inline Json VolumeObject(const std::string& claim, const std::string& driver = "csi.salvor.dev",
                         const std::string& capacity = "1Gi") {
  Json volume = {{"apiVersion", "v1"},
                 {"kind", "PersistentVolume"},
                 {"metadata", {{"name", "pvc-" + claim}}},
                 {"spec",
                  {{"capacity", {{"storage", capacity}}},
                   {"claimRef", {{"namespace", "shop"}, {"name", claim}}},
                   {"persistentVolumeReclaimPolicy", "Delete"},
                   {"storageClassName", "salvor-csi"}}}};
  if (driver.empty()) {
    volume["spec"]["hostPath"] = {{"path", "/data"}};
  } else {
    volume["spec"]["csi"] = {{"driver", driver}, {"volumeHandle", "v-" + claim}};
  }
  return volume;
}

inline Json PodObject(const std::string& name, const std::string& claim, const std::string& node = "node-1",
                      const std::string& phase = "Running") {
  return {
      {"apiVersion", "v1"},
      {"kind", "Pod"},
      {"metadata", {{"namespace", "shop"}, {"name", name}}},
      {"spec",
       {{"nodeName", node},
        {"containers", {{{"name", "main"}, {"volumeMounts", {{{"name", "data"}, {"mountPath", "/data"}}}}}}},
        {"volumes", {{{"name", "data"}, {"persistentVolumeClaim", {{"claimName", claim}}}}}}}},
      {"status", {{"phase", phase}}}};
}

inline Claim BoundClaim(const std::string& name, const Labels& labels = {},
                        const std::string& capacity = "1Gi") {
  return ReadClaim(ClaimObject(name, labels), VolumeObject(name, "csi.salvor.dev", capacity));
}

inline v1::VeleroVolume Planned(const std::string& claim, v1::VolumeMethod method,
                                const std::string& skip = "") {
  v1::VeleroVolume volume;
  volume.set_component("files");
  volume.set_namespace_("shop");
  volume.set_claim(claim);
  volume.set_method(method);
  volume.set_skip(skip);
  volume.set_artifact("files." + claim);
  return volume;
}

inline Json BackupObject(const std::string& name, const std::string& run, const std::string& phase,
                         const Json& status = Json::object()) {
  Json backup = {{"apiVersion", "velero.io/v1"},
                 {"kind", "Backup"},
                 {"metadata",
                  {{"namespace", "velero"},
                   {"name", name},
                   {"uid", "uid-" + name},
                   {"labels", {{"salvor.dev/run", run}}}}},
                 {"spec", {{"storageLocation", "default"}, {"includedNamespaces", {"shop"}}}},
                 {"status", status}};
  if (!phase.empty()) backup["status"]["phase"] = phase;
  return backup;
}

}  // namespace salvor::velero
