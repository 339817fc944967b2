#include "agent/undo_of_0_1.h"

#include "agent/engines/disk/actions/leftovers.h"

namespace salvor::agent {

v1::Action UndoOf0_1(const v1::HeldObligation& obligation) {
  v1::Action undo;
  if (obligation.kind() == "restore-folders") {
    const auto restore = DiskRestoreUndoOf0_1(obligation);
    if (restore.ok()) *undo.mutable_disk_restore_undo() = *restore;
    return undo;
  }
  // All others were places of drills, each named as its run.
  undo.mutable_scratch_stop()->set_name(obligation.run());
  return undo;
}

}  // namespace salvor::agent
