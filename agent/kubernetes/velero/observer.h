// What an executor sees of Velero while it does its steps, as values, for who keeps figures of it. Nothing is asked of a
// cluster for its sake.
#pragma once

#include <string>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/preflight.h"
#include "salvor/v1/action.pb.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

// How many of the volumes that were planned a Backup really holds.
struct VolumeCount {
  int covered = 0, not_covered = 0;
  int left_out = 0;  // on purpose: only the claim was to be kept
  int64_t bytes = 0;
};

// `judged`: the result of JudgeCoverage, which names the planned volumes.
VolumeCount CountVolumes(const v1::ActionResult& judged);

// Backups that are not over, as Velero takes them one after another.
struct Queue {
  int queued = 0, running = 0;
};

Queue CountQueue(const std::vector<BackupState>& backups);

// Called from any thread, for each Velero by its namespace. Must not block.
class VeleroObserver {
 public:
  virtual ~VeleroObserver() = default;
  // The server was asked; `version` is what it answered with, "" where it gave no answer in time.
  virtual void OnServer(const std::string& velero_namespace, const std::string& version) = 0;
  // All storage locations that there are.
  virtual void OnLocations(const std::string& velero_namespace,
                           const std::vector<StorageLocation>& locations) = 0;
  // Of all Backups that there are.
  virtual void OnQueue(const std::string& velero_namespace, const Queue& queue) = 0;
  // Of a Backup that is waited for: whether nothing has moved of it for long. No longer, too, when the wait is over.
  virtual void OnStall(const std::string& velero_namespace, const std::string& backup, bool is_stalled) = 0;
  // A Backup was judged.
  virtual void OnVolumes(const std::string& application, const VolumeCount& count) = 0;
};

}  // namespace salvor::velero
