// Kubernetes over HTTPS. libcurl and the credentials stay behind this header.
#pragma once

#include <memory>

#include "agent/kubernetes/client/backoff.h"
#include "agent/kubernetes/client/cluster_access.h"
#include "agent/kubernetes/client/http_exec.h"
#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

struct HttpOptions {
  Backoff backoff = {};
  absl::Duration patience = absl::Minutes(1);  // how long a call is repeated, counted from its first failure
  absl::Duration answer_timeout = absl::Minutes(1);    // for one answer: a page of a list, an object
  absl::Duration watch_connection = absl::Minutes(5);  // then the server ends it, and it is opened again
  ExecPatience exec = {};
  size_t body_at_most = 64 << 20;
  size_t line_at_most = 8 << 20;  // of a watch: etcd keeps no object of that size
};

// Reads nothing and connects to nothing yet. The access is loaded at the first call, after a minute, and when the
// server refuses it.
std::unique_ptr<Kubernetes> MakeHttpKubernetes(AccessLoader access, const HttpOptions& options = {});

}  // namespace salvor::kubernetes
