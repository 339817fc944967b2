// An application's Secret, as a mover reads it: by its name alone, in the application's namespace, at the moment of use.
#pragma once

#include <map>
#include <string>

#include "agent/kubernetes/client/kubernetes.h"
#include "base/status.h"

namespace salvor::movers {

// What stands at its keys. PermissionDenied, with the two commands that allow it, where the namespace's owner did not.
// `account` is the service account that asks, "salvor:salvor-mover". Messages hold nothing of the Secret but its name.
StatusOr<std::map<std::string, std::string>> ReadSecret(kubernetes::Kubernetes& cluster,
                                                        const std::string& name_space,
                                                        const std::string& name, const std::string& account,
                                                        const kubernetes::Call& call);

}  // namespace salvor::movers
