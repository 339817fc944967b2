// Applications that are held still while Velero makes the snapshots of their volumes: what may be declared, and the
// steps for it. Pure.
#pragma once

#include <string>
#include <vector>

#include "salvor/v1/flow.pb.h"
#include "salvor/v1/velero.pb.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// All problems of a component's quiesce and hooks, whatever it runs on.
void ValidateQuiesce(const v1::Component& component, Problems* problems);

// A valid one, which is not empty, for the claims of one namespace.
v1::PodQuiesce QuiesceOf(const std::string& component, const v1::Quiesce& declared,
                         const std::string& in_namespace, const std::vector<std::string>& claims);

// Puts before `backup`, the step that makes a Backup of Velero's of one namespace, those that hold its pods still:
//   volumes.turn.NS → volumes.snapshot.NS (opens the obligation) → volumes.backup.NS, which goes on with its Backup
//                                                              ↘ volumes.release.NS
// The dumps, and whatever else `backup` comes after, are over before the turn is waited for. `obligation` is its name.
void HoldStill(const std::vector<v1::PodQuiesce>& quiesces, const std::string& in_namespace,
               const std::string& obligation, v1::Step* backup, Fragment* fragment);

}  // namespace salvor::strategies
