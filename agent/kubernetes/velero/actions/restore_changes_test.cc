// A restore that changes objects on their way, and the look at what it would change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/archive_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/restore_objects_testing.h"
#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class RestoreChanges : public testing::Test {
 protected:
  RestoreChanges() : action_(RestoreAction()) {
    action_.mutable_transform()->set_suspend_schedules(true);
    action_.mutable_transform()->set_close_load_balancers(true);
    action_.mutable_transform()->set_leave_out_routes(true);
    velero_.records["BackupResourceList"] =
        R"({"v1/PersistentVolumeClaim": ["shop/uploads"], "v1/Pod": ["shop/web-1"], "v1/Service": ["shop/web"],
            "batch/v1/CronJob": ["shop/tick"], "networking.k8s.io/v1/Ingress": ["shop/front"]})";
    velero_.records["RestoreResourceList"] =
        R"json({"v1/PersistentVolumeClaim": ["shop-copy/uploads(created)"], "v1/Pod": ["shop-copy/web-1(created)"],
                "v1/Service": ["shop-copy/web(created)"], "batch/v1/CronJob": ["shop-copy/tick(created)"]})json";
    velero_.records["BackupContents"] = ArchiveOf(
        {{"cronjobs.batch",
          {{"kind", "CronJob"}, {"metadata", {{"name", "tick"}}}, {"spec", {{"suspend", false}}}}},
         {"services",
          {{"kind", "Service"}, {"metadata", {{"name", "web"}}}, {"spec", {{"type", "LoadBalancer"}}}}},
         {"persistentvolumeclaims",
          {{"kind", "PersistentVolumeClaim"},
           {"metadata", {{"name", "uploads"}}},
           {"spec", {{"resources", {{"requests", {{"storage", "1Gi"}}}}}}}}}});
    velero_.on_restore = [this](const std::string& name) {
      rules_ = velero_.Get(ConfigMaps(), name + "-changes");
      BringBack(name, true, "ClusterIP");
      velero_.SetRestorePhase(name, "Completed");
    };
    Json backup = BackupObject("b", "backup-shop-1", "Completed");
    backup["metadata"]["labels"]["salvor.dev/backup"] = "shop-1";
    backup["spec"]["storageLocation"] = "main";
    velero_.Add(Backups(), "velero", backup);
  }

  void BringBack(const std::string& name, bool suspend, const char* type) {
    velero_.BringBack(name);
    velero_.Add(CronJobs(), "shop-copy",
                {{"metadata", {{"name", "tick"}}}, {"spec", {{"suspend", suspend}}}});
    velero_.Add(Services(), "shop-copy", {{"metadata", {{"name", "web"}}}, {"spec", {{"type", type}}}});
  }

  StatusOr<v1::ActionResult> Run() { return velero_.Run(RunVeleroRestore, action_); }
  StatusOr<v1::ActionResult> Look() {
    v1::VeleroRestoreCheck check;
    *check.mutable_restore() = action_;
    return velero_.Run(RunVeleroRestoreCheck, check);
  }

  FakeVelero velero_;
  v1::VeleroRestore action_;
  Json rules_;  // as Velero found them
};

TEST_F(RestoreChanges, AreMadeByVelerosRulesWhichGoAfterwards) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(TextAt(rules_, {"metadata", "labels", kRunLabel}), kRestoreRun);
  EXPECT_FALSE(rules_["metadata"].contains("ownerReferences"));
  ASSERT_EQ(rules_["data"].size(), 1U) << "Velero takes no other";
  EXPECT_THAT(TextAt(rules_, {"data", "rules.yaml"}), HasSubstr(R"({\"spec\":{\"suspend\":true}})"));
  const Json restore = velero_.Get(Restores(), "r");
  EXPECT_EQ(TextAt(restore, {"spec", "resourceModifier", "kind"}), "ConfigMap");
  EXPECT_EQ(TextAt(restore, {"spec", "resourceModifier", "name"}), "r-changes");
  EXPECT_THAT(TextsAt(restore, {"spec", "excludedResources"}), Contains("ingresses.networking.k8s.io"));
  EXPECT_THAT(velero_.Names(ConfigMaps()), IsEmpty());
}

TEST_F(RestoreChanges, AreToldByName) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  for (const v1::Check& check : result->checks())
    EXPECT_EQ(check.verdict(), v1::Check::VERDICT_PASSED) << check.compared();
  const v1::VeleroRestoreReport& report = result->velero_restore();
  ASSERT_EQ(report.changes_size(), 2);
  EXPECT_EQ(report.changes(0).name(), "tick");
  EXPECT_EQ(report.changes(1).to(), "ClusterIP");
  EXPECT_THAT(report.left_out(), ElementsAre("Ingress shop-copy/front"));
  EXPECT_THAT(result->warnings(), Contains(HasSubstr("left out of the copy: Ingress shop-copy/front")));
  EXPECT_THAT(result->warnings(), Contains(HasSubstr("CronJob tick: suspend false becomes true")));
}

TEST_F(RestoreChanges, ThatVeleroDidNotMakeAreFoundByWhatIsThere) {
  velero_.on_restore = [this](const std::string& name) {
    BringBack(name, false, "LoadBalancer");
    velero_.SetRestorePhase(name, "Completed");
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  std::string said;
  for (const v1::Check& check : result->checks()) {
    if (check.kind() != "changes") continue;
    EXPECT_EQ(check.verdict(), v1::Check::VERDICT_FAILED);
    said = check.compared();
  }
  EXPECT_THAT(said, HasSubstr("CronJob tick: suspend false becomes true"));
  EXPECT_THAT(said, HasSubstr("Service web: type LoadBalancer becomes ClusterIP"));
}

TEST_F(RestoreChanges, SayNothingOfWhatWasThereBefore) {
  velero_.records["RestoreResourceList"] =
      R"json({"v1/PersistentVolumeClaim": ["shop-copy/uploads(created)"], "v1/Pod": ["shop-copy/web-1(created)"],
              "v1/Service": ["shop-copy/web(skipped)"], "batch/v1/CronJob": ["shop-copy/tick(skipped)"]})json";
  velero_.on_restore = [this](const std::string& name) {
    BringBack(name, false, "LoadBalancer");
    velero_.SetRestorePhase(name, "Completed");
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  for (const v1::Check& check : result->checks())
    EXPECT_EQ(check.verdict(), v1::Check::VERDICT_PASSED) << check.compared();
}

TEST_F(RestoreChanges, GoOnAfterAnAttemptThatWasKilled) {
  // With the rules stored, and without the Restore: those of another state are made anew.
  velero_.Add(ConfigMaps(), "velero", MakeModifierConfigMap(action_, "r", "of another state"));
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(TextAt(rules_, {"data", "rules.yaml"}), HasSubstr("suspend"));
  EXPECT_THAT(velero_.Names(ConfigMaps()), IsEmpty());

  // With both.
  FakeVelero velero;
  velero.records = velero_.records;
  velero.on_restore = [](const std::string&) {};
  velero.Add(ConfigMaps(), "velero", MakeModifierConfigMap(action_, "r", "rules"));
  velero.Add(Restores(), "velero", MakeRestore(action_, "r", true));
  velero.BringBack("r");
  velero.SetRestorePhase("r", "Completed");
  const auto adopted = velero.Run(RunVeleroRestore, action_);
  ASSERT_TRUE(adopted.ok()) << adopted.status();
  EXPECT_THAT(velero.Names(Restores()), ElementsAre("r"));
  EXPECT_THAT(velero.Names(ConfigMaps()), IsEmpty());
}

TEST_F(RestoreChanges, LeaveNoRulesOnAnyPath) {
  const std::vector<std::pair<std::string, std::function<void()>>> ends = {
      {"failed",
       [&] {
         velero_.on_restore = [&](const std::string& name) { velero_.SetRestorePhase(name, "Failed"); };
       }},
      {"refused",
       [&] {
         velero_.on_restore = [&](const std::string& name) {
           velero_.SetRestorePhase(name, "FailedValidation");
         };
       }},
      {"cancelled in the queue",
       [&] {
         velero_.on_restore = [&](const std::string& name) { velero_.SetRestorePhase(name, "New"); };
         velero_.on_progress = [&](const std::string&) { velero_.stop.request_stop(); };
       }},
      {"cancelled when it runs",
       [&] {
         velero_.on_restore = [&](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
         velero_.on_progress = [&](const std::string&) { velero_.stop.request_stop(); };
       }},
      {"late",
       [&] {
         velero_.on_restore = [&](const std::string& name) { velero_.SetRestorePhase(name, "InProgress"); };
         velero_.on_progress = [&](const std::string&) { velero_.RunOutOfTime(); };
       }},
  };
  int number = 10;
  for (const auto& [what, end] : ends) {
    velero_.stop = std::stop_source();
    velero_.on_progress = nullptr;
    action_.set_run("run-" + std::to_string(++number));
    action_.set_name("r-" + std::to_string(number));
    end();
    EXPECT_FALSE(Run().ok()) << what;
    EXPECT_THAT(velero_.Names(ConfigMaps()), IsEmpty()) << what;
  }
}

TEST_F(RestoreChanges, LeaveAnothersConfigMapAlone) {
  v1::VeleroRestore other = action_;
  other.set_run("another-run");
  velero_.Add(ConfigMaps(), "velero", MakeModifierConfigMap(other, "r", "theirs"));
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty()) << "never without the rules";
  EXPECT_THAT(velero_.Names(ConfigMaps()), ElementsAre("r-changes"));
}

TEST_F(RestoreChanges, ThatCannotBePlannedBeginNothing) {
  velero_.records.erase("BackupContents");
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kNotFound);
  velero_.records["BackupContents"] = "no archive";
  EXPECT_EQ(Run().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(velero_.Names(Restores()), IsEmpty());
  EXPECT_THAT(MessageOf(Look().status()), HasSubstr("what Velero's backup holds can't be read: "));
}

TEST_F(RestoreChanges, OfNothingNeedNoRules) {
  action_.clear_transform();
  velero_.records.erase("BackupContents");
  velero_.records["BackupResourceList"] = R"({"v1/PersistentVolumeClaim": ["shop/uploads"]})";
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(rules_.is_null());
  EXPECT_FALSE(velero_.Get(Restores(), "r")["spec"].contains("resourceModifier"));
  EXPECT_EQ(result->velero_restore().changes_size(), 0);
}

TEST_F(RestoreChanges, AreSeenBeforehandWithWhatIsInTheWay) {
  velero_.Add(Namespaces(), "", {{"metadata", {{"name", "shop-copy"}}}});
  velero_.Add(Services(), "shop-copy", {{"metadata", {{"name", "web"}}}});
  velero_.Add(Services(), "shop-copy", {{"metadata", {{"name", "stranger"}}}});
  const auto result = Look();
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::VeleroRestorePreview& preview = result->velero_restore_preview();
  EXPECT_THAT(preview.conflicts(), ElementsAre("Service web"));
  EXPECT_THAT(preview.left_out(), ElementsAre("Ingress front"));
  ASSERT_EQ(preview.changes_size(), 2);
  EXPECT_EQ(preview.changes(0).kind(), "CronJob");
  EXPECT_EQ(preview.objects(), 3);
  EXPECT_EQ(preview.claim_bytes(), 1 << 30);
  EXPECT_THAT(result->warnings(), Contains(HasSubstr("there already in namespace shop-copy")));
  EXPECT_THAT(velero_.Names(ConfigMaps()), IsEmpty());
  EXPECT_THAT(velero_.Names(DownloadRequests()), IsEmpty());
}

TEST_F(RestoreChanges, AreRefusedBeforehandWhereAKindIsNotServedOrAQuotaIsTooSmall) {
  velero_.records["BackupResourceList"] =
      R"({"v1/PersistentVolumeClaim": ["shop/uploads"], "example.com/v1/Widget": ["shop/w"]})";
  velero_.Add(Namespaces(), "", {{"metadata", {{"name", "shop-copy"}}}});
  velero_.Add(ResourceQuotas(), "shop-copy",
              {{"metadata", {{"name", "q"}}},
               {"status", {{"hard", {{"requests.storage", "1Mi"}}}, {"used", {{"requests.storage", "0"}}}}}});
  const auto result = Look();
  EXPECT_THAT(MessageOf(result.status()),
              HasSubstr("does not serve the kinds of these objects: example.com/v1/Widget w"));
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("and quota q of namespace shop-copy leaves 1.00 MiB"));
}

TEST_F(RestoreChanges, GoByTheNewNameOfAStorageClass) {
  (*action_.mutable_transform()->mutable_storage_classes())["salvor-csi"] = "not-there";
  EXPECT_THAT(MessageOf(Look().status()), HasSubstr("the cluster has no StorageClass not-there"));
  velero_.Add(StorageClasses(), "", {{"metadata", {{"name", "not-there"}}}});
  EXPECT_TRUE(Look().ok());
}

}  // namespace
}  // namespace salvor::velero
