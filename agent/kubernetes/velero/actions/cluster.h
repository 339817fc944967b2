// What Velero's actions share: how a cluster is reached, how long they wait for what, and lists of objects as values.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/kubernetes/velero/claims.h"
#include "agent/kubernetes/velero/observer.h"
#include "agent/kubernetes/velero/preflight.h"
#include "agent/kubernetes/velero/reading.h"
#include "agent/work/action.h"
#include "base/io/steady_clock.h"
#include "salvor/v1/object.pb.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

// Reaches the cluster that an action names. Asked once an attempt, from any thread. FailedPrecondition for a cluster
// that this agent may not speak to.
using ClusterFactory =
    std::function<StatusOr<std::shared_ptr<kubernetes::Kubernetes>>(const v1::KubernetesCluster& cluster)>;

// Fetches what an address that Velero signed leads to, as it is kept: compressed. See DownloadSigned.
using Downloader = std::function<StatusOr<std::string>(const std::string& url, const kubernetes::Call& call)>;

// Whether this machine trusts the certificate that is shown at an address. See CheckCertificate.
using CertificateCheck = std::function<Status(const std::string& address, const kubernetes::Call& call)>;

struct VeleroOptions {
  ClusterFactory clusters;
  Downloader download;
  CertificateCheck check_certificate;               // null: it is not looked at
  std::string image;                                // of the agent's own pods; empty: that of its own pod
  std::string own_pod;                              // "salvor/salvor-executor-0"; empty: it runs in none
  std::shared_ptr<VeleroObserver> observer;         // may be null
  absl::Duration look_every = absl::Seconds(2);     // at transfers and at the queue, while a Backup is made
  absl::Duration answer_within = absl::Minutes(1);  // what Velero answers at once when it is well
  std::function<SteadyTime()> now = SteadyNow;      // that the rest is measured by
  absl::Duration nudge_after = absl::Minutes(2);    // a Backup that is to begin at once, and does not
  absl::Duration stalled_after = absl::Minutes(5);  // a Backup that nothing moves of
  absl::Duration refusals_pass_within =
      absl::Minutes(10);  // an API server that is started anew knows no rights yet
  absl::Duration deletion_patience =
      absl::Minutes(10);  // a request to delete that a dead server may have begun
};

// The attempt's own end, or `within` from now if that is sooner.
inline kubernetes::Call CallWithin(const agent::ActionContext& context, absl::Duration within) {
  return {context.stop, std::min(context.deadline, SteadyNow() + within)};
}

// Every object of the type, read one by one.
template <typename Read>
auto ListAll(kubernetes::Kubernetes& cluster, const kubernetes::ResourceType& type,
             const std::string& name_space, const std::string& labels, Read&& read,
             const kubernetes::Call& call) -> StatusOr<std::vector<decltype(read(Json()))>> {
  std::vector<decltype(read(Json()))> found;
  kubernetes::ListOptions options;
  options.selection.labels = labels;
  const auto listed = cluster.List(
      type, name_space, options,
      [&](const Json& item) {
        found.push_back(read(item));
        return OkStatus();
      },
      call);
  if (!listed.ok()) return WithContext(listed.status(), "list " + type.FullName());
  return found;
}

// The claims of a namespace, each with what its volume says.
StatusOr<std::vector<Claim>> ListClaims(kubernetes::Kubernetes& cluster, const std::string& name_space,
                                        const kubernetes::Call& call);

// What there is to know of Velero, of the volumes of these namespaces, and of who uses them; nothing is changed.
StatusOr<PreflightFacts> LookAtCluster(const v1::VeleroPreflight& action, agent::ActionContext& context,
                                       const VeleroOptions& options, kubernetes::Kubernetes& cluster);

// Whether it is worth waiting on: the API server, or the way to it, is away for a while.
inline bool IsPassing(const Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kOutOfRange;
}

}  // namespace salvor::velero
