#include "agent/kubernetes/movers/actions/secret.h"

#include <absl/strings/escaping.h>

#include "agent/kubernetes/velero/reading.h"

namespace salvor::movers {

StatusOr<std::map<std::string, std::string>> ReadSecret(kubernetes::Kubernetes& cluster,
                                                        const std::string& name_space,
                                                        const std::string& name, const std::string& account,
                                                        const kubernetes::Call& call) {
  const auto secret = cluster.Get({{"", "v1", "secrets"}, name_space, name}, call);
  if (kubernetes::IsForbidden(secret.status())) {
    return WithHint(
        PermissionDenied("the mover may not read the Secret {} of namespace {}", name, name_space),
        fmt::format("The namespace's owner allows it, and this Secret alone: kubectl -n {0} create role "
                    "salvor-mover --verb=get --resource=secrets --resource-name={1}; kubectl -n {0} create "
                    "rolebinding salvor-mover --role=salvor-mover --serviceaccount={2}",
                    name_space, name, account));
  }
  if (kubernetes::IsNotFound(secret.status())) {
    return WithHint(FailedPrecondition("there is no Secret {} in namespace {}", name, name_space),
                    fmt::format("See which there are: kubectl -n {} get secrets", name_space));
  }
  if (!secret.ok()) return WithContext(secret.status(), "read the database's Secret");
  std::map<std::string, std::string> values;
  for (const auto& [key, encoded] : velero::TextMapAt(*secret, {"data"})) {
    if (!absl::Base64Unescape(encoded, &values[key]))
      return FailedPrecondition("key {} of Secret {} can't be read", key, name);
  }
  return values;
}

}  // namespace salvor::movers
