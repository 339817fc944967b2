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

// One character that changes makes it another.
std::string Fingerprint(const BackupState& backup, const std::vector<Transfer>& transfers) {
  std::string print = fmt::format("{} {} {}", backup.phase, backup.items_done, backup.items_total);
  for (const Transfer& one : transfers)
    print += fmt::format("|{} {} {} {}", one.name, one.phase, one.bytes_done, one.bytes_total);
  return print;
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

v1::Progress DescribeProgress(const BackupState& backup, const std::vector<Transfer>& transfers, int ahead) {
  v1::Progress progress;
  bool all_known = !transfers.empty();
  int64_t total = 0;
  size_t over = 0;
  for (const Transfer& one : transfers) {
    progress.set_bytes_done(progress.bytes_done() + one.bytes_done);
    total += one.bytes_total;
    all_known = all_known && (one.bytes_total > 0 || IsOver(one));
    over += IsOver(one) ? 1 : 0;
  }
  if (all_known) progress.set_bytes_total(total);
  if (backup.stage == Stage::kWaiting && ahead > 0) {
    progress.set_message(
        fmt::format("waiting for {} backup{} of Velero before ours", ahead, ahead == 1 ? "" : "s"));
  } else if (backup.stage == Stage::kWaiting || backup.stage == Stage::kReady) {
    progress.set_message("waiting for Velero to begin");
  } else if (over < transfers.size()) {
    progress.set_message(fmt::format("{} of {} volumes copied", over, transfers.size()));
  } else if (backup.items_done < backup.items_total) {
    progress.set_message(fmt::format("{} of {} objects collected", backup.items_done, backup.items_total));
  } else {
    progress.set_message(fmt::format("Velero says {}", CleanText(backup.phase)));
  }
  return progress;
}

std::optional<std::string> StallWatch::Look(const BackupState& backup, const std::vector<Transfer>& transfers,
                                            SteadyTime now) {
  std::string print = Fingerprint(backup, transfers);
  if (print != seen_ || since_ == SteadyTime::InfiniteFuture()) {
    seen_ = std::move(print);
    since_ = now;
    return std::nullopt;
  }
  const absl::Duration still = now - since_;
  if (still < patience_ || backup.stage == Stage::kWaiting || IsOver(backup.stage)) return std::nullopt;
  std::vector<std::string> waited_for;
  for (const Transfer& one : transfers) {
    if (!IsOver(one)) waited_for.push_back(Describe(one));
  }
  const std::string what =
      waited_for.empty() ? "Velero says " + CleanText(backup.phase) : "for " + Join(waited_for, ", ");
  return fmt::format("nothing has moved for {}, waiting: {}", HumanDuration(still), what);
}

}  // namespace salvor::velero
