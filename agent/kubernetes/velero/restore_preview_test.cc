#include "agent/kubernetes/velero/restore_preview.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/restore_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RestorePreview : public testing::Test {
 protected:
  RestorePreview() : action_(RestoreAction()) {
    facts_.kept = {{"v1/PersistentVolumeClaim", {"shop/uploads"}},
                   {"v1/Service", {"shop/web", "shop/db"}},
                   {"v1/Event", {"shop/e"}},
                   {"v1/Namespace", {"shop"}},
                   {"v1/PersistentVolume", {"pvc-1"}},
                   {"v1/ConfigMap", {"shop/kube-root-ca.crt", "shop/settings"}},
                   {"networking.k8s.io/v1/Ingress", {"shop/front"}},
                   {"rbac.authorization.k8s.io/v1/ClusterRole", {"reader"}},
                   {"example.com/v1/Widget", {"shop/w"}}};
  }

  // "refuses: …" or "warns: …"
  std::vector<std::string> Findings() {
    std::vector<std::string> texts;
    for (const Finding& finding : FindObjectProblems(action_, facts_)) {
      texts.push_back((finding.refuses ? "refuses: " : "warns: ") + finding.text);
      EXPECT_FALSE(finding.next_step.empty()) << finding.text;
    }
    return texts;
  }

  v1::VeleroRestore action_;
  ObjectFacts facts_;
};

TEST_F(RestorePreview, ListsWhatIsCreatedAndWhatIsNot) {
  action_.mutable_transform()->set_leave_out_routes(true);
  facts_.there = {"Service db"};
  v1::ObjectChange change;
  change.set_kind("CronJob");
  facts_.transform.changes = {change};
  facts_.demand = Demand{1, 4096, {}};
  const v1::VeleroRestorePreview preview = MakePreview(action_, facts_);
  std::vector<std::string> creates;
  for (const auto& one : preview.creates())
    creates.push_back(fmt::format("{} {}", one.objects(), one.kind()));
  EXPECT_THAT(creates, ElementsAre("1 example.com/v1/Widget", "1 v1/ConfigMap", "1 v1/PersistentVolumeClaim",
                                   "1 v1/Service"));
  EXPECT_EQ(preview.objects(), 4);
  EXPECT_THAT(preview.left_out(), ElementsAre("Ingress front"));
  EXPECT_THAT(preview.conflicts(), ElementsAre("Service db"));
  EXPECT_THAT(preview.not_restored(), ElementsAre("ClusterRole reader"));
  EXPECT_EQ(preview.claim_bytes(), 4096);
  EXPECT_EQ(Summarize(preview), "creates 4 objects, changes in them: 1, left out: 1, there already: 1");
  EXPECT_EQ(Summarize({}), "");
}

TEST_F(RestorePreview, FindsNothingWhereAllIsWell) { EXPECT_THAT(Findings(), IsEmpty()); }

TEST_F(RestorePreview, NamesEveryProblemAtOnce) {
  facts_.unreadable = "the storage location does not have it";
  facts_.not_served = {"example.com/v1/Widget", "networking.k8s.io/v1/Ingress", "v1/Event"};
  facts_.there = {"Service web", "Service db", "Deployment stranger"};
  facts_.transform.unused = {"StorageClass fast"};
  facts_.transform.warnings = {"pod a starts"};
  facts_.demand = Demand{2, 3 << 20, {{"slow", 2 << 20}}};
  facts_.quotas = {{"q", "requests.storage", 4 << 20, 2 << 20},
                   {"q", "persistentvolumeclaims", 5, 4},
                   {"q", "slow.storageclass.storage.k8s.io/requests.storage", 2 << 20, 0},
                   {"q", "other.storageclass.storage.k8s.io/requests.storage", 0, 0}};
  EXPECT_THAT(
      Findings(),
      ElementsAre(
          "refuses: what Velero's backup holds can't be read: the storage location does not have it",
          "refuses: the cluster does not serve the kinds of these objects: example.com/v1/Widget w, "
          "networking.k8s.io/v1/Ingress front",
          "refuses: the claims ask for 3.00 MiB, and quota q of namespace shop-copy leaves 2.00 MiB of "
          "requests.storage",
          "refuses: 2 claims come back, and quota q of namespace shop-copy leaves room for 1",
          "warns: there already in namespace shop-copy, and left as they are: Service web, Service db",
          "warns: nothing in the backup has what is to be renamed: StorageClass fast",
          "warns: pod a starts"));
  action_.mutable_transform()->set_leave_out_routes(true);
  EXPECT_THAT(Findings()[1], HasSubstr(": example.com/v1/Widget w")) << "what is left out need not be served";
  EXPECT_THAT(Findings()[1], testing::Not(HasSubstr("Ingress")));
}

TEST_F(RestorePreview, AQuotaOverItsLimitLeavesNothing) {
  facts_.demand = Demand{0, 0, {}};
  facts_.quotas = {{"q", "requests.storage", 1, 5}};
  EXPECT_THAT(Findings(), IsEmpty()) << "nothing is asked for";
  facts_.demand->bytes = 1;
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("leaves 0 B")));
}

TEST(RestoreDemand, IsOfTheClassesThatClaimsWillHave) {
  v1::RestoreTransform wanted;
  (*wanted.mutable_storage_classes())["fast"] = "slow";
  const auto claim = [](const char* name, const char* storage_class, const char* size) {
    return KeptObject{
        "persistentvolumeclaims",
        name,
        {{"spec",
          {{"storageClassName", storage_class}, {"resources", {{"requests", {{"storage", size}}}}}}}}};
  };
  const Demand demand = AddUpClaims(wanted, {claim("a", "fast", "1Ki"),
                                             claim("b", "slow", "2Ki"),
                                             claim("c", "own", "nonsense"),
                                             {"services", "d", Json::object()}});
  EXPECT_EQ(demand.claims, 3);
  EXPECT_EQ(demand.bytes, 3072);
  EXPECT_EQ(demand.bytes_of_class.at("slow"), 3072);
}

TEST(RestoreQuota, HasWhatIsOfStorageAlone) {
  const std::vector<Quota> quotas = ReadQuotas(Json::parse(R"({"metadata": {"name": "q"}, "status": {
    "hard": {"requests.storage": "1Gi", "cpu": "4", "persistentvolumeclaims": "nonsense",
             "fast.storageclass.storage.k8s.io/requests.storage": "2Ki"}, "used": {"requests.storage": "1Ki"}}})"));
  ASSERT_EQ(quotas.size(), 2U);
  EXPECT_EQ(quotas[0].resource, "fast.storageclass.storage.k8s.io/requests.storage");
  EXPECT_EQ(quotas[0].used, 0);
  EXPECT_EQ(quotas[1].hard, 1 << 30);
  EXPECT_EQ(quotas[1].used, 1024);
  EXPECT_THAT(ReadQuotas(Json()), IsEmpty());
}

TEST(RestoreKind, IsTakenApart) {
  EXPECT_EQ(SplitKind("example.com/v1/Widget").group, "example.com");
  EXPECT_EQ(SplitKind("v1/Pod").group, "");
  EXPECT_EQ(SplitKind("v1/Pod").version, "v1");
  EXPECT_EQ(SplitKind("Pod").kind, "Pod");
}

}  // namespace
}  // namespace salvor::velero
