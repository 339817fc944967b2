#include "agent/kubernetes/velero/stopping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/restore_objects_testing.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;

struct Case {
  const char* phase;  // nullptr: nobody knows
  const char* says;
  const char* command;
};

TEST(StoppedBackup, SaysWhatGoesOnAndTheCommandThatEndsIt) {
  const char* take_back =
      "while it is New or Queued: kubectl -n backup-system delete backups.velero.io b, and its "
      "policy: kubectl -n backup-system delete configmap b. Once";
  const char* remove =
      "emove it: velero -n backup-system backup delete -l salvor.dev/run=run-1, and its policy: "
      "kubectl -n backup-system delete configmap -l salvor.dev/run=run-1";
  for (const Case& one : {
           Case{"", "is still in Velero's queue: Velero makes it all the same", take_back},
           Case{"New", "is still in Velero's queue", take_back},
           Case{"Queued", "is still in Velero's queue", take_back},
           Case{"ReadyToStart", "Velero goes on with: it can't be stopped", remove},
           Case{"InProgress", "Velero goes on with: it can't be stopped", remove},
           Case{"Reticulating", "Velero goes on with: it can't be stopped", remove},
           Case{nullptr, "Velero goes on with: it can't be stopped", remove},
           Case{"Completed", "was over: it is Completed, and stays", remove},
           Case{"Failed", "was over: it is Failed, and stays", remove},
       }) {
    std::optional<BackupState> seen;
    if (one.phase != nullptr) seen = ReadBackup(BackupObject("b", "run-1", one.phase));
    const Status status = StoppedBackup("b", seen, "backup-system", "run-1");
    const std::string shown = one.phase == nullptr ? "unknown" : one.phase;
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << shown;
    EXPECT_THAT(MessageOf(status), HasSubstr(one.says)) << shown;
    EXPECT_THAT(HintOf(status), HasSubstr(one.command)) << shown;
  }
}

TEST(StoppedRestore, SaysWhatGoesOnAndTheCommandThatEndsIt) {
  const char* label = "from namespace shop-copy: it carries the label velero.io/restore-name=r.";
  for (const Case& one : {
           Case{"", "is still in Velero's queue and could not be taken back",
                "while it is New: kubectl -n velero delete restores.velero.io r. Once"},
           Case{"New", "Velero makes it all the same", label},
           Case{"InProgress", "Velero goes on with: it can't be stopped", label},
           Case{nullptr, "Velero goes on with: it can't be stopped", label},
           Case{"Completed", "was over: it is Completed, and was not checked", label},
           Case{"PartiallyFailed", "was over: it is PartiallyFailed", label},
       }) {
    std::optional<RestoreState> seen;
    if (one.phase != nullptr) seen = ReadRestore(RestoreObject("r", one.phase));
    const Status status = StoppedRestore("r", seen, "velero", "shop-copy");
    const std::string shown = one.phase == nullptr ? "unknown" : one.phase;
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << shown;
    EXPECT_THAT(MessageOf(status), HasSubstr(one.says)) << shown;
    EXPECT_THAT(HintOf(status), HasSubstr(one.command)) << shown;
  }
}

}  // namespace
}  // namespace salvor::velero
