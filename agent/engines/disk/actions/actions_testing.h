// A tree, a repository with a real restic, and the disk strategy's actions on both. Tests only.
#pragma once

#include <gmock/gmock.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/engines/disk/actions/actions.h"
#include "agent/engines/disk/actions/staging.h"
#include "agent/engines/disk/tree_testing.h"
#include "agent/process/scripted_tools.h"
#include "agent/restic/restic_testing.h"
#include "agent/work/action_testing.h"
#include "agent/work/registry.h"
#include "agent/work/restore_record.h"
#include "base/steady_time.h"
#include "base/text.h"

namespace salvor::agent {

inline constexpr char kScratch[] = "drill-shop-1";

class DiskActionsTest : public testing::Test {
 protected:
  void SetUp() override {
    repository_.Make();
    ASSERT_NO_FATAL_FAILURE(MakeOddTree(root_));
    config_.state_directory = state_;
    task_.mutable_lease()->set_run("backup-shop-1");
    task_.mutable_lease()->set_attempt(1);
    task_.set_component("files");
  }

  template <typename Message>
  StatusOr<v1::ActionResult> Run(TypedAction<Message> function, const v1::Action& action) {
    ActionContext context{config_, tools_, task_, {}, SteadyTime::InfiniteFuture(), on_progress_, nullptr};
    return function(PartOf<Message>(action), context);
  }

  StatusOr<v1::ActionResult> Backup(const std::vector<std::string>& exclude = {}) {
    v1::Action action;
    for (const std::string& path : paths_) action.mutable_disk_backup()->mutable_component()->add_paths(path);
    for (const std::string& one : exclude)
      action.mutable_disk_backup()->mutable_component()->add_exclude(one);
    for (const std::string& one : mount_points_)
      action.mutable_disk_backup()->mutable_component()->add_mount_points(one);
    action.mutable_disk_backup()->mutable_component()->set_cross_file_systems(cross_file_systems_);
    v1::ArtifactTarget& target = *action.mutable_disk_backup()->mutable_target();
    *target.mutable_location() = repository_.Location();
    target.set_backup("shop-1");
    target.set_component("files");
    target.set_artifact("files.tree");
    return Run(RunDiskBackup, action);
  }
  void MustBackup(const std::vector<std::string>& exclude = {}) {
    const StatusOr<v1::ActionResult> result = Backup(exclude);
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_EQ(result->artifacts_size(), 2);
    kept_ = *result;
  }

  template <typename Part>
  void Fill(Part* part) {
    if (target_root_.empty()) {
      part->mutable_target()->set_scratch(kScratch);
    } else {
      part->mutable_target()->set_root(target_root_);
    }
    for (const std::string& path : paths_) part->add_paths(path);
    if (destination_.empty()) return;
    v1::DiskDestination* pair = part->add_destinations();
    pair->set_path(root_);
    pair->set_destination(destination_);
  }
  Status TargetCheck() {
    v1::Action action;
    Fill(action.mutable_disk_target_check());
    return Run(RunDiskTargetCheck, action).status();
  }
  Status Restore(const std::string& run = "restore-shop-1") {
    v1::Action action;
    Fill(action.mutable_disk_restore());
    *action.mutable_disk_restore()->mutable_location() = repository_.Location();
    *action.mutable_disk_restore()->mutable_tree() = kept_.artifacts(0);
    *action.mutable_disk_restore()->mutable_details() = kept_.artifacts(1);
    action.mutable_disk_restore()->set_run(run);
    const auto result = Run(RunDiskRestore, action);
    restore_warnings_ = {};
    if (result.ok()) restore_warnings_.assign(result->warnings().begin(), result->warnings().end());
    return result.status();
  }
  // "files passed", "content failed: …" of each check.
  std::vector<std::string> Verify() {
    v1::Action action;
    Fill(action.mutable_disk_verify());
    *action.mutable_disk_verify()->mutable_location() = repository_.Location();
    *action.mutable_disk_verify()->mutable_details() = kept_.artifacts(1);
    const StatusOr<v1::ActionResult> result = Run(RunDiskVerify, action);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    std::vector<std::string> verdicts;
    for (const v1::Check& check : result->checks()) {
      EXPECT_EQ(check.component(), "files");
      EXPECT_EQ(check.subject(), PercentEncode(root_));
      const std::string word = v1::Check::Verdict_Name(check.verdict()).substr(8);
      verdicts.push_back(check.kind() + " " + word);
      compared_[check.kind()] = check.compared();
    }
    return verdicts;
  }
  std::string Restored(const std::string& path = "") const {
    return (target_root_.empty()  ? state_ + "/scratch/" + kScratch + "/files"
            : target_root_ == "/" ? ""
                                  : target_root_) +
           (destination_.empty() ? root_ : destination_) + path;
  }
  void MustRestoreToScratch() {
    ASSERT_NO_FATAL_FAILURE(MustBackup());
    const Status status = Restore();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_THAT(Verify(), testing::ElementsAre("files PASSED", "content PASSED", "metadata PASSED"))
        << compared_["files"] << "\n"
        << compared_["content"] << "\n"
        << compared_["metadata"];
  }
  std::vector<v1::TreeEntry> Details() {
    const auto text = repository_.Open().LoadText(kept_.artifacts(1));
    EXPECT_TRUE(text.ok()) << text.status();
    const auto tree = DecodeTree(text.value_or(""));
    EXPECT_TRUE(tree.ok()) << tree.status();
    return tree.ok() ? tree->entries : std::vector<v1::TreeEntry>();
  }

  // A whole backup, restored and equal.
  void MustComeBack(const std::string& run = "restore-shop-1") {
    const Status status = Restore(run);
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_THAT(Verify(), testing::ElementsAre("files PASSED", "content PASSED", "metadata PASSED"))
        << compared_["files"] << "\n"
        << compared_["content"] << "\n"
        << compared_["metadata"];
  }
  // Folders of restores that are still there.
  std::vector<std::string> Leftovers(const std::string& directory) const {
    std::vector<std::string> found;
    for (const auto& entry : EntriesOf({directory})) {
      if (entry.path().find(".salvor-restore-") != std::string::npos) found.push_back(entry.path());
    }
    return found;
  }
  std::vector<DiskPlace> Places() const {
    return {{root_, target_root_ + (destination_.empty() ? root_ : destination_)}};
  }
  // A restore that was killed in the middle leaves this, and its record; `half` is in its folder.
  RestoreState Interrupted(const std::string& half) {
    auto state = PlanStaging(Places(), target_root_);
    EXPECT_TRUE(state.ok()) << state.status();
    EXPECT_TRUE(MakeFolders(target_root_, &*state).ok());
    const auto folder = OpenFolder(target_root_, *state, 0);
    EXPECT_TRUE(folder.ok()) << folder.status();
    Put(PathOfDescriptor(folder->Get()) + "/" + half, "x");
    state->run = "restore-shop-1";
    state->component = "files";
    state->prefix = target_root_;
    EXPECT_TRUE(RecordOf("restore-shop-1").Write(EncodeRestoreState(*state)).ok());
    return *state;
  }
  // A restore that was killed when its copy was whole, and not in place yet, leaves this.
  void MustLay(const std::string& run) {
    auto state = PlanStaging(Places(), target_root_);
    ASSERT_TRUE(state.ok()) << state.status();
    ASSERT_TRUE(MakeFolders(target_root_, &*state).ok());
    const auto folder = OpenFolder(target_root_, *state, 0);
    ASSERT_TRUE(folder.ok()) << folder.status();
    const std::string& snapshot = kept_.artifacts(0).snapshot();
    const Status laid = repository_.Open().Restore(snapshot, PathOfDescriptor(folder->Get()), {root_});
    ASSERT_TRUE(laid.ok()) << laid;
    ASSERT_TRUE(IdentifyCopies(target_root_, snapshot, &*state).ok());
    ASSERT_TRUE(RecordOf(run).Write(EncodeRestoreState(*state)).ok());
  }
  RestoreRecord RecordOf(const std::string& run) { return *RestoreRecord::For(config_, run, "files"); }
  std::string ParentOfRestored() const {
    const std::string path = Restored();
    return path.substr(0, path.rfind('/'));
  }

  ResticRepositoryForTest repository_;
  TemporaryDirectory directory_;
  std::string state_ = NormalisePaths({directory_ / "state"}).front();
  std::string root_ = NormalisePaths({directory_ / "srv/shop"}).front();
  std::vector<std::string> paths_ = {root_};
  std::string target_root_;  // "" scratch
  std::string destination_;  // of root_; "" itself
  std::vector<std::string> mount_points_;
  bool cross_file_systems_ = false;
  std::vector<std::string> restore_warnings_;
  AgentConfig config_;
  ScriptedTools tools_{Tools()};
  v1::Task task_;
  std::function<void(const v1::Progress&)> on_progress_;
  v1::ActionResult kept_;
  std::map<std::string, std::string> compared_;
};

}  // namespace salvor::agent
