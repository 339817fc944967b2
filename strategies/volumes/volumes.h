// The volumes that the components of a run on a cluster want kept or brought back: Velero does it, with the objects
// of their namespaces. Pure.
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
  v1::Quiesce quiesce = {};      // backup; empty: nothing is held still
  bool relies_on_hooks = false;  // backup; of Velero's
};

// volumes.preflight → volumes.backup.NAMESPACE, one each, which begin once the steps of `earlier` are over, whatever became
// of them: dumps come first. Where components want pods held still there is more before each (HoldStill, quiesce.h), and
// one namespace comes after the other. Nothing where nobody wants a volume. FailedPrecondition where two components want
// the same. The name of each Backup of Velero's is decided here, so that whoever tries again finds what is there.
StatusOr<Fragment> KeepVolumes(const std::vector<ComponentVolumes>& wanted, const v1::Manifest& header,
                               const BackupRequest& request, const std::vector<std::string>& earlier);

// volumes.check-target.NAMESPACE (which looks) → volumes.restore.NAMESPACE, one pair for each of Velero's Backups in
// the manifest that has volumes of these components; NAMESPACE is where it goes to. A Backup comes back as a whole,
// so it is refused, by name, where only some of its components are wanted, or want to go to several places. What the
// manifest has not is among the fragment's missing. Nothing where nobody wants a volume.
// In a drill each goes to a scratch namespace, which is among the fragment's scratch places; NAMESPACE is where it was
// backed up.
StatusOr<Fragment> ReturnVolumes(const std::vector<ComponentVolumes>& wanted, const RestoreRequest& request);

// FailedPrecondition for what this version cannot do yet: restores and drills from a cluster to hosts or from hosts to a
// cluster.
Status RefuseRestore(const RestoreRequest& request);

}  // namespace salvor::strategies
