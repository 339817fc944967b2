// Restores as Velero 1.18 writes them, in short. Tests only.
#pragma once

#include <string>

#include "agent/kubernetes/velero/reading.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

inline constexpr char kRestoreRun[] = "restore-shop-20261126-130000-4f2a";

inline v1::Artifact KeptVolume(const std::string& claim, v1::VolumeMethod method, int64_t bytes = 4096) {
  v1::Artifact volume;
  volume.set_component("files");
  volume.set_name("files.volume." + claim);
  volume.set_bytes(bytes);
  volume.mutable_velero()->set_backup("b");
  volume.mutable_velero()->set_namespace_("shop");
  volume.mutable_velero()->set_claim(claim);
  volume.mutable_velero()->set_method(method);
  volume.mutable_velero()->set_snapshot_handle("handle-" + claim);
  volume.mutable_velero()->set_storage_class("salvor-csi");
  return volume;
}

// Of backup shop-1, which is Velero's Backup b of namespace shop, into shop-copy.
inline v1::VeleroRestore RestoreAction(v1::VolumeMethod method = v1::VOLUME_METHOD_FILE_SYSTEM) {
  v1::VeleroRestore action;
  action.set_name("r");
  action.set_velero_backup("b");
  action.set_namespace_("shop");
  action.set_target_namespace("shop-copy");
  *action.add_volumes() = KeptVolume("uploads", method);
  action.set_run(kRestoreRun);
  action.set_backup("shop-1");
  action.set_application("shop-copy");
  action.set_environment("cluster");
  return action;
}

inline Json RestoreObject(const std::string& name, const std::string& phase,
                          const Json& status = Json::object(), const std::string& run = kRestoreRun,
                          const std::string& target = "shop-copy") {
  Json restore = {{"apiVersion", "velero.io/v1"},
                  {"kind", "Restore"},
                  {"metadata",
                   {{"namespace", "velero"},
                    {"name", name},
                    {"uid", "uid-" + name},
                    {"creationTimestamp", "2026-11-26T13:00:00Z"},
                    {"labels", {{"salvor.dev/run", run}}}}},
                  {"spec", {{"backupName", "b"}, {"namespaceMapping", {{"shop", target}}}}},
                  {"status", status}};
  if (!phase.empty()) restore["status"]["phase"] = phase;
  return restore;
}

}  // namespace salvor::velero
