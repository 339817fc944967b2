// What the suite runs on: the fake itself, the client against the fake behind HTTP, and the client against the API
// server of the kubeconfig that SALVOR_TEST_KUBECONFIG names. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "agent/kubernetes/client/http_kubernetes.h"
#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/fake/fake_api_server.h"
#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "agent/kubernetes/fake/local_exec_testing.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::kubernetes {

inline const ResourceType kConfigMaps{"", "v1", "configmaps"};
inline const ResourceType kPods{"", "v1", "pods"};
inline const ResourceType kServiceAccounts{"", "v1", "serviceaccounts"};
inline const ResourceType kNamespaces{"", "v1", "namespaces", false};

// Long enough for a busy cluster; no test waits for it to pass.
inline Call Soon() { return {{}, SteadyNow() + absl::Minutes(2)}; }

inline Json ConfigMap(const std::string& name, const Json& data = Json::object(),
                      const Json& labels = Json::object()) {
  Json map = {{"apiVersion", "v1"}, {"kind", "ConfigMap"}, {"metadata", {{"name", name}}}, {"data", data}};
  if (!labels.empty()) map["metadata"]["labels"] = labels;
  return map;
}

// Each test has a namespace of its own.
class Conformance : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "RealApiServer") {
      const char* kubeconfig = std::getenv("SALVOR_TEST_KUBECONFIG");
      if (kubeconfig == nullptr)
        GTEST_SKIP() << "SALVOR_TEST_KUBECONFIG names no kubeconfig: not run on a real API server";
      client_ = MakeHttpKubernetes(FromKubeconfig(kubeconfig));
    } else if (GetParam() == "FakeApiServer") {
      server_ = std::make_unique<FakeApiServer>(fake_);
      client_ = MakeHttpKubernetes([this]() -> StatusOr<ClusterAccess> { return server_->Access(); });
    }
    PlayControllers();
    const Json name_space = {
        {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name_space_}}}};
    const auto created = kubernetes().Create(kNamespaces, "", name_space, {}, Soon());
    ASSERT_TRUE(created.ok()) << created.status();
  }

  void TearDown() override {
    if (client_ || GetParam() == "FakeKubernetes") {
      static_cast<void>(kubernetes().Delete({kNamespaces, "", name_space_}, {}, Soon()));
    }
  }

  Kubernetes& kubernetes() { return client_ ? *client_ : static_cast<Kubernetes&>(fake_); }
  ObjectKey Key(const std::string& name) const { return {kConfigMaps, name_space_, name}; }

  Json Make(const Json& object) {
    const auto made = kubernetes().Create(kConfigMaps, name_space_, object, {}, Soon());
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : Json();
  }

  Json Read(const std::string& name) {
    const auto object = kubernetes().Get(Key(name), Soon());
    EXPECT_TRUE(object.ok()) << object.status();
    return object.ok() ? *object : Json();
  }

  // The names, and the list's version.
  std::vector<std::string> Names(const ListOptions& options, std::string* version = nullptr) {
    std::vector<std::string> names;
    const auto keep = [&names](const Json& item) {
      names.push_back(TextAt(item, {"metadata", "name"}));
      return OkStatus();
    };
    const auto listed = kubernetes().List(kConfigMaps, name_space_, options, keep, Soon());
    EXPECT_TRUE(listed.ok()) << listed.status();
    if (version != nullptr && listed.ok()) *version = *listed;
    return names;
  }

  std::string VersionNow() {
    std::string version;
    Names({}, &version);
    return version;
  }

  // A pod that has written "one" and "two" and goes on.
  void MakePod(const std::string& name) {
    // An API server refuses pods in a new namespace until a controller has made this.
    const auto account = WaitUntil(
        kubernetes(), {kServiceAccounts, name_space_, "default"},
        [](const Json* now) -> StatusOr<bool> { return now != nullptr; }, Soon());
    ASSERT_TRUE(account.ok()) << account.status();
    const char* image = std::getenv("SALVOR_TEST_IMAGE");
    const Json container = {{"name", "main"},
                            {"image", image == nullptr ? "salvor.test/busybox:1" : image},
                            {"command", {"sh", "-c", "echo one; echo two; exec sleep 600"}}};
    const Json pod = {
        {"apiVersion", "v1"},
        {"kind", "Pod"},
        {"metadata", {{"name", name}}},
        {"spec", {{"terminationGracePeriodSeconds", 0}, {"containers", Json::array({container})}}}};
    ASSERT_TRUE(kubernetes().Create(kPods, name_space_, pod, {}, Soon()).ok());
    const auto running = WaitUntil(
        kubernetes(), {kPods, name_space_, name},
        [](const Json* now) -> StatusOr<bool> {
          return now != nullptr && TextAt(*now, {"status", "phase"}) == "Running";
        },
        Soon());
    ASSERT_TRUE(running.ok()) << running.status();
  }

  FakeKubernetes fake_;
  std::unique_ptr<FakeApiServer> server_;
  std::unique_ptr<Kubernetes> client_;
  const std::string name_space_ = "salvor-test-" + ToHex(RandomBytes(6));

 private:
  void PlayControllers() {
    fake_.OnCreate(kNamespaces, [this](const Json& object) {
      const Json account = {
          {"apiVersion", "v1"}, {"kind", "ServiceAccount"}, {"metadata", {{"name", "default"}}}};
      const std::string name = TextAt(object, {"metadata", "name"});
      EXPECT_TRUE(fake_.Create(kServiceAccounts, name, account, {}, {}).ok());
    });
    fake_.OnExec(RunLocally);
    fake_.OnCreate(kPods, [this](const Json& pod) {
      const std::string name = TextAt(pod, {"metadata", "name"});
      fake_.SetLogs(name_space_, name, "main", "one\ntwo\n");
      const auto start = [](Json& object) { object["status"]["phase"] = "Running"; };
      EXPECT_TRUE(fake_.Change({kPods, name_space_, name}, start).ok());
    });
  }
};

inline auto Targets() { return testing::Values("FakeKubernetes", "FakeApiServer", "RealApiServer"); }
inline std::string NameOf(const testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace salvor::kubernetes
