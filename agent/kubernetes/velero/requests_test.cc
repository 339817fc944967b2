#include "agent/kubernetes/velero/requests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;

std::string Tries(const std::string& name, const std::vector<Json>& objects) {
  std::vector<BackupState> all;
  for (const Json& object : objects) all.push_back(ReadBackup(object));
  std::string names;
  for (const BackupState& backup : FindTries(name, "run", all)) names += backup.name + " ";
  return names;
}

TEST(DeleteRequest, NamesTheBackupAsVeleroLooksForIt) {
  const Json request = MakeDeleteRequest(ReadBackup(BackupObject("b-2", "run", "Completed")), "velero");
  EXPECT_EQ(TextAt(request, {"spec", "backupName"}), "b-2");
  EXPECT_EQ(TextAt(request, {"metadata", "generateName"}), "b-2-");
  EXPECT_EQ(TextAt(request, {"metadata", "labels", "velero.io/backup-name"}), "b-2");
  EXPECT_EQ(TextAt(request, {"metadata", "labels", "velero.io/backup-uid"}), "uid-b-2");
}

TEST(Tries, AreTheNamedOneAndTheDeadOnesOfItsRun) {
  const std::vector<Json> all = {
      BackupObject("b", "run", "Failed"),     BackupObject("b-2", "run", "Completed"),
      BackupObject("b-3", "other", "Failed"), BackupObject("b-27", "run", "Failed"),
      BackupObject("c", "run", "Failed"),     BackupObject("b-4", "run", "InProgress")};
  EXPECT_EQ(Tries("b-2", all), "b b-2 ");
  EXPECT_EQ(Tries("b", all), "b ");
  EXPECT_EQ(Tries("c", all), "c ");
  EXPECT_EQ(Tries("none", all), "");
}

TEST(Deletion, FailsByTheErrorsOfARequestThatIsOver) {
  const BackupState backup = ReadBackup(BackupObject("b", "run", "Deleting"));
  EXPECT_TRUE(JudgeDeletion(backup, {}).ok());
  EXPECT_TRUE(JudgeDeletion(backup, {{"r", "InProgress", {}}, {"s", "Processed", {}}}).ok());
  EXPECT_TRUE(JudgeDeletion(backup, {{"r", "", {"early"}}}).ok());
  const Status failed = JudgeDeletion(backup, {{"r", "Processed", {"no\nroom", "no right"}}});
  EXPECT_EQ(failed.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(failed), HasSubstr("could not delete its backup b: no room; no right"));
}

}  // namespace
}  // namespace salvor::velero
