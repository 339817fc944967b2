// The policy by which Velero treats each volume as it was planned. Pure.
//
// A policy of Velero 1.18 selects volumes by the labels of their claim, by storage class, capacity, driver with its
// attributes, and NFS share: never by a claim's name. So each rule names all of these of one claim, and a rule with
// more labels and attributes stands before one with fewer, for the first that fits is taken. Two claims that agree in
// all of it can't be told apart. Nothing is ever written to an application's claims or pods to tell them apart: who
// wants two such volumes kept in two ways labels one of the claims.
#pragma once

#include <string>
#include <vector>

#include "agent/kubernetes/velero/claims.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::velero {

// The policy as the text of a ConfigMap: JSON, which Velero's YAML reader takes. `claims` are all of the namespaces:
// whatever is not among the planned volumes is skipped, and so are volumes without a claim.
//
// FailedPrecondition when two volumes that are kept in different ways can't be told apart, or some snapshots are to be
// moved and others not, which Velero decides for a whole Backup. Where a volume that is kept can't be told apart from
// one that is skipped, both are kept. A planned volume without a claim or without a method is InvalidArgument.
StatusOr<std::string> MakeVolumePolicy(const std::vector<v1::VeleroVolume>& planned,
                                       const std::vector<Claim>& claims);

// Whether any is kept by a snapshot, moved or not; whether its data are moved.
bool AnySnapshot(const std::vector<v1::VeleroVolume>& planned);
bool AnyMoved(const std::vector<v1::VeleroVolume>& planned);

}  // namespace salvor::velero
