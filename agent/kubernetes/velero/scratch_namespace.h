// The throw-away namespace of a drill: the objects that it is made of, whose one is, and what a probe inside of it
// says. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"
#include "salvor/v1/action.pb.h"
#include "salvor/v1/scratch_namespace.pb.h"

namespace salvor::velero {

// On a namespace: a drill made it, and removes it. On other objects: of which namespace they are the walls.
inline constexpr char kScratchLabel[] = "salvor.dev/scratch";

inline constexpr char kScratchGuard[] = "salvor-drill";   // what each of the walls is called
inline constexpr char kScratchRole[] = "salvor-scratch";  // the ClusterRole that an executor has inside
inline constexpr char kProbePod[] = "salvor-probe", kProbePeer[] = "salvor-probe-peer";
inline constexpr int kPeerPort = 7777;

// The pod that the agent itself runs in. All that is empty is not known: the agent runs elsewhere.
struct OwnPod {
  std::string image;  // that has the programs of this version
  std::string name_space, service_account;
};

// By the container called "agent", else the first one.
OwnPod ReadOwnPod(const Json& pod);

// The namespace itself. What is restored into it is held to the baseline of Pod Security.
Json MakeScratchNamespace(const v1::ScratchNamespaceStart& action);

// True for one that the run made. Nothing else is ever written into, or removed.
bool IsScratchOf(const Json& name_space, const std::string& run);

// Lets the agent, and no other account, work inside.
Json MakeScratchBinding(const std::string& name_space, const OwnPod& own);

// Nothing gets in or out but to and from pods of the namespace itself: no names are resolved either, for nothing of the
// application runs.
Json MakeScratchPolicy(const std::string& name_space);

// The share of the cluster that all of its pods may take together, and that one takes which names none. No service of
// it has a port of the nodes, or a load balancer.
Json MakeScratchQuota(const std::string& name_space);
Json MakeScratchLimits(const std::string& name_space);

// The account that pods have which name none: it has no rights, and its token is in no pod.
Json MakeScratchAccount(const std::string& name_space);

// Something that a drill must not reach: a name for people, and an address, in which $(KUBERNETES_SERVICE_HOST),
// $(KUBERNETES_SERVICE_PORT) and $(NODE) are read in the pod.
struct ProbeTarget {
  std::string name, address;
};

// `others` are addresses in other namespaces at which something is known to listen.
std::vector<ProbeTarget> ForbiddenTargets(const std::vector<std::string>& others);

// A pod that listens at kPeerPort and does nothing else.
Json MakeProbePeer(const std::string& name_space, const OwnPod& own);

// A pod that tries all targets and the peer, and leaves what it reached as its last words.
Json MakeProbe(const std::string& name_space, const OwnPod& own, const std::string& peer_address,
               const std::vector<ProbeTarget>& targets);

// A host and a port as the probe reads them: an address of IPv6 stands in brackets.
std::string AddressOf(const std::string& host, int port);

// The finding of a probe that has ended. `unclear` says why it could not tell; else `reached` names what it must not
// have reached: none, and the namespace is isolated.
struct ProbeFinding {
  std::string unclear;
  std::vector<std::string> reached;
  int tried = 0;  // of those that it must not reach
};

// `pod` is the probe's, null where it is gone.
ProbeFinding ReadProbe(const Json& pod, const std::string& peer_address,
                       const std::vector<ProbeTarget>& targets);

// Why a pod does not come to life, as far as its state says; "" where it may be on its way.
std::string WhyNotStarted(const Json& pod);

// The check of kind "isolation", with a warning where it did not pass.
v1::ActionResult JudgeIsolation(const std::string& name_space, const ProbeFinding& finding);
// The lack of it in words; "" where there is none.
std::string WhyNotIsolated(const ProbeFinding& finding);

// The fate of a volume of the cluster when the namespace goes.
enum class VolumeFate {
  kNone,    // it is not the drill's: left as it is
  kGoes,    // made for one of its claims, and goes with it
  kMustGo,  // likewise, but is told to stay: it has to be told to go first
  kParked,  // Velero brought back the object of a volume, which no claim of the drill may have: the object alone goes
};

// Only a volume that was made for a claim of this namespace, after the namespace, is ever told to go: the disk of a
// running application may have come back under a claim of its name, and is no one's to delete. `restores` are the
// names of Velero's Restores into the namespace.
VolumeFate FateOf(const Json& volume, const Json& name_space, const std::vector<std::string>& restores);

// True where the object stands for a snapshot that came into this namespace by one of these Restores.
bool IsContentOf(const Json& content, const std::string& name_space,
                 const std::vector<std::string>& restores);
// True where the snapshot itself stays when the object goes.
bool KeepsItsSnapshot(const Json& content);

}  // namespace salvor::velero
