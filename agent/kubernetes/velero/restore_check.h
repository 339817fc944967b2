// Whether Velero could bring back what it will be asked for, and whether anything is in the way, as far as that can
// be known beforehand. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kubernetes/velero/preflight.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/restore_preview.h"

namespace salvor::velero {

// The node ports of a Service that somebody named, and that its copy would have too: "web 30080". Velero leaves out only
// those that the cluster chose.
std::vector<std::string> FixedNodePorts(const Json& service);

// All that was looked at.
struct RestoreFacts {
  PreflightFacts velero;                                 // of Velero itself; without namespaces
  NamespaceFacts target;                                 // where the restore goes to
  std::vector<Claim> claims;                             // that are there
  std::vector<RestoreState> restores;                    // all of Velero's
  std::optional<std::set<std::string>> storage_classes;  // nothing: they may not be listed
  // Where it goes to another namespace: FixedNodePorts of the Services of the one that was backed up, as far as that is in
  // this cluster and may be looked at.
  std::vector<std::string> fixed_ports;
  ObjectFacts objects;
};

std::vector<Finding> FindRestoreProblems(const v1::VeleroRestore& action, const RestoreFacts& facts);

// The result of the action: a refusal that names all that refuses, or the warnings and what the restore would do.
StatusOr<v1::ActionResult> JudgeRestoreCheck(const v1::VeleroRestore& action, const RestoreFacts& facts);

// Names the claims of the restore that are there already; OK where none is. Velero leaves such a claim as it is, and
// brings no data into it.
Status RefuseExistingClaims(const v1::VeleroRestore& action, const std::vector<Claim>& claims);

}  // namespace salvor::velero
