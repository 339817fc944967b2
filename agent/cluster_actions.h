// Everything that an agent of a cluster can do, by its kind. Velero reads the volumes, and movers the databases: no agent
// that stays has a host's engine.
#pragma once

#include <memory>
#include <string>

#include "agent/kubernetes/velero/observer.h"
#include "agent/work/action.h"

namespace salvor::agent {

struct ClusterOptions {
  std::string kubeconfig;  // empty: the service account of the pod that the agent runs in
  std::shared_ptr<velero::VeleroObserver> observer;  // hears what an executor sees of Velero; may be null
  std::string image = {};            // of the pods that an executor starts; empty: that of its own pod
  std::string own_pod = {};          // "salvor/salvor-executor-0"; empty: it runs in none
  std::string mover_namespace = {};  // where an executor makes movers; empty: its pod's own, else "salvor"
};

// The actions that a mover does (agent/mover.h). An executor has each of them done by one.
ActionRegistry MoverActions();

// Of an executor, which has rights at the API server and holds nothing that another one could not take over. An action
// that names a kubeconfig is refused unless it is this one: no other file is read.
ActionRegistry ExecutorActions(const ClusterOptions& options);

// Of a node's agent, which has none of these rights.
ActionRegistry NodeActions();

// The actions of an agent of that runtime and kind; InvalidArgument where the two do not go together.
StatusOr<ActionRegistry> ActionsFor(v1::Runtime runtime, v1::AgentKind kind, const ClusterOptions& options);

}  // namespace salvor::agent
