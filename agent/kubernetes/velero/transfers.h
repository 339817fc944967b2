// The transfers of a Backup, Velero's PodVolumeBackups and DataUploads, and of a Restore, PodVolumeRestores and
// DataDownloads. Only here bytes are counted; a Backup or a Restore itself counts objects. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "base/steady_time.h"
#include "salvor/v1/run.pb.h"

namespace salvor::velero {

struct Transfer {
  std::string name;
  bool is_upload = false;  // of a snapshot's data, or their download; else it reads or fills a pod's volume
  std::string name_space,
      source;  // the claim of an upload or download, the volume of a pod; of a Restore: where it goes
  std::string claim_uid;  // of the claim whose data they are; "" for a volume without one, and of downloads
  std::string pod, node;  // node: "" until one has it
  std::string phase;      // in Velero's words
  std::string message;
  std::string handle;  // of what was kept, or is brought back, in Velero's words
  int64_t bytes_done = 0, bytes_total = 0;
  absl::Time started = absl::InfinitePast(), completed = absl::InfinitePast();
};

Transfer ReadPodVolumeBackup(const Json& object);
Transfer ReadDataUpload(const Json& object);
Transfer ReadPodVolumeRestore(const Json& object);
Transfer ReadDataDownload(const Json& object);

bool IsOver(const Transfer& transfer);
bool Succeeded(const Transfer& transfer);

// What a person sees of the Backup now: bytes of the transfers, and in words what is waited for. `ahead`: how many
// backups Velero takes before it.
v1::Progress DescribeProgress(const BackupState& backup, const std::vector<Transfer>& transfers, int ahead);
v1::Progress DescribeProgress(const RestoreState& restore, const std::vector<Transfer>& transfers, int ahead);

// Notices that nothing moves: Velero itself would wait for hours for a transfer whose pod died. Not thread-safe.
class StallWatch {
 public:
  explicit StallWatch(absl::Duration patience) : patience_(patience) {}

  // To be called again and again. A sentence when nothing has changed for longer than the patience, what is waited for
  // in it; nothing while something moves, or while it waits in the queue for others. `ahead`: how many Velero takes before
  // it; nullopt where that is not known. Velero's queue hangs where none is and it begins nothing all the same: Velero
  // 1.18 goes on to count a backup that was deleted while it was made.
  std::optional<std::string> Look(const BackupState& backup, const std::vector<Transfer>& transfers,
                                  std::optional<int> ahead, SteadyTime now);
  std::optional<std::string> Look(const RestoreState& restore, const std::vector<Transfer>& transfers,
                                  std::optional<int> ahead, SteadyTime now);

 private:
  struct State {
    std::string print;  // one character that changes makes it another
    std::string phase;
    bool waits;  // in the queue
    bool is_over;
    std::optional<int> ahead;
  };
  std::optional<std::string> Note(State state, const std::vector<std::string>& waited_for, SteadyTime now);

  const absl::Duration patience_;
  std::string seen_;
  SteadyTime since_ = SteadyTime::InfiniteFuture();
};

}  // namespace salvor::velero
