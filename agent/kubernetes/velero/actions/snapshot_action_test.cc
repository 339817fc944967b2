// The commands are real processes here: what holds and releases is looked for in a folder.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/kubernetes/fake/local_exec_testing.h"
#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/quiesce.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kRun[] = "backup-shop-1";

class VeleroSnapshotTest : public testing::Test {
 protected:
  VeleroSnapshotTest() {
    std::string pattern = testing::TempDir() + "/salvor-quiesce-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    held_ = folder_ + "/held";
    v1::VeleroBackup& backup = *action_.mutable_backup();
    backup.set_name("b");
    backup.add_namespaces("shop");
    backup.set_run(kRun);
    backup.set_application("shop");
    *backup.add_volumes() = Planned("uploads", v1::VOLUME_METHOD_FILE_SYSTEM);
    Hold({"touch", held_}, {"rm", "-f", held_});
    velero_.Cluster().OnExec(kubernetes::RunLocally);
    velero_.on_backup = [this](const std::string& name) {
      was_held_ = IsHeld();
      velero_.SetPhase(name, "InProgress");
    };
    velero_.on_progress = [this](const std::string&) { velero_.SetPhase("b", "WaitingForPluginOperations"); };
  }
  ~VeleroSnapshotTest() override { std::filesystem::remove_all(folder_); }

  void Hold(const std::vector<std::string>& command, const std::vector<std::string>& release,
            int deadline_s = 60) {
    action_.clear_quiesces();
    v1::PodQuiesce& quiesce = *action_.add_quiesces();
    quiesce.set_component("files");
    quiesce.set_namespace_("shop");
    quiesce.add_claims("uploads");
    *quiesce.mutable_command() = {command.begin(), command.end()};
    *quiesce.mutable_release() = {release.begin(), release.end()};
    quiesce.set_deadline_ms(deadline_s * 1000);
  }

  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunVeleroSnapshot, action_); }
  bool IsHeld() const { return std::filesystem::exists(held_); }
  // What lives on its own does it, sooner or later.
  void AwaitRelease() const {
    while (IsHeld()) std::this_thread::yield();
  }
  std::string WhyGivenUp(const std::string& name) {
    return TextAt(velero_.Get(Backups(), name), {"metadata", "annotations", kGivenUpAnnotation});
  }
  std::vector<std::string> Execs() {
    std::vector<std::string> pods;
    for (const kubernetes::ApiRequest& request : velero_.Cluster().Requests()) {
      if (request.resource == "pods/exec") pods.push_back(request.name);
    }
    return pods;
  }

  FakeVelero velero_;
  v1::VeleroSnapshot action_;
  std::string folder_, held_;
  bool was_held_ = false;
};

TEST_F(VeleroSnapshotTest, HoldsThePodStillUntilTheSnapshotsAreMade) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(was_held_);
  EXPECT_FALSE(IsHeld()) << "released before the upload is over";
  EXPECT_EQ(TextAt(velero_.Get(Backups(), "b"), {"status", "phase"}), "WaitingForPluginOperations");
  EXPECT_EQ(WhyGivenUp("b"), "");
  EXPECT_THAT(result->warnings(), IsEmpty());
  EXPECT_EQ(result->velero().backup(), "b");
  ASSERT_EQ(result->velero().held_pods_size(), 1);
  EXPECT_EQ(result->velero().held_pods(0).pod(), "web-1");
  EXPECT_EQ(result->velero().held_pods(0).component(), "files");
}

TEST_F(VeleroSnapshotTest, IsGoneOnWithByTheBackupThatAwaitsTheEnd) {
  const auto made = Run();
  ASSERT_TRUE(made.ok()) << made.status();
  (*velero_.task.mutable_inputs())["volumes.snapshot.shop"] = *made;
  v1::VeleroBackup rest = action_.backup();
  rest.set_must_exist(true);
  velero_.on_progress = nullptr;
  velero_.SetPhase("b", "Completed");
  const auto result = velero_.Run(RunVeleroBackup, rest);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->artifacts_size(), 1);
  ASSERT_EQ(result->velero().held_pods_size(), 1) << "the manifest says who was held still";
}

TEST_F(VeleroSnapshotTest, IsNotReplacedByABackupOfAnApplicationAtWork) {
  ASSERT_TRUE(Run().ok());
  velero_.SetPhase("b", "Failed", {{"failureReason", "the location is gone"}});
  v1::VeleroBackup rest = action_.backup();
  rest.set_must_exist(true);
  velero_.on_backup = [](const std::string& name) { FAIL() << "made another one: " << name; };
  const Status refused = velero_.Run(RunVeleroBackup, rest).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(refused), HasSubstr("while the application was held still"));
}

TEST_F(VeleroSnapshotTest, MakesNoBackupWhereTheCommandFails) {
  Hold({"sh", "-c", "touch \"$1\"; exit 7", "sh", held_}, {"rm", "-f", held_});
  const Status failed = Run().status();
  EXPECT_EQ(failed.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(failed), HasSubstr("container main of pod shop/web-1 still ended with 7"));
  EXPECT_FALSE(IsHeld()) << "half of it is undone, too";
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
}

TEST_F(VeleroSnapshotTest, LetsGoOfTheFirstPodWhereTheSecondCannotBeHeld) {
  velero_.Add(Pods(), "shop", PodObject("web-2", "uploads"));
  Hold({"mkdir", held_}, {"rm", "-rf", held_});
  EXPECT_THAT(MessageOf(Run().status()), HasSubstr("pod shop/web-2 still ended with 1"));
  EXPECT_FALSE(IsHeld());
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
}

TEST_F(VeleroSnapshotTest, WaitsForItsTurnWithoutHoldingAnybodyStill) {
  velero_.Add(Backups(), "velero", BackupObject("nightly", "another", "InProgress"));
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(Execs(), IsEmpty());
}

TEST_F(VeleroSnapshotTest, LetsGoWhereAnotherBackupTakesTheTurn) {
  velero_.on_backup = [this](const std::string& name) {
    velero_.Add(Backups(), "velero", BackupObject("nightly", "another", "InProgress"));
    velero_.SetPhase(name, "Queued", {{"queuePosition", 1}});
  };
  velero_.on_progress = nullptr;
  const Status lost = Run().status();
  EXPECT_EQ(lost.code(), absl::StatusCode::kUnavailable) << lost;
  EXPECT_THAT(MessageOf(lost), HasSubstr("took Velero's turn"));
  EXPECT_FALSE(IsHeld());
  EXPECT_THAT(velero_.Names(Backups()), ElementsAre("nightly")) << "ours is taken back";
}

TEST_F(VeleroSnapshotTest, OfAnAttemptThatDiedDoesNotCount) {
  velero_.Add(Backups(), "velero", BackupObject("b", kRun, "WaitingForPluginOperations"));
  velero_.on_progress = [this](const std::string&) { velero_.SetPhase("b-2", "Finalizing"); };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->velero().backup(), "b-2");
  EXPECT_THAT(WhyGivenUp("b"), HasSubstr("let go since"));
}

TEST_F(VeleroSnapshotTest, FailsWhenTheDeadlineComesBeforeTheSnapshots) {
  Hold({"touch", held_}, {"rm", "-f", held_}, 2);
  velero_.on_progress = nullptr;
  const Status late = Run().status();
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition) << late;
  EXPECT_THAT(MessageOf(late), HasSubstr("pod shop/web-1 was let go at its deadline"));
  EXPECT_THAT(HintOf(late), HasSubstr("quiesce.deadline"));
  EXPECT_FALSE(IsHeld());
  EXPECT_THAT(WhyGivenUp("b"), HasSubstr("not held still until its snapshots were made"));
}

TEST_F(VeleroSnapshotTest, IsUndoneInThePodWhenACommandHangsPastTheDeadline) {
  Hold({"sh", "-c", "touch \"$1\"; sleep 4; touch \"$1\"", "sh", held_}, {"rm", "-f", held_}, 2);
  const Status late = Run().status();
  EXPECT_EQ(late.code(), absl::StatusCode::kFailedPrecondition) << late;
  EXPECT_THAT(MessageOf(late), HasSubstr("had not ended after 2s"));
  EXPECT_FALSE(IsHeld()) << "also what it does after its deadline";
  EXPECT_THAT(velero_.Names(Backups()), IsEmpty());
}

// The shell in the pod is killed, as by the kernel for want of memory; the watchdog is left.
TEST_F(VeleroSnapshotTest, FailsWhenWhatHoldsIsKilledAndTheWatchdogReleases) {
  Hold({"sh", "-c", "echo $PPID >\"$1\"", "sh", held_}, {"rm", "-f", held_}, 6);
  velero_.on_progress = [this](const std::string&) {
    velero_.on_progress = nullptr;
    pid_t shell = 0;
    std::ifstream(held_) >> shell;
    ASSERT_GT(shell, 1);
    ASSERT_EQ(::kill(shell, SIGKILL), 0);
  };
  const Status ended = Run().status();
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable) << ended;
  EXPECT_THAT(MessageOf(ended), HasSubstr("let go before the snapshots were made"));
  EXPECT_THAT(WhyGivenUp("b"), HasSubstr("not held still"));
  AwaitRelease();
}

// Its connections end with it, and so does the command's input.
TEST_F(VeleroSnapshotTest, IsReleasedInThePodWhenTheAgentIsGone) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd input(ends[0]);
  UniqueFd agent(ends[1]);
  kubernetes::ExecCommand command;
  command.argv = HoldCommand(action_.quiesces(0));
  command.stdin_fd = input.Get();
  bool was_held = false;
  command.on_stdout = [&](std::string_view bytes) {
    EXPECT_EQ(bytes, std::string(kHeldMark) + "\n");
    was_held = IsHeld();
    agent.Reset();
    return OkStatus();
  };
  const auto ended = kubernetes::RunLocally(command, {});
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(*ended, 0);
  EXPECT_TRUE(was_held);
  EXPECT_FALSE(IsHeld());
}

TEST_F(VeleroSnapshotTest, LetsGoWhenItIsCancelled) {
  velero_.on_progress = [this](const std::string&) { velero_.stop.request_stop(); };
  const Status stopped = Run().status();
  EXPECT_EQ(stopped.code(), absl::StatusCode::kCancelled) << stopped;
  EXPECT_TRUE(was_held_);
  EXPECT_FALSE(IsHeld());
  EXPECT_NE(WhyGivenUp("b"), "");
}

TEST_F(VeleroSnapshotTest, LetsGoWhenVeleroIsRestarted) {
  velero_.on_backup = [this](const std::string& name) {
    velero_.SetPhase(
        name, "Failed",
        {{"failureReason", "found a backup with status \"InProgress\" during the server starting"}});
  };
  velero_.on_progress = nullptr;
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kUnavailable) << "the next attempt holds it still again";
  EXPECT_FALSE(IsHeld());
}

TEST_F(VeleroSnapshotTest, SaysThatAReleaseFailedAndKeepsTheSnapshots) {
  Hold({"touch", held_}, {"false"}, 2);
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(),
              ElementsAre(HasSubstr("may still be held still: the release in container main")));
  EXPECT_TRUE(IsHeld());
}

TEST_F(VeleroSnapshotTest, SaysHowToLetItRunCommands) {
  const kubernetes::ApiRequest request{"create", "pods/exec", "shop", "web-1"};
  velero_.Cluster().OnExec([&](const kubernetes::ExecCommand&, const kubernetes::Call&) -> StatusOr<int> {
    return kubernetes::MakeApiError(
        403, "Forbidden",
        "pods \"web-1\" is forbidden: User \"system:serviceaccount:salvor:salvor-executor\" cannot "
        "create resource \"pods/exec\" in API group \"\" in the namespace \"shop\"",
        request);
  });
  const Status refused = Run().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kPermissionDenied) << refused;
  EXPECT_THAT(HintOf(refused), HasSubstr("kubectl -n shop create rolebinding salvor-quiesce"));
}

TEST_F(VeleroSnapshotTest, IsReleasedByWhoeverIsToldTo) {
  std::ofstream(held_) << "held";
  v1::VeleroRelease release;
  *release.mutable_quiesces() = action_.quiesces();
  EXPECT_TRUE(velero_.Run(RunVeleroRelease, release).ok());
  EXPECT_FALSE(IsHeld());
  EXPECT_TRUE(velero_.Run(RunVeleroRelease, release).ok()) << "twice does no harm";
  *release.mutable_quiesces(0)->mutable_release(0) = "false";
  EXPECT_EQ(velero_.Run(RunVeleroRelease, release).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(velero_.Cluster().Delete({Pods(), "shop", "web-1"}, {}, {}).ok());
  EXPECT_TRUE(velero_.Run(RunVeleroRelease, release).ok()) << "what is gone is not held still";
}

TEST_F(VeleroSnapshotTest, IsBegunWhenVeleroHasNothingElseToDo) {
  velero_.Add(Backups(), "velero", BackupObject("nightly", "another", "InProgress"));
  velero_.on_progress = [this](const std::string&) { velero_.SetPhase("nightly", "Completed"); };
  EXPECT_TRUE(velero_.Run(RunVeleroSlot, v1::VeleroSlot()).ok());
  EXPECT_THAT(velero_.progress, Contains("waiting for 1 backup of Velero before ours"));
  velero_.SetPhase("nightly", "InProgress");
  velero_.on_progress = [this](const std::string&) { velero_.stop.request_stop(); };
  EXPECT_EQ(velero_.Run(RunVeleroSlot, v1::VeleroSlot()).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace salvor::velero
