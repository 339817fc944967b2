#include "agent/kubernetes/velero/stopping.h"

#include "agent/kubernetes/velero/resources.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

std::string RemoveBackups(const std::string& in, const std::string& run) {
  return fmt::format(
      "velero -n {0} backup delete -l {1}={2}, and its policy: kubectl -n {0} delete configmap -l {1}={2}",
      in, kRunLabel, run);
}

std::string LabelledAs(const std::string& target, const std::string& name) {
  return fmt::format("remove what is not wanted from namespace {}: it carries the label {}={}.", target,
                     kRestoreNameLabel, name);
}

}  // namespace

Status StoppedBackup(const std::string& name, const std::optional<BackupState>& seen, const std::string& in,
                     const std::string& run) {
  if (seen.has_value() && seen->stage == Stage::kWaiting) {
    return WithHint(
        Cancelled("stopped waiting for Velero's backup {}, which is still in Velero's queue: Velero makes it "
                  "all the same",
                  name),
        fmt::format(
            "Take it back while it is New or Queued: kubectl -n {0} delete backups.velero.io {1}, and "
            "its policy: kubectl -n {0} delete configmap {1}. Once Velero has begun, wait until it is "
            "over: velero -n {0} backup delete {1}",
            in, name));
  }
  if (seen.has_value() && IsOver(seen->stage)) {
    return WithHint(Cancelled("stopped when Velero's backup {} was over: it is {}, and stays", name,
                              CleanText(seen->phase)),
                    "Remove it: " + RemoveBackups(in, run));
  }
  return WithHint(
      Cancelled("stopped waiting for Velero's backup {}, which Velero goes on with: it can't be stopped",
                name),
      "When it is over, remove it: " + RemoveBackups(in, run));
}

Status StoppedRestore(const std::string& name, const std::optional<RestoreState>& seen, const std::string& in,
                      const std::string& target) {
  if (seen.has_value() && seen->stage == RestoreStage::kWaiting) {
    return WithHint(
        Cancelled(
            "stopped waiting for Velero's restore {}, which is still in Velero's queue and could not be "
            "taken back: Velero makes it all the same",
            name),
        fmt::format(
            "Take it back while it is New: kubectl -n {} delete restores.velero.io {}. Once Velero has "
            "begun, wait until it is over, and {}",
            in, name, LabelledAs(target, name)));
  }
  if (seen.has_value() && IsOver(seen->stage)) {
    return WithHint(Cancelled("stopped when Velero's restore {} was over: it is {}, and was not checked",
                              name, CleanText(seen->phase)),
                    "See what came back, and " + LabelledAs(target, name));
  }
  return WithHint(
      Cancelled("stopped waiting for Velero's restore {}, which Velero goes on with: it can't be stopped",
                name),
      "When it is over, " + LabelledAs(target, name));
}

}  // namespace salvor::velero
