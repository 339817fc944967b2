#include "controlplane/api/cluster_choice.h"

#include <gmock/gmock.h>

namespace salvor::controlplane {
namespace {

v1::Object Environment(const std::string& name, v1::Runtime runtime) {
  v1::Object object;
  object.mutable_metadata()->set_name(name);
  object.mutable_environment()->set_runtime(runtime);
  return object;
}

// The name of the chosen one, or code, message and hint of the refusal.
std::string Choose(const std::vector<v1::Object>& environments, const std::string& name) {
  const auto chosen = ChooseCluster(environments, name);
  if (chosen.ok()) return chosen->metadata().name();
  return absl::StatusCodeToString(chosen.status().code()) + ": " + MessageOf(chosen.status()) + " | " +
         HintOf(chosen.status());
}

TEST(ChooseCluster, TakesTheNamedOneOrTheOnlyOne) {
  const v1::Object host = Environment("vps", v1::RUNTIME_HOST);
  const v1::Object a = Environment("a", v1::RUNTIME_KUBERNETES), b = Environment("b", v1::RUNTIME_KUBERNETES);
  EXPECT_EQ(Choose({host, a}, ""), "a");
  EXPECT_EQ(Choose({host, a, b}, "b"), "b");
  EXPECT_EQ(Choose({a, b}, "a"), "a");
}

TEST(ChooseCluster, SaysWhyThereIsNone) {
  const v1::Object host = Environment("vps", v1::RUNTIME_HOST);
  const v1::Object a = Environment("a", v1::RUNTIME_KUBERNETES), b = Environment("b", v1::RUNTIME_KUBERNETES);
  EXPECT_EQ(
      Choose({}, ""),
      "FAILED_PRECONDITION: no environment is a cluster | Declare one first, with runtime Kubernetes and a "
      "Location, and apply it.");
  EXPECT_EQ(Choose({host}, ""), Choose({}, ""));
  EXPECT_EQ(Choose({a}, "c\n"),
            "NOT_FOUND: there is no environment 'c' | See which there are: salvor get environments");
  EXPECT_EQ(
      Choose({host, a}, "vps"),
      "FAILED_PRECONDITION: environment 'vps' is a set of hosts, and a namespace is of a cluster | Name one that "
      "is a cluster: a");
  EXPECT_EQ(
      Choose({host}, "vps"),
      "FAILED_PRECONDITION: environment 'vps' is a set of hosts, and a namespace is of a cluster | Declare an "
      "environment with runtime Kubernetes, and apply it.");
  EXPECT_EQ(
      Choose({a, host, b}, ""),
      "INVALID_ARGUMENT: 2 environments are clusters, and it is not said which | Name one with --environment: a, "
      "b");
}

}  // namespace
}  // namespace salvor::controlplane
