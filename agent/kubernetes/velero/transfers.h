// The transfers of a Backup: Velero's PodVolumeBackups and DataUploads. Only here bytes are counted; a Backup itself
// counts objects. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"
#include "base/steady_time.h"
#include "salvor/v1/run.pb.h"

namespace salvor::velero {

struct Transfer {
  std::string name;
  bool is_upload = false;          // of a snapshot's data; else it reads a pod's volume
  std::string name_space, source;  // the claim of an upload, the volume of a pod
  std::string claim_uid;           // of the claim whose data they are; "" for a volume without one
  std::string pod, node;           // node: "" until one has it
  std::string phase;               // in Velero's words
  std::string message;
  std::string handle;  // of what was kept, in Velero's words
  int64_t bytes_done = 0, bytes_total = 0;
  absl::Time started = absl::InfinitePast(), completed = absl::InfinitePast();
};

Transfer ReadPodVolumeBackup(const Json& object);
Transfer ReadDataUpload(const Json& object);

bool IsOver(const Transfer& transfer);
bool Succeeded(const Transfer& transfer);

// What a person sees of the Backup now: bytes of the transfers, and in words what is waited for. `ahead`: how many
// backups Velero takes before it.
v1::Progress DescribeProgress(const BackupState& backup, const std::vector<Transfer>& transfers, int ahead);

// Notices that nothing moves: Velero itself would wait for hours for a transfer whose pod died. Not thread-safe.
class StallWatch {
 public:
  explicit StallWatch(absl::Duration patience) : patience_(patience) {}

  // To be called again and again. A sentence when nothing has changed for longer than the patience, what is waited for
  // in it; nothing while something moves, or while it waits in the queue for others.
  std::optional<std::string> Look(const BackupState& backup, const std::vector<Transfer>& transfers,
                                  SteadyTime now);

 private:
  const absl::Duration patience_;
  std::string seen_;
  SteadyTime since_ = SteadyTime::InfiniteFuture();
};

}  // namespace salvor::velero
