#include "agent/kubernetes/movers/actions/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/fake/fake_kubernetes.h"

namespace salvor::movers {
namespace {

using kubernetes::Json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

class Secret : public testing::Test {
 protected:
  Secret() {
    cluster_.Serve(type_, "Secret");
    Keep("login", {{"user", "YmFja3Vw"}, {"password", "Z2VoZWlt"}});
  }
  void Keep(const std::string& name, const Json& data) {
    const Json secret = {
        {"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", name}}}, {"data", data}};
    const auto made = cluster_.Create(type_, "default", secret, {}, {});
    ASSERT_TRUE(made.ok()) << made.status();
  }
  auto Read(const std::string& name) {
    return ReadSecret(cluster_, "default", name, "salvor:salvor-mover", {});
  }

  const kubernetes::ResourceType type_{"", "v1", "secrets"};
  kubernetes::FakeKubernetes cluster_;
};

TEST_F(Secret, IsReadByItsNameAlone) {
  const auto values = Read("login");
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT(*values, ElementsAre(Pair("password", "geheim"), Pair("user", "backup")));
  for (const kubernetes::ApiRequest& request : cluster_.Requests()) EXPECT_NE(request.verb, "list");
}

TEST_F(Secret, ThatMayNotBeReadIsRefusedWithWhatAllowsIt) {
  cluster_.Fail("get", type_,
                kubernetes::MakeApiError(403, "Forbidden",
                                         "secrets \"login\" is forbidden: User \"mover\" cannot get resource "
                                         "\"secrets\" in API group \"\" in the namespace \"default\"",
                                         {"get", "secrets", "default", "login"}));
  const auto values = Read("login");
  EXPECT_EQ(values.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(HintOf(values.status()), HasSubstr("--verb=get --resource=secrets --resource-name=login"));
  EXPECT_THAT(HintOf(values.status()), HasSubstr("--serviceaccount=salvor:salvor-mover"));
}

TEST_F(Secret, ThatIsNotThereOrNoSecretIsSaidSo) {
  EXPECT_THAT(MessageOf(Read("other").status()), HasSubstr("there is no Secret other in namespace default"));
  Keep("broken", {{"password", "geheim!"}});
  EXPECT_THAT(MessageOf(Read("broken").status()), HasSubstr("key password of Secret broken can't be read"));
  EXPECT_THAT(MessageOf(Read("broken").status()), Not(HasSubstr("geheim")));
}

}  // namespace
}  // namespace salvor::movers
