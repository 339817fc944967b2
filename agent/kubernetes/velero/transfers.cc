#include "agent/kubernetes/velero/transfers.h"

#include <algorithm>

#include "agent/kubernetes/velero/resources.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

Transfer ReadCommon(const Json& object) {
  Transfer transfer;
  transfer.name = TextAt(object, {"metadata", "name"});
  transfer.phase = TextAt(object, {"status", "phase"});
  transfer.message = TextAt(object, {"status", "message"});
  transfer.claim_uid = TextAt(object, {"metadata", "labels", kClaimUidLabel});
  transfer.handle = TextAt(object, {"status", "snapshotID"});
  transfer.started = TimeAt(object, {"status", "startTimestamp"});
  transfer.completed = TimeAt(object, {"status", "completionTimestamp"});
  transfer.bytes_done = NumberAt(object, {"status", "progress", "bytesDone"});
  transfer.bytes_total = NumberAt(object, {"status", "progress", "totalBytes"});
  return transfer;
}

std::string Describe(const Transfer& transfer) {
  const std::string of = transfer.is_upload ? fmt::format("the upload of the volume of {}/{}",
                                                          transfer.name_space, transfer.source)
                                            : fmt::format("the copy of volume {} of pod {}/{}",
                                                          transfer.source, transfer.name_space, transfer.pod);
  const std::string where = transfer.node.empty() ? "on no node yet" : "on node " + transfer.node;
  return fmt::format("{} ({}, {}, {} done)", of, transfer.phase.empty() ? "New" : transfer.phase, where,
                     HumanBytes(transfer.bytes_done));
}

std::string DescribeReturn(const Transfer& transfer) {
  const std::string of = transfer.is_upload
                             ? fmt::format("the data of claim {}/{}", transfer.name_space, transfer.source)
                             : fmt::format("the files of volume {} of pod {}/{}", transfer.source,
                                           transfer.name_space, transfer.pod);
  const std::string where = transfer.node.empty() ? "on no node yet" : "on node " + transfer.node;
  return fmt::format("{} ({}, {}, {} of {} done)", of, transfer.phase.empty() ? "New" : transfer.phase, where,
                     HumanBytes(transfer.bytes_done), HumanBytes(transfer.bytes_total));
}

// What Velero works on: a Backup or a Restore.
template <typename Work>
std::string Fingerprint(const Work& work, const std::vector<Transfer>& transfers) {
  std::string print = fmt::format("{} {} {}", work.phase, work.items_done, work.items_total);
  for (const Transfer& one : transfers)
    print += fmt::format("|{} {} {} {}", one.name, one.phase, one.bytes_done, one.bytes_total);
  return print;
}

template <typename Words>
std::vector<std::string> WaitedFor(const std::vector<Transfer>& transfers, Words&& words) {
  std::vector<std::string> waited_for;
  for (const Transfer& one : transfers) {
    if (!IsOver(one)) waited_for.push_back(words(one));
  }
  return waited_for;
}

struct Sum {
  v1::Progress bytes;
  size_t over = 0;
};

Sum SumOf(const std::vector<Transfer>& transfers) {
  Sum sum;
  bool all_known = !transfers.empty();
  int64_t total = 0;
  for (const Transfer& one : transfers) {
    sum.bytes.set_bytes_done(sum.bytes.bytes_done() + one.bytes_done);
    total += one.bytes_total;
    all_known = all_known && (one.bytes_total > 0 || IsOver(one));
    sum.over += IsOver(one) ? 1 : 0;
  }
  if (all_known) sum.bytes.set_bytes_total(total);
  return sum;
}

std::string Queued(int ahead, std::string_view noun) {
  if (ahead <= 0) return "waiting for Velero to begin";
  return fmt::format("waiting for {} {}{} of Velero before ours", ahead, noun, ahead == 1 ? "" : "s");
}

}  // namespace

Transfer ReadPodVolumeBackup(const Json& object) {
  Transfer transfer = ReadCommon(object);
  transfer.name_space = TextAt(object, {"spec", "pod", "namespace"});
  transfer.pod = TextAt(object, {"spec", "pod", "name"});
  transfer.source = TextAt(object, {"spec", "volume"});
  transfer.node = TextAt(object, {"spec", "node"});
  return transfer;
}

Transfer ReadDataUpload(const Json& object) {
  Transfer transfer = ReadCommon(object);
  transfer.is_upload = true;
  transfer.name_space = TextAt(object, {"spec", "sourceNamespace"});
  transfer.source = TextAt(object, {"spec", "sourcePVC"});
  transfer.node = TextAt(object, {"status", "node"});
  return transfer;
}

bool IsOver(const Transfer& transfer) {
  return transfer.phase == "Completed" || transfer.phase == "Failed" || transfer.phase == "Canceled";
}

bool Succeeded(const Transfer& transfer) { return transfer.phase == "Completed"; }

Transfer ReadPodVolumeRestore(const Json& object) {
  Transfer transfer = ReadCommon(object);
  transfer.name_space = TextAt(object, {"spec", "pod", "namespace"});
  transfer.pod = TextAt(object, {"spec", "pod", "name"});
  transfer.source = TextAt(object, {"spec", "volume"});
  transfer.handle = TextAt(object, {"spec", "snapshotID"});
  transfer.node = TextAt(object, {"status", "node"});
  return transfer;
}

Transfer ReadDataDownload(const Json& object) {
  Transfer transfer = ReadCommon(object);
  transfer.is_upload = true;
  transfer.name_space = TextAt(object, {"spec", "targetVolume", "namespace"});
  transfer.source = TextAt(object, {"spec", "targetVolume", "pvc"});
  transfer.handle = TextAt(object, {"spec", "snapshotID"});
  transfer.node = TextAt(object, {"status", "node"});
  return transfer;
}

v1::Progress DescribeProgress(const BackupState& backup, const std::vector<Transfer>& transfers, int ahead) {
  const Sum sum = SumOf(transfers);
  v1::Progress progress = sum.bytes;
  if (backup.stage == Stage::kWaiting || backup.stage == Stage::kReady) {
    progress.set_message(Queued(backup.stage == Stage::kWaiting ? ahead : 0, "backup"));
  } else if (sum.over < transfers.size()) {
    progress.set_message(fmt::format("{} of {} volumes copied", sum.over, transfers.size()));
  } else if (backup.items_done < backup.items_total) {
    progress.set_message(fmt::format("{} of {} objects collected", backup.items_done, backup.items_total));
  } else {
    progress.set_message(fmt::format("Velero says {}", CleanText(backup.phase)));
  }
  return progress;
}

v1::Progress DescribeProgress(const RestoreState& restore, const std::vector<Transfer>& transfers,
                              int ahead) {
  const Sum sum = SumOf(transfers);
  v1::Progress progress = sum.bytes;
  if (restore.stage == RestoreStage::kWaiting) {
    progress.set_message(Queued(ahead, "restore"));
  } else if (sum.over < transfers.size()) {
    progress.set_message(fmt::format("{} of {} volumes brought back", sum.over, transfers.size()));
  } else if (restore.items_done < restore.items_total) {
    progress.set_message(fmt::format("{} of {} objects looked at", restore.items_done, restore.items_total));
  } else {
    progress.set_message(fmt::format("Velero says {}", CleanText(restore.phase)));
  }
  return progress;
}

std::optional<std::string> StallWatch::Look(const BackupState& backup, const std::vector<Transfer>& transfers,
                                            std::optional<int> ahead, SteadyTime now) {
  const bool waits = backup.stage == Stage::kWaiting;
  return Note({Fingerprint(backup, transfers), backup.phase, waits, IsOver(backup.stage), ahead},
              WaitedFor(transfers, Describe), now);
}

std::optional<std::string> StallWatch::Look(const RestoreState& restore,
                                            const std::vector<Transfer>& transfers, std::optional<int> ahead,
                                            SteadyTime now) {
  const bool waits = restore.stage == RestoreStage::kWaiting;
  return Note({Fingerprint(restore, transfers), restore.phase, waits, IsOver(restore.stage), ahead},
              WaitedFor(transfers, DescribeReturn), now);
}

std::optional<std::string> StallWatch::Note(State state, const std::vector<std::string>& waited_for,
                                            SteadyTime now) {
  if (state.waits) state.print += fmt::format("/{}", state.ahead.value_or(-1));
  if (state.print != seen_ || since_ == SteadyTime::InfiniteFuture()) {
    seen_ = std::move(state.print);
    since_ = now;
    return std::nullopt;
  }
  const absl::Duration still = now - since_;
  if (still < patience_ || state.is_over) return std::nullopt;
  if (state.waits && state.ahead != 0) return std::nullopt;
  if (state.waits)
    return fmt::format("Velero has begun nothing for {}, although nothing is before it: restart Velero",
                       HumanDuration(still));
  const std::string what =
      waited_for.empty() ? "Velero says " + CleanText(state.phase) : "for " + Join(waited_for, ", ");
  return fmt::format("nothing has moved for {}, waiting: {}", HumanDuration(still), what);
}

}  // namespace salvor::velero
