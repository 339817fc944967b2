#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/restore_objects_testing.h"
#include "agent/kubernetes/velero/scratch_namespace.h"
#include "agent/kubernetes/velero/scratch_transform.h"

namespace salvor::velero {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kSpace[] = "salvor-drill-shop-1";
constexpr char kDrill[] = "drill-shop-1";

// A cluster whose pods of Salvor's start at once, and whose probe says `reached` at its end.
class ScratchActionTest : public testing::Test {
 protected:
  ScratchActionTest() {
    start_.set_name(kSpace);
    start_.set_run(kDrill);
    stop_.set_name(kSpace);
    stop_.set_run(kDrill);
    stop_.set_restore(kDrill);
    restore_ = RestoreAction();
    restore_.set_name(kDrill);
    restore_.set_run(kDrill);
    restore_.set_target_namespace(kSpace);
    restore_.set_scratch(true);
    cluster_.Serve(Limits(), "LimitRange");
    cluster_.Serve(SnapshotContents(), "VolumeSnapshotContent");
    cluster_.OnCreate(Pods(), [this](const Json& pod) {
      const std::string name = TextAt(pod, {"metadata", "name"});
      if (name != kProbePod && name != kProbePeer) return;
      made_with_walls_ = made_with_walls_ && HasWalls();
      if (name == kProbePeer) return Become(name, {{"phase", peer_phase_}, {"podIP", "10.1.0.9"}});
      Become(name, {{"phase", "Succeeded"},
                    {"containerStatuses",
                     {{{"state", {{"terminated", {{"exitCode", 0}, {"message", reached_}}}}}}}}});
    });
    velero_.Add(Namespaces(), "", {{"metadata", {{"name", "salvor"}}}});
    velero_.Add(Pods(), "salvor",
                {{"metadata", {{"name", "salvor-executor-0"}}},
                 {"spec",
                  {{"serviceAccountName", "salvor-executor"},
                   {"containers", {{{"name", "agent"}, {"image", "salvor:1"}}}}}}});
    own_pod_ = "salvor/salvor-executor-0";
  }

  template <typename Message>
  StatusOr<v1::ActionResult> Run(StatusOr<v1::ActionResult> (*action)(const Message&, agent::ActionContext&,
                                                                      const VeleroOptions&),
                                 const Message& message) {
    velero_.own_pod = own_pod_;
    return velero_.Run(action, message);
  }
  StatusOr<v1::ActionResult> Start() { return Run(RunScratchNamespaceStart, start_); }
  StatusOr<v1::ActionResult> Stop() { return Run(RunScratchNamespaceStop, stop_); }
  StatusOr<v1::ActionResult> Restore() { return Run(RunVeleroRestore, restore_); }

  void Become(const std::string& pod, const Json& status) {
    EXPECT_TRUE(
        cluster_.Change({Pods(), kSpace, pod}, [&](Json& object) { object["status"] = status; }).ok());
  }
  bool HasWalls() {
    return !velero_.Get(NetworkPolicies(), kScratchGuard, kSpace).is_null() &&
           !velero_.Get(Quotas(), kScratchGuard, kSpace).is_null() &&
           !velero_.Get(Limits(), kScratchGuard, kSpace).is_null() &&
           velero_.Get(Accounts(), "default", kSpace)["automountServiceAccountToken"] == false;
  }
  bool IsThere() { return !velero_.Get(Namespaces(), kSpace, "").is_null(); }

  void AddVolume(const std::string& name, const std::string& policy, const std::string& of = kSpace) {
    velero_.Add(Volumes(), "",
                {{"metadata",
                  {{"name", name}, {"annotations", {{"pv.kubernetes.io/provisioned-by", "csi.salvor.dev"}}}}},
                 {"spec",
                  {{"persistentVolumeReclaimPolicy", policy},
                   {"claimRef", {{"namespace", of}, {"name", "uploads"}, {"uid", "u"}}}}}});
  }
  void AddContent(const std::string& name, const std::string& policy, const std::string& restore,
                  const std::string& of = kSpace) {
    velero_.Add(SnapshotContents(), "",
                {{"metadata", {{"name", name}, {"labels", {{kRestoreNameLabel, restore}}}}},
                 {"spec", {{"deletionPolicy", policy}, {"volumeSnapshotRef", {{"namespace", of}}}}}});
  }
  // The volumes of a namespace that is gone follow it, as their driver deletes them.
  void LetVolumesFollow() {
    cluster_.OnDelete(Namespaces(), [this](const Json&) {
      static_cast<void>(cluster_.List(Volumes(), "", {},
                                      [&](const Json& volume) {
                                        if (TextAt(volume, {"spec", "claimRef", "namespace"}) == kSpace &&
                                            TextAt(volume, {"spec", "persistentVolumeReclaimPolicy"}) ==
                                                "Delete")
                                          following_.push_back(TextAt(volume, {"metadata", "name"}));
                                        return OkStatus();
                                      },
                                      {}));
      for (const std::string& name : following_)
        static_cast<void>(cluster_.Delete({Volumes(), "", name}, {}, {}));
    });
  }

  FakeVelero velero_;
  kubernetes::FakeKubernetes& cluster_ = velero_.Cluster();
  v1::ScratchNamespaceStart start_;
  v1::ScratchNamespaceStop stop_;
  v1::VeleroRestore restore_;
  std::string own_pod_;
  std::string reached_ = "address 10.1.0.9:7777\ntried 6\n";
  std::string peer_phase_ = "Running";
  bool made_with_walls_ = true;
  std::vector<std::string> following_;
};

TEST_F(ScratchActionTest, StartMakesTheWallsBeforeAnythingRunsInside) {
  const auto result = Start();
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->checks_size(), 1);
  EXPECT_EQ(result->checks(0).verdict(), v1::Check::VERDICT_PASSED) << result->checks(0).compared();
  EXPECT_TRUE(HasWalls());
  EXPECT_TRUE(made_with_walls_);
  EXPECT_TRUE(IsScratchOf(velero_.Get(Namespaces(), kSpace, ""), kDrill));
  EXPECT_EQ(velero_.Get(RoleBindings(), kScratchGuard, kSpace)["subjects"][0]["name"], "salvor-executor");
  for (const char* pod : {kProbePod, kProbePeer})
    EXPECT_TRUE(velero_.Get(Pods(), pod, kSpace).is_null()) << pod << " has done its work";
}

TEST_F(ScratchActionTest, StartSaysWhatLedOutAndRefusesWhereIsolationIsDemanded) {
  reached_ = "address 1.1.1.1:443\naddress 10.1.0.9:7777\ntried 6\n";
  const auto result = Start();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->checks(0).verdict(), v1::Check::VERDICT_UNVERIFIABLE);
  EXPECT_THAT(result->checks(0).compared(), HasSubstr("the Internet (1.1.1.1:443)"));
  start_.set_require_isolation(true);
  const auto refused = Start();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("the environment demands isolation"));
  EXPECT_FALSE(IsThere()) << "nothing is left of it";
}

TEST_F(ScratchActionTest, StartDoesNotWaitForAPodThatHasEnded) {
  for (const char* phase : {"Failed", "Succeeded"}) {
    peer_phase_ = phase;
    const auto result = Start();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->checks(0).verdict(), v1::Check::VERDICT_UNVERIFIABLE);
    EXPECT_THAT(result->checks(0).compared(),
                HasSubstr("the pod beside the one that was to try it did not start"));
  }
}

TEST_F(ScratchActionTest, StartNeverAdoptsANamespaceThatIsNotItsOwn) {
  velero_.Add(Namespaces(), "", {{"metadata", {{"name", kSpace}, {"labels", {{"team", "web"}}}}}});
  EXPECT_EQ(Start().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(velero_.Get(NetworkPolicies(), kScratchGuard, kSpace).is_null()) << "it is not written into";
  const auto stopped = Stop();
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(stopped.status()), HasSubstr("left as it is"));
  EXPECT_TRUE(IsThere());
}

TEST_F(ScratchActionTest, StartGoesOnWhereAnAttemptThatWasKilledLeftOff) {
  velero_.Add(Namespaces(), "", MakeScratchNamespace(start_));
  velero_.Add(NetworkPolicies(), kSpace, MakeScratchPolicy(kSpace));
  velero_.Add(Accounts(), kSpace, {{"metadata", {{"name", "default"}}}});
  velero_.Add(Pods(), kSpace, MakeProbePeer(kSpace, {"salvor:0", "", ""}));
  const auto result = Start();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->checks(0).verdict(), v1::Check::VERDICT_PASSED) << result->checks(0).compared();
  EXPECT_TRUE(HasWalls());
}

TEST_F(ScratchActionTest, StartWithoutAnImageMakesNothing) {
  own_pod_.clear();
  const auto result = Start();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(HintOf(result.status()), HasSubstr("--image"));
  EXPECT_FALSE(IsThere());
}

TEST_F(ScratchActionTest, ARestoreGoesIntoItByItsRulesAndIntoNothingElse) {
  EXPECT_EQ(Restore().status().code(), absl::StatusCode::kFailedPrecondition) << "it is not there";
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
  ASSERT_TRUE(Start().ok());
  velero_.records["RestoreResourceList"] =
      R"json({"v1/PersistentVolumeClaim": ["salvor-drill-shop-1/uploads(created)"],
              "v1/Pod": ["salvor-drill-shop-1/web-1(created)"]})json";
  const auto result = Restore();
  ASSERT_TRUE(result.ok()) << result.status();
  for (const v1::Check& check : result->checks())
    EXPECT_EQ(check.verdict(), v1::Check::VERDICT_PASSED) << check.compared();
  EXPECT_THAT(velero_.Get(ConfigMaps(), kDrill).dump(), HasSubstr("salvor:1"));
  EXPECT_EQ(TextAt(velero_.Get(Restores(), kDrill), {"spec", "resourceModifier", "name"}), kDrill);
}

TEST_F(ScratchActionTest, ARestoreProvesNothingOnceItsWallsAreOpened) {
  ASSERT_TRUE(Start().ok());
  velero_.on_restore = [this](const std::string& name) {
    velero_.Add(NetworkPolicies(), kSpace, {{"metadata", {{"name", "allow-all"}}}});
    velero_.SetRestorePhase(name, "Completed");
  };
  const auto opened = Restore();
  ASSERT_TRUE(opened.ok()) << opened.status();
  const v1::Check& last = opened->checks(opened->checks_size() - 1);
  EXPECT_EQ(last.kind(), "isolation");
  EXPECT_EQ(last.verdict(), v1::Check::VERDICT_UNVERIFIABLE);
  EXPECT_THAT(last.compared(), HasSubstr("allow-all"));
}

TEST_F(ScratchActionTest, ARestoreIntoANamespaceThatVeleroMadeAnewFails) {
  ASSERT_TRUE(Start().ok());
  velero_.on_restore = [this](const std::string& name) {
    ASSERT_TRUE(cluster_.Delete({Namespaces(), "", kSpace}, {}, {}).ok());
    velero_.BringBack(name);
    velero_.SetRestorePhase(name, "Completed");
  };
  const auto elsewhere = Restore();
  EXPECT_EQ(elsewhere.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(elsewhere.status()), HasSubstr("is not there any more, or is another's"));
}

TEST_F(ScratchActionTest, ARestoreStopsWhereItsRulesWouldBeAnothers) {
  ASSERT_TRUE(Start().ok());
  velero_.Add(ConfigMaps(), "velero", {{"metadata", {{"name", kDrill}}}, {"data", {{"rules", "none"}}}});
  EXPECT_EQ(Restore().status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
}

TEST_F(ScratchActionTest, StopRemovesAllThatTheDrillMadeAndNothingElse) {
  LetVolumesFollow();
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Restore().ok());
  AddVolume("pvc-drill", "Delete");
  AddVolume("pvc-retained", "Retain");
  AddVolume("pvc-uploads-of-another", "Retain", "shop");
  AddContent("content-drill", "Retain", kDrill);
  AddContent("content-backup", "Delete", kDrill, "shop");
  AddContent("content-other", "Retain", "another-restore");
  const auto result = Stop();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(IsThere());
  EXPECT_THAT(following_, ElementsAre("pvc-drill", "pvc-retained"));
  EXPECT_FALSE(velero_.Get(Volumes(), "pvc-uploads-of-another", "").is_null());
  EXPECT_TRUE(velero_.Get(SnapshotContents(), "content-drill", "").is_null());
  EXPECT_FALSE(velero_.Get(SnapshotContents(), "content-backup", "").is_null()) << "the backup stands on it";
  EXPECT_FALSE(velero_.Get(SnapshotContents(), "content-other", "").is_null());
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
  EXPECT_TRUE(velero_.Get(ConfigMaps(), kDrill).is_null());
  EXPECT_THAT(result->warnings(), IsEmpty());
  ASSERT_TRUE(Stop().ok()) << "done twice it does no harm";
}

TEST_F(ScratchActionTest, StopGoesOnWhereAnAttemptThatWasKilledLeftOff) {
  ASSERT_TRUE(Start().ok());
  // It laid the rules of a Restore, and came no further.
  velero_.Add(ConfigMaps(), "velero", MakeModifiers(MakeRestore(restore_, kDrill), "salvor:1"));
  velero_.Add(ConfigMaps(), "velero", MakeModifiers(MakeRestore(restore_, "drill-shop-1-2"), "salvor:1"));
  velero_.Add(ConfigMaps(), "velero", {{"metadata", {{"name", "drill-shop-1-3"}}}});
  // It removed the namespace, whose volume follows.
  ASSERT_TRUE(cluster_.Delete({Namespaces(), "", kSpace}, {}, {}).ok());
  velero_.Add(Restores(), "velero", RestoreObject(kDrill, "Completed", Json::object(), kDrill, kSpace));
  AddVolume("pvc-drill", "Delete");
  velero_.on_progress = [&](const std::string& message) {
    if (message.find("waiting for volume pvc-drill") == std::string::npos) return;
    EXPECT_TRUE(cluster_.Delete({Volumes(), "", "pvc-drill"}, {}, {}).ok());
  };
  const auto result = Stop();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->warnings(), IsEmpty());
  EXPECT_TRUE(velero_.Get(Volumes(), "pvc-drill", "").is_null());
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("drill-shop-1-3")) << "that one is another's";
}

TEST_F(ScratchActionTest, StopNeverLetsASnapshotGoWithItsObject) {
  std::string policy_at_its_end;
  cluster_.OnDelete(SnapshotContents(), [&](const Json& content) {
    policy_at_its_end = TextAt(content, {"spec", "deletionPolicy"});
  });
  ASSERT_TRUE(Start().ok());
  ASSERT_TRUE(Restore().ok());
  AddContent("content-drill", "Delete", kDrill);
  ASSERT_TRUE(Stop().ok());
  EXPECT_EQ(policy_at_its_end, "Retain");
}

TEST_F(ScratchActionTest, StopLeavesADiskThatTheDrillDidNotMakeAndNamesIt) {
  ASSERT_TRUE(Start().ok());
  velero_.Add(
      Volumes(), "",
      {{"metadata", {{"name", "old-disk"}}},
       {"spec", {{"persistentVolumeReclaimPolicy", "Retain"}, {"claimRef", {{"namespace", kSpace}}}}}});
  velero_.Add(Restores(), "velero", RestoreObject(kDrill, "Completed", Json::object(), kDrill, kSpace));
  const auto result = Stop();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(velero_.Get(Volumes(), "old-disk", "").is_null());
  EXPECT_THAT(result->warnings(), Contains(HasSubstr("volume old-disk had a claim of the drill")));
}

TEST_F(ScratchActionTest, StopTakesARestoreBackThatVeleroHasNotBegun) {
  ASSERT_TRUE(Start().ok());
  velero_.on_restore = [](const std::string&) {};
  velero_.Add(Restores(), "velero", MakeRestore(restore_, kDrill));
  ASSERT_TRUE(Stop().ok());
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
  EXPECT_FALSE(IsThere());
}

TEST_F(ScratchActionTest, StopWaitsForARestoreThatVeleroMakesAndSaysSo) {
  ASSERT_TRUE(Start().ok());
  velero_.on_restore = [this](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
  velero_.Add(Restores(), "velero", MakeRestore(restore_, kDrill));
  bool was_there = false;
  velero_.on_progress = [&](const std::string& message) {
    if (message.find("which can't be stopped") == std::string::npos) return;
    was_there = IsThere();
    velero_.SetRestorePhase(kDrill, "Completed");
  };
  ASSERT_TRUE(Stop().ok());
  EXPECT_TRUE(was_there) << "Velero would have made the namespace anew, without its walls";
  EXPECT_FALSE(IsThere());
}

TEST_F(ScratchActionTest, StopOfANamespaceThatStaysSaysWhyAndIsTriedAgain) {
  ASSERT_TRUE(Start().ok());
  const auto key = kubernetes::ObjectKey{Namespaces(), "", kSpace};
  ASSERT_TRUE(cluster_
                  .Change(key,
                          [](Json& space) {
                            space["metadata"]["finalizers"] = {"somebodys/finalizer"};
                            space["status"]["conditions"] = {
                                {{"type", "NamespaceFinalizersRemaining"},
                                 {"status", "True"},
                                 {"message", "Some content has finalizers remaining: somebodys/finalizer"}}};
                          })
                  .ok());
  velero_.on_progress = [&](const std::string& message) {
    if (message.find("is not gone yet") != std::string::npos) velero_.RunOutOfTime();
  };
  const auto stays = Stop();
  EXPECT_EQ(stays.status().code(), absl::StatusCode::kUnavailable) << stays.status();
  EXPECT_THAT(MessageOf(stays.status()), HasSubstr("somebodys/finalizer"));
  velero_.on_progress = nullptr;
  ASSERT_TRUE(cluster_.Change(key, [](Json& space) { space["metadata"].erase("finalizers"); }).ok());
  EXPECT_TRUE(Stop().ok());
}

}  // namespace
}  // namespace salvor::velero
