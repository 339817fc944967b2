#include <functional>

#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/velero/actions/own_pod.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/scratch_namespace.h"

namespace salvor::velero {
namespace {

constexpr absl::Duration kProbePatience = absl::Minutes(3);  // an image may have to be fetched
constexpr absl::Duration kBindingPatience = absl::Seconds(20), kBindingPause = absl::Milliseconds(200);
constexpr size_t kMostOthers = 3;
constexpr int kVelerosPort = 8085;  // of the server's and the node-agent's metrics

bool HasEnded(const Json& pod) {
  const std::string phase = TextAt(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

class ScratchStarter {
 public:
  ScratchStarter(const v1::ScratchNamespaceStart& action, agent::ActionContext& context,
                 const VeleroOptions& options, kubernetes::Kubernetes& cluster)
      : action_(action),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.cluster())),
        scratch_(action.name()),
        call_{context.stop, context.deadline} {}

  StatusOr<ProbeFinding> Run() {
    ASSIGN_OR_RETURN(own_, FindOwnPod(cluster_, options_, call_));
    RETURN_IF_ERROR(FindOrMake());
    RETURN_IF_ERROR(Wall());
    return Probe();
  }

 private:
  void Tell(const std::string& message) {
    v1::Progress progress;
    progress.set_message(message);
    if (context_.progress) context_.progress(progress);
  }

  Status FindOrMake() {
    Tell("making namespace " + scratch_);
    const auto made = cluster_.Create(Namespaces(), "", MakeScratchNamespace(action_), {}, call_);
    if (made.ok()) return OkStatus();
    if (!kubernetes::IsAlreadyExists(made.status()))
      return WithContext(made.status(), "make the drill's namespace");
    // An earlier attempt made it; or it is another's.
    ASSIGN_OR_RETURN(const Json there, cluster_.Get({Namespaces(), "", scratch_}, call_));
    if (!IsScratchOf(there, action_.run())) {
      return WithHint(
          FailedPrecondition("there is a namespace {} already, and this drill did not make it", scratch_),
          "Start the drill once more: it takes another name. What is in that namespace was not touched.");
    }
    if (TextAt(there, {"metadata", "deletionTimestamp"}).empty()) return OkStatus();
    return FailedPrecondition("namespace {} of the drill is being deleted", scratch_);
  }

  // An earlier attempt made what has the same name: nobody else writes in here. A binding takes a moment to be
  // known to the API server.
  Status Insist(const char* what, const std::function<StatusOr<Json>()>& create) {
    const SteadyTime patience = SteadyNow() + kBindingPatience;
    while (true) {
      const Status created = create().status();
      if (created.ok() || kubernetes::IsAlreadyExists(created)) return OkStatus();
      const Status failed = WithContext(created, fmt::format("make {} of the drill's namespace", what));
      if (!kubernetes::IsForbidden(created)) return failed;
      if (SteadyNow() >= patience) {
        return WithHint(failed, std::string("An executor has there what the ClusterRole ") + kScratchRole +
                                    " has, and may bind it: see deploy/kubernetes/rights.yaml.");
      }
      RETURN_IF_ERROR(kubernetes::Pause(call_, kBindingPause, "the binding to be known"));
    }
  }

  Status Wall() {
    if (!own_.service_account.empty()) {
      RETURN_IF_ERROR(Insist("the binding", [this] {
        return cluster_.Create(RoleBindings(), scratch_, MakeScratchBinding(scratch_, own_), {}, call_);
      }));
    }
    RETURN_IF_ERROR(Insist("the network policy", [this] {
      return cluster_.Create(NetworkPolicies(), scratch_, MakeScratchPolicy(scratch_), {}, call_);
    }));
    RETURN_IF_ERROR(Insist("the quota", [this] {
      return cluster_.Create(Quotas(), scratch_, MakeScratchQuota(scratch_), {}, call_);
    }));
    RETURN_IF_ERROR(Insist("the limits", [this] {
      return cluster_.Create(Limits(), scratch_, MakeScratchLimits(scratch_), {}, call_);
    }));
    return CloseAccount();
  }

  // The cluster makes it as well, sooner or later.
  Status CloseAccount() {
    RETURN_IF_ERROR(Insist("the account", [this] {
      return cluster_.Create(Accounts(), scratch_, MakeScratchAccount(scratch_), {}, call_);
    }));
    return Insist("the account", [this] {
      return cluster_.Patch({Accounts(), scratch_, "default"}, kubernetes::PatchKind::kMerge,
                            {{"automountServiceAccountToken", false}}, {}, call_);
    });
  }

  Status Remove(const char* pod) {
    const Status removed = cluster_.Delete({Pods(), scratch_, pod}, {}, call_);
    if (!removed.ok() && !kubernetes::IsNotFound(removed)) return removed;
    return kubernetes::WaitUntilGone(cluster_, {Pods(), scratch_, pod}, "", call_);
  }

  // Until the pod is as wanted, cannot be any more, or patience is over: the pod as it is then, null where it is gone.
  StatusOr<Json> Await(const char* name, const std::function<bool(const Json& pod)>& is_done) {
    Json last;
    const auto looked = kubernetes::WaitUntil(
        cluster_, {Pods(), scratch_, name},
        [&](const Json* pod) -> StatusOr<bool> {
          last = pod == nullptr ? Json() : *pod;
          return pod == nullptr || is_done(*pod) || !WhyNotStarted(*pod).empty();
        },
        CallWithin(context_, kProbePatience));
    if (looked.ok() ||
        (looked.status().code() == absl::StatusCode::kDeadlineExceeded && SteadyNow() < context_.deadline))
      return last;
    return looked.status();
  }

  // Addresses at which something listens that no drill has to do with.
  StatusOr<std::vector<std::string>> OthersAddresses() {
    ASSIGN_OR_RETURN(const std::vector<Json> pods,
                     ListAll(
                         cluster_, Pods(), velero_, "", [](const Json& item) { return item; }, call_));
    std::vector<std::string> addresses;
    for (const Json& pod : pods) {
      const std::string address = TextAt(pod, {"status", "podIP"});
      if (TextAt(pod, {"status", "phase"}) == "Running" && !address.empty() && addresses.size() < kMostOthers)
        addresses.push_back(AddressOf(address, kVelerosPort));
    }
    return addresses;
  }

  static ProbeFinding Unclear(const std::string& what, const Json& pod) {
    ProbeFinding finding;
    const std::string why = pod.is_null() ? "somebody removed it" : WhyNotStarted(pod);
    finding.unclear = what + (why.empty() ? "" : ": " + why);
    return finding;
  }

  StatusOr<ProbeFinding> Probe() {
    Tell("trying to get out of namespace " + scratch_);
    for (const char* pod : {kProbePod, kProbePeer}) RETURN_IF_ERROR(Remove(pod));
    ASSIGN_OR_RETURN(const ProbeFinding finding, TryToGetOut());
    // They go with the namespace at the latest.
    for (const char* pod : {kProbePod, kProbePeer})
      static_cast<void>(cluster_.Delete({Pods(), scratch_, pod}, {}, call_));
    return finding;
  }

  StatusOr<ProbeFinding> TryToGetOut() {
    ASSIGN_OR_RETURN(const std::vector<std::string> others, OthersAddresses());
    const std::vector<ProbeTarget> targets = ForbiddenTargets(others);
    RETURN_IF_ERROR(Insist("a pod", [this] {
      return cluster_.Create(Pods(), scratch_, MakeProbePeer(scratch_, own_), {}, call_);
    }));
    ASSIGN_OR_RETURN(const Json peer, Await(kProbePeer, [](const Json& pod) {
                       const bool runs = TextAt(pod, {"status", "phase"}) == "Running";
                       return HasEnded(pod) || (runs && !TextAt(pod, {"status", "podIP"}).empty());
                     }));
    const std::string at = TextAt(peer, {"status", "podIP"});
    if (TextAt(peer, {"status", "phase"}) != "Running" || at.empty())
      return Unclear("the pod beside the one that was to try it did not start", peer);
    const std::string peer_address = AddressOf(at, kPeerPort);
    RETURN_IF_ERROR(Insist("a pod", [&] {
      return cluster_.Create(Pods(), scratch_, MakeProbe(scratch_, own_, peer_address, targets), {}, call_);
    }));
    ASSIGN_OR_RETURN(const Json probe, Await(kProbePod, HasEnded));
    if (!WhyNotStarted(probe).empty() || probe.is_null())
      return Unclear("the pod that was to try it did not start", probe);
    return ReadProbe(probe, peer_address, targets);
  }

  const v1::ScratchNamespaceStart& action_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_, scratch_;
  const kubernetes::Call call_;
  OwnPod own_;
};

}  // namespace

StatusOr<v1::ActionResult> RunScratchNamespaceStart(const v1::ScratchNamespaceStart& action,
                                                    agent::ActionContext& context,
                                                    const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  ASSIGN_OR_RETURN(const ProbeFinding finding, ScratchStarter(action, context, options, *cluster).Run());
  const std::string lack = WhyNotIsolated(finding);
  if (lack.empty() || !action.require_isolation()) return JudgeIsolation(action.name(), finding);
  v1::ScratchNamespaceStop stop;
  *stop.mutable_cluster() = action.cluster();
  stop.set_name(action.name());
  stop.set_run(action.run());
  RETURN_IF_ERROR(RunScratchNamespaceStop(stop, context, options).status());
  return WithHint(
      FailedPrecondition("the environment demands isolation, and a drill here has none: {}", lack),
      "Let a network plugin enforce NetworkPolicies, or drop requireIsolation from the Environment.");
}

}  // namespace salvor::velero
