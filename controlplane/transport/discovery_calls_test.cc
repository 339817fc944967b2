// People ask what runs in a namespace of a cluster: a run that only looks is started for it.
#include "controlplane/transport/transport_testing.h"
#include "strategies/interface/strategy_testing.h"

namespace salvor::controlplane {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Stub = v1::ControlService::Stub;

class DiscoveryCallsTest : public ServicesTest {
 protected:
  void Declare(const std::vector<std::pair<std::string, v1::Runtime>>& environments) {
    std::vector<v1::Object> objects(1);
    objects[0].mutable_metadata()->set_name("vault");
    *objects[0].mutable_location()->mutable_restic() = strategies::Vault();
    for (const auto& [name, runtime] : environments) {
      v1::Object& object = objects.emplace_back();
      object.mutable_metadata()->set_name(name);
      object.mutable_environment()->set_runtime(runtime);
      object.mutable_environment()->set_location("vault");
      if (runtime == v1::RUNTIME_KUBERNETES)
        object.mutable_environment()->mutable_cluster()->set_velero_namespace("velero-" + name);
    }
    const auto applied = catalog_->Apply(objects, false);
    ASSERT_TRUE(applied.ok() && applied->problems.empty());
  }

  StatusOr<v1::CreateRunResponse> Discover(const std::string& environment, const std::string& name_space,
                                           const std::string& token = kPeople) {
    v1::CreateDiscoveryRequest request;
    request.set_environment(environment);
    request.set_namespace_(name_space);
    return Call(&Stub::CreateDiscovery, request, token);
  }
};

TEST_F(DiscoveryCallsTest, StartsARunThatOnlyLooksOnTheOnlyCluster) {
  Declare({{"vps", v1::RUNTIME_HOST}, {"production", v1::RUNTIME_KUBERNETES}});
  const auto started = Discover("", "shop");
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_THAT(started->run(), StartsWith("inspect-shop-"));
  const auto run = engine_->GetRun(started->run());
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(run->header().kind(), v1::RUN_KIND_INSPECT);
  EXPECT_EQ(run->header().environment(), "production");
  EXPECT_EQ(run->header().application(), "") << "there is none yet";
  const v1::Flow flow = store_.LoadRun(started->run())->flow;
  EXPECT_EQ(flow.steps(0).action().discover().ShortDebugString(),
            R"(cluster { velero_namespace: "velero-production" } namespace: "shop")");
}

TEST_F(DiscoveryCallsTest, WantsToKnowWhichClusterWhereThereAreSeveral) {
  Declare({{"a", v1::RUNTIME_KUBERNETES}, {"b", v1::RUNTIME_KUBERNETES}});
  const Status refused = Discover("", "shop").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(HintOf(refused), HasSubstr("--environment: a, b"));
  EXPECT_EQ(engine_->GetRun(Discover("b", "shop")->run())->header().environment(), "b");
}

TEST_F(DiscoveryCallsTest, RefusesWhatIsNoNamespaceOrNoCluster) {
  EXPECT_EQ(Discover("", "shop").status().code(), absl::StatusCode::kFailedPrecondition);
  Declare({{"vps", v1::RUNTIME_HOST}, {"production", v1::RUNTIME_KUBERNETES}});
  EXPECT_EQ(Discover("", "Shop/x").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Discover("", "").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Discover("vps", "shop").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Discover("nowhere", "shop").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(engine_->ListRuns({}, {})->items.empty()) << "nothing was started";
}

TEST_F(DiscoveryCallsTest, IsForThoseWhoMayStartRuns) {
  Declare({{"production", v1::RUNTIME_KUBERNETES}});
  EXPECT_EQ(Discover("", "shop", MakeUserToken("eve", v1::TOKEN_CLASS_VIEW)).status().code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(Discover("", "shop", MakeUserToken("anna", v1::TOKEN_CLASS_OPERATE)).ok());
}

}  // namespace
}  // namespace salvor::controlplane
