// What a cluster says of the volumes of an application: claims, what they are bound to, and who has them mounted. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/kubernetes/velero/reading.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::velero {

struct Claim {
  std::string name_space, name, uid;
  std::map<std::string, std::string> labels;
  std::string phase;           // "Bound", "Pending", "Lost"
  bool block = false;          // a raw device
  bool excluded = false;       // labelled so that Velero leaves it out
  std::string snapshot_class;  // that its annotation asks Velero to take
  std::string volume;          // "" where it is not bound
  // Of the volume; "" where there is none.
  std::string capacity, storage_class, reclaim_policy;
  std::string source;                             // "csi", "hostPath", "local", "nfs", …
  std::string driver;                             // of a CSI volume
  std::map<std::string, std::string> attributes;  // that its driver has of it
  std::string nfs_server, nfs_path;
};

// `volume` is the PersistentVolume that it is bound to, or null.
Claim ReadClaim(const Json& claim, const Json& volume);

// A pod as far as it matters to a backup.
struct Pod {
  std::string name_space, name, node;
  bool running = false;
  bool excluded = false;            // labelled so that Velero leaves it out
  std::vector<std::string> claims;  // that one of its containers has mounted, as Velero looks for them
  bool has_hooks = false;           // annotations by which Velero runs commands in it
  std::vector<std::string> containers;
  std::map<std::string, std::string> labels;
};

Pod ReadPod(const Json& pod);

// "shop/uploads": as Velero's lists have it.
std::string Key(const std::string& name_space, const std::string& name);
inline std::string Key(const v1::VeleroVolume& volume) { return Key(volume.namespace_(), volume.claim()); }
inline std::string Key(const Claim& claim) { return Key(claim.name_space, claim.name); }

// "a file-system backup", for people.
std::string Describe(v1::VolumeMethod method);

}  // namespace salvor::velero
