// What a restore would do with the objects of a Backup, and which of them would not come back or would be in the way, as far
// as that can be known beforehand. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kubernetes/velero/preflight.h"
#include "agent/kubernetes/velero/records.h"
#include "agent/kubernetes/velero/transform.h"

namespace salvor::velero {

// How much space a namespace may ask for, and does.
struct Quota {
  std::string name;
  std::string resource;  // "requests.storage", "fast.storageclass.storage.k8s.io/requests.storage"
  int64_t hard = 0, used = 0;
};

// Those for the storage of claims, and for their number ("persistentvolumeclaims"), out of a ResourceQuota.
std::vector<Quota> ReadQuotas(const Json& quota);

// What all claims of a Backup ask for, under the classes that they will have.
struct Demand {
  int64_t claims = 0, bytes = 0;
  std::map<std::string, int64_t> bytes_of_class;
};

Demand AddUpClaims(const v1::RestoreTransform& wanted, const std::vector<KeptObject>& objects);

// "example.com/v1/Widget" as Velero's lists have it, taken apart; the core group is "".
struct KindName {
  std::string group, version, kind;
};
KindName SplitKind(const std::string& listed);

struct ObjectFacts {
  std::string
      unreadable;     // why Velero's records of the Backup can't be read; "" where they were, or nobody tried
  ResourceList kept;  // what the Backup has
  Transform transform;
  std::set<std::string> not_served;  // of its kinds, as `kept` has them
  std::set<std::string> there;       // objects in the namespace that it goes to: "Service web"
  std::optional<Demand> demand;      // nothing: not known
  std::vector<Quota> quotas;         // of the namespace that it goes to
};

// Objects that are there stay as they are, which is warned of; what can't come back is refused.
std::vector<Finding> FindObjectProblems(const v1::VeleroRestore& action, const ObjectFacts& facts);

v1::VeleroRestorePreview MakePreview(const v1::VeleroRestore& action, const ObjectFacts& facts);

// "creates 12 objects, changes 3 fields, leaves out 1 object", for people; "" where the objects are not known.
std::string Summarize(const v1::VeleroRestorePreview& preview);

}  // namespace salvor::velero
