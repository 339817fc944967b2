// What becomes of the objects of a Backup on their way into the cluster: which of them are changed, from what to what, and
// the rules by which Velero does it (its resource modifiers). Pure.
//
// Each rule is for one object by its name, and writes values that were computed from the object as it was kept: a rule
// that does not fit what it meets makes Velero create the object unchanged, so none removes or replaces what may not be
// there. Velero applies them after changes of its own.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/archive.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

struct Transform {
  std::vector<v1::ObjectChange> changes;  // in the objects' order
  Json rules = Json::array();             // of Velero's, in the order in which they hold
  std::vector<std::string> unused;    // what was asked for and fits nothing, for people: "StorageClass fast"
  std::vector<std::string> warnings;  // what could not be made safe, a sentence each
};

// The resources whose objects the transform has to see.
std::set<std::string> ResourcesToRead();

// `volumes` are those that come back: a pod that brings data back has to start, whatever is asked for.
Transform PlanTransform(const v1::RestoreTransform& wanted, const std::vector<KeptObject>& objects,
                        const std::vector<v1::Artifact>& volumes);

// Resources that are left out as a whole, as Velero's filters name them; and whether a kind as its lists have it
// ("networking.k8s.io/v1/Ingress") is of one.
std::vector<std::string> LeftOutResources(const v1::RestoreTransform& wanted);
bool IsLeftOut(const v1::RestoreTransform& wanted, std::string_view kind);

// The rules as the text of a ConfigMap: JSON, which Velero's YAML reader takes. ResourceExhausted where they are too many for
// one.
StatusOr<std::string> ModifierText(const Json& rules);

// Whether it keeps the object from doing what the original does, and was not asked for by a name.
bool KeepsFromActing(const v1::ObjectChange& change);

// "CronJob tick: suspend false → true", for people.
std::string Describe(const v1::ObjectChange& change);

// Adds the first of them, at most 200; returns how many were left out.
int64_t AddChanges(const std::vector<v1::ObjectChange>& changes,
                   google::protobuf::RepeatedPtrField<v1::ObjectChange>* to);

}  // namespace salvor::velero
