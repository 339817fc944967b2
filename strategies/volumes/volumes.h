// The volumes that the components of a run on a cluster want kept: Velero keeps them, with the objects of their namespaces.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// "volume uploads of shop".
std::string TitleOfVolume(const std::string& claim, const std::string& in_namespace);

// "file-system backup", of a method by which a volume is, or shall be, kept.
std::string_view WordOf(v1::VolumeMethod method);

struct ComponentVolumes {
  std::string component;
  std::vector<Volume> volumes;
};

// volumes.preflight → volumes.backup.NAMESPACE, one each, which begin once the steps of `earlier` are over, whatever became
// of them: dumps come first. Nothing where nobody wants a volume. FailedPrecondition where two components want the same.
// The name of each Backup of Velero's is decided here, so that whoever tries again finds what is there.
StatusOr<Fragment> KeepVolumes(const std::vector<ComponentVolumes>& wanted, const v1::Manifest& header,
                               const BackupRequest& request, const std::vector<std::string>& earlier);

// FailedPrecondition for what this version cannot do yet: restore to a cluster, or what a cluster's Velero keeps.
Status RefuseRestore(const RestoreRequest& request);

}  // namespace salvor::strategies
