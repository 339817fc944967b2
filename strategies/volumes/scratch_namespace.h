// The throw-away namespace that a drill of a cluster restores into. Pure.
#pragma once

#include <string>

#include "salvor/v1/velero.pb.h"
#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// The namespace for a name with at most 56 characters that no other run has: "salvor-drill-…" for a run "drill-…",
// which deploy/kubernetes/scratch-guard.yaml relies on.
std::string NameOfScratchNamespace(const std::string& name);

// The place that this restore goes to.
ScratchPlace ScratchNamespaceFor(const v1::VeleroRestore& restore, bool require_isolation);

}  // namespace salvor::strategies
