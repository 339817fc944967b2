// How to reach an API server, and as whom: from a kubeconfig, or from what every pod is given. The parsing is pure:
// files are read by a function that is handed in.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor::kubernetes {

// Holds secrets: never logged, never part of a message.
struct ClusterAccess {
  std::string server;  // "https://10.0.0.1:6443", without a slash at its end
  std::string ca_pem;  // "": what the machine trusts
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string token;
  std::string proxy_url;   // "": none, whatever the environment says
  std::string name_space;  // of the context or the pod; may be empty
};

using FileReader = std::function<StatusOr<std::string>(const std::string& path)>;

// The access that a kubeconfig's context gives ("": its current-context). Relative paths are from `folder`. Refused,
// each with what to do instead: plugins (exec, auth-provider), which would run programs; passwords; impersonation;
// insecure-skip-tls-verify; plain http to another machine.
StatusOr<ClusterAccess> ParseKubeconfig(std::string_view text, const std::string& folder,
                                        const std::string& context, const FileReader& read_file);

// The access of a pod: `folder` holds token, ca.crt and namespace; host and port are what KUBERNETES_SERVICE_HOST and
// KUBERNETES_SERVICE_PORT say.
StatusOr<ClusterAccess> ParseInCluster(const std::string& host, const std::string& port,
                                       const std::string& folder, const FileReader& read_file);

// Where access comes from. Reads everything anew: kubeconfig, certificates and token files.
using AccessLoader = std::function<StatusOr<ClusterAccess>()>;

AccessLoader FromKubeconfig(const std::string& path, const std::string& context = "");

// Host and port from the environment, which is read now.
AccessLoader FromPod(const std::string& folder = "/var/run/secrets/kubernetes.io/serviceaccount");

}  // namespace salvor::kubernetes
