#include "agent/kubernetes/velero/transfers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/restore_objects_testing.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;

BackupState State(const std::string& phase, const Json& status = Json::object()) {
  return ReadBackup(BackupObject("b", "run", phase, status));
}

Transfer Copy(const std::string& phase, int64_t done, int64_t total) {
  return ReadPodVolumeBackup(
      {{"metadata", {{"name", "b-x7"}}},
       {"spec",
        {{"node", "node-1"}, {"volume", "data"}, {"pod", {{"namespace", "shop"}, {"name", "web-1"}}}}},
       {"status", {{"phase", phase}, {"progress", {{"bytesDone", done}, {"totalBytes", total}}}}}});
}

Transfer Upload(const std::string& phase, int64_t done, int64_t total) {
  return ReadDataUpload(
      {{"metadata", {{"name", "b-u"}}},
       {"spec", {{"sourceNamespace", "shop"}, {"sourcePVC", "db"}}},
       {"status", {{"phase", phase}, {"progress", {{"bytesDone", done}, {"totalBytes", total}}}}}});
}

TEST(Transfers, SayWhoseDataTheyKeptAndWhen) {
  const Json object = {{"metadata", {{"name", "b-x7"}, {"labels", {{"velero.io/pvc-uid", "uid-uploads"}}}}},
                       {"status",
                        {{"phase", "Completed"},
                         {"snapshotID", "9d2e"},
                         {"startTimestamp", "1970-01-01T00:16:40Z"},
                         {"completionTimestamp", "1970-01-01T00:17:40Z"}}}};
  for (const Transfer& read : {ReadPodVolumeBackup(object), ReadDataUpload(object)}) {
    EXPECT_EQ(read.claim_uid, "uid-uploads");
    EXPECT_EQ(read.handle, "9d2e");
    EXPECT_EQ(read.started, absl::FromUnixSeconds(1000));
    EXPECT_EQ(read.completed, absl::FromUnixSeconds(1060));
  }
  EXPECT_EQ(ReadPodVolumeBackup(Json()).started, absl::InfinitePast());
}

struct ProgressCase {
  BackupState backup;
  std::vector<Transfer> transfers;
  int ahead;
  int64_t done, total;
  std::string message;
};

TEST(Progress, CountsBytesAndSaysWhatIsWaitedFor) {
  for (const ProgressCase& one : {
           ProgressCase{State(""), {}, 0, 0, 0, "waiting for Velero to begin"},
           ProgressCase{State("Queued"), {}, 1, 0, 0, "waiting for 1 backup of Velero before ours"},
           ProgressCase{State("Queued"), {}, 3, 0, 0, "waiting for 3 backups of Velero before ours"},
           ProgressCase{State("ReadyToStart"), {}, 2, 0, 0, "waiting for Velero to begin"},
           ProgressCase{State("InProgress", {{"progress", {{"itemsBackedUp", 4}, {"totalItems", 9}}}}),
                        {},
                        0,
                        0,
                        0,
                        "4 of 9 objects collected"},
           ProgressCase{State("InProgress"), {Copy("New", 0, 0)}, 0, 0, 0, "0 of 1 volumes copied"},
           ProgressCase{State("InProgress"),
                        {Copy("InProgress", 10, 100), Copy("Completed", 50, 50)},
                        0,
                        60,
                        150,
                        "1 of 2 volumes copied"},
           ProgressCase{State("WaitingForPluginOperations"),
                        {Copy("Completed", 0, 0), Upload("InProgress", 7, 70)},
                        0,
                        7,
                        70,
                        "1 of 2 volumes copied"},
           ProgressCase{
               State("Reticulating"), {Copy("Completed", 5, 5)}, 0, 5, 5, "Velero says Reticulating"},
       }) {
    const v1::Progress progress = DescribeProgress(one.backup, one.transfers, one.ahead);
    EXPECT_EQ(progress.message(), one.message);
    EXPECT_EQ(progress.bytes_done(), one.done) << one.message;
    EXPECT_EQ(progress.bytes_total(), one.total) << one.message;
  }
}

RestoreState Restoring(const std::string& phase, const Json& status = Json::object()) {
  return ReadRestore(RestoreObject("r", phase, status));
}

Transfer Return(const std::string& phase, int64_t done, int64_t total) {
  return ReadPodVolumeRestore(
      {{"metadata", {{"name", "r-x7"}, {"labels", {{"velero.io/pvc-uid", "uid-new"}}}}},
       {"spec",
        {{"volume", "data"},
         {"snapshotID", "9d2e"},
         {"pod", {{"namespace", "shop-copy"}, {"name", "web-1"}}}}},
       {"status",
        {{"phase", phase}, {"node", "node-1"}, {"progress", {{"bytesDone", done}, {"totalBytes", total}}}}}});
}

Transfer Download(const std::string& phase, int64_t done, int64_t total) {
  return ReadDataDownload(
      {{"metadata", {{"name", "r-d"}}},
       {"spec", {{"snapshotID", "77aa"}, {"targetVolume", {{"namespace", "shop-copy"}, {"pvc", "db"}}}}},
       {"status", {{"phase", phase}, {"progress", {{"bytesDone", done}, {"totalBytes", total}}}}}});
}

TEST(Returns, SayWhatTheyBringWhere) {
  const Transfer files = Return("Completed", 5, 5);
  EXPECT_EQ(files.handle, "9d2e");
  EXPECT_EQ(files.claim_uid, "uid-new");
  EXPECT_EQ(files.name_space, "shop-copy");
  EXPECT_FALSE(files.is_upload);
  const Transfer moved = Download("Completed", 7, 7);
  EXPECT_EQ(moved.handle, "77aa");
  EXPECT_EQ(moved.source, "db");
  EXPECT_EQ(moved.bytes_done, 7);
  EXPECT_TRUE(moved.is_upload);
}

TEST(RestoreProgress, CountsBytesAndSaysWhatIsWaitedFor) {
  struct Case {
    RestoreState restore;
    std::vector<Transfer> transfers;
    int ahead;
    int64_t done, total;
    std::string message;
  };
  for (const Case& one : {
           Case{Restoring(""), {}, 0, 0, 0, "waiting for Velero to begin"},
           Case{Restoring("New"), {}, 1, 0, 0, "waiting for 1 restore of Velero before ours"},
           Case{Restoring("New"), {}, 2, 0, 0, "waiting for 2 restores of Velero before ours"},
           Case{Restoring("InProgress", {{"progress", {{"itemsRestored", 4}, {"totalItems", 9}}}}),
                {},
                0,
                0,
                0,
                "4 of 9 objects looked at"},
           Case{Restoring("InProgress"),
                {Return("InProgress", 10, 100), Download("Completed", 50, 50)},
                0,
                60,
                150,
                "1 of 2 volumes brought back"},
           Case{Restoring("Finalizing"), {Return("Completed", 5, 5)}, 0, 5, 5, "Velero says Finalizing"},
       }) {
    const v1::Progress progress = DescribeProgress(one.restore, one.transfers, one.ahead);
    EXPECT_EQ(progress.message(), one.message);
    EXPECT_EQ(progress.bytes_done(), one.done) << one.message;
    EXPECT_EQ(progress.bytes_total(), one.total) << one.message;
  }
}

class Stall : public testing::Test {
 protected:
  std::string Look(const BackupState& backup, const std::vector<Transfer>& transfers, int minute,
                   std::optional<int> ahead = std::nullopt) {
    return watch_.Look(backup, transfers, ahead, SteadyTime::At(absl::Minutes(minute))).value_or("");
  }
  StallWatch watch_{absl::Minutes(5)};
};

TEST_F(Stall, IsNoticedWhenNothingMovesForLongerThanThePatience) {
  const std::vector<Transfer> copies = {Copy("InProgress", 10, 100), Copy("Completed", 1, 1)};
  EXPECT_EQ(Look(State("InProgress"), copies, 0), "");
  EXPECT_EQ(Look(State("InProgress"), copies, 4), "");
  EXPECT_EQ(
      Look(State("InProgress"), copies, 6),
      "nothing has moved for 6m00s, waiting: for the copy of volume data of pod shop/web-1 (InProgress, on node "
      "node-1, 10 B done)");
}

TEST_F(Stall, IsNoneWhileAByteMovesOrAnObjectOrAPhase) {
  EXPECT_EQ(Look(State("InProgress"), {Copy("InProgress", 10, 100)}, 0), "");
  EXPECT_EQ(Look(State("InProgress"), {Copy("InProgress", 11, 100)}, 6), "");
  EXPECT_EQ(
      Look(State("InProgress", {{"progress", {{"itemsBackedUp", 1}}}}), {Copy("InProgress", 11, 100)}, 12),
      "");
  EXPECT_EQ(
      Look(State("Finalizing", {{"progress", {{"itemsBackedUp", 1}}}}), {Copy("InProgress", 11, 100)}, 18),
      "");
  EXPECT_THAT(
      Look(State("Finalizing", {{"progress", {{"itemsBackedUp", 1}}}}), {Copy("InProgress", 11, 100)}, 24),
      HasSubstr("nothing has moved for 6m00s"));
}

TEST_F(Stall, IsNoneInTheQueueOrAtTheEnd) {
  for (const char* phase : {"", "Queued", "Completed", "Failed"}) {
    EXPECT_EQ(Look(State(phase), {}, 0), "") << phase;
    EXPECT_EQ(Look(State(phase), {}, 60), "") << phase;
  }
}

TEST_F(Stall, OfAQueueThatBeginsNothingIsSaid) {
  EXPECT_EQ(Look(State("Queued"), {}, 0, 1), "");
  EXPECT_EQ(Look(State("Queued"), {}, 60, 1), "") << "another one is made";
  EXPECT_EQ(Look(State("Queued"), {}, 61, 0), "") << "that one is over just now";
  EXPECT_EQ(Look(State("Queued"), {}, 62, std::nullopt), "") << "nobody could be asked";
  EXPECT_EQ(Look(State("Queued"), {}, 70, std::nullopt), "");
  EXPECT_EQ(Look(State("Queued"), {}, 71, 0), "");
  EXPECT_EQ(Look(State("Queued"), {}, 77, 0),
            "Velero has begun nothing for 6m00s, although nothing is before it: restart Velero");
  EXPECT_EQ(Look(State("InProgress"), {}, 78), "");
  const auto restore = [&](int minute) {
    return watch_.Look(Restoring("New"), {}, 0, SteadyTime::At(absl::Minutes(minute))).value_or("");
  };
  EXPECT_EQ(restore(80), "");
  EXPECT_THAT(restore(86), HasSubstr("restart Velero"));
}

TEST_F(Stall, OfARestoreIsSaidLikewise) {
  const auto look = [&](const std::string& phase, const std::vector<Transfer>& transfers, int minute) {
    return watch_.Look(Restoring(phase), transfers, 1, SteadyTime::At(absl::Minutes(minute))).value_or("");
  };
  EXPECT_EQ(look("New", {}, 0), "");
  EXPECT_EQ(look("New", {}, 60), "") << "it waits for others";
  EXPECT_EQ(look("InProgress", {Return("InProgress", 1024, 4096)}, 61), "");
  EXPECT_EQ(
      look("InProgress", {Return("InProgress", 1024, 4096)}, 67),
      "nothing has moved for 6m00s, waiting: for the files of volume data of pod shop-copy/web-1 (InProgress, on "
      "node node-1, 1.00 KiB of 4.00 KiB done)");
  EXPECT_EQ(look("Finalizing", {}, 68), "");
  EXPECT_THAT(look("Finalizing", {}, 80), HasSubstr("Velero says Finalizing"));
  EXPECT_EQ(look("Completed", {}, 81), "");
  EXPECT_EQ(look("Completed", {}, 200), "");
}

TEST_F(Stall, OfATransferThatNoNodeTookIsSaid) {
  EXPECT_EQ(Look(State("InProgress"), {Upload("Prepared", 0, 0)}, 0), "");
  EXPECT_THAT(Look(State("InProgress"), {Upload("Prepared", 0, 0)}, 9),
              HasSubstr("the upload of the volume of shop/db (Prepared, on no node yet, 0 B done)"));
  EXPECT_EQ(Look(State("ReadyToStart"), {}, 10), "");
  EXPECT_THAT(Look(State("ReadyToStart"), {}, 20), HasSubstr("Velero says ReadyToStart"));
}

}  // namespace
}  // namespace salvor::velero
