#include "agent/kubernetes/velero/actions/cluster.h"

#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {

StatusOr<std::vector<Claim>> ListClaims(kubernetes::Kubernetes& cluster, const std::string& name_space,
                                        const kubernetes::Call& call) {
  ASSIGN_OR_RETURN(const std::vector<Json> objects,
                   ListAll(
                       cluster, Claims(), name_space, "", [](const Json& item) { return item; }, call));
  std::vector<Claim> claims;
  for (const Json& object : objects) {
    const std::string volume = TextAt(object, {"spec", "volumeName"});
    if (volume.empty()) {
      claims.push_back(ReadClaim(object, Json()));
      continue;
    }
    const auto bound = cluster.Get({Volumes(), "", volume}, call);
    if (!bound.ok() && !kubernetes::IsNotFound(bound.status())) return bound.status();
    claims.push_back(ReadClaim(object, bound.ok() ? *bound : Json()));
  }
  return claims;
}

}  // namespace salvor::velero
