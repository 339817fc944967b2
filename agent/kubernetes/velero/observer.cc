#include "agent/kubernetes/velero/observer.h"

#include <map>

namespace salvor::velero {

VolumeCount CountVolumes(const v1::ActionResult& judged) {
  std::map<std::string, int64_t> kept;  // bytes, by the artifact's name
  for (const v1::Artifact& artifact : judged.artifacts()) kept[artifact.name()] = artifact.bytes();
  VolumeCount count;
  for (const v1::VeleroVolume& volume : judged.velero().volumes()) {
    const auto found = kept.find(volume.artifact());
    if (!volume.skip().empty()) {
      ++count.left_out;
    } else if (found == kept.end()) {
      ++count.not_covered;
    } else {
      ++count.covered;
      count.bytes += found->second;
    }
  }
  return count;
}

Queue CountQueue(const std::vector<BackupState>& backups) {
  Queue queue;
  for (const BackupState& backup : backups) {
    if (backup.being_deleted) continue;
    if (backup.stage == Stage::kWaiting || backup.stage == Stage::kReady) ++queue.queued;
    if (backup.stage == Stage::kRunning) ++queue.running;
  }
  return queue;
}

}  // namespace salvor::velero
