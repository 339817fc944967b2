// A cluster with a Velero in it that does what a test tells it. Tests only. It runs on the thread of the action: when
// an object is made, and whenever the action tells its progress.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/process/process.h"

namespace salvor::velero {

// A gzip file of the content.
std::string Gzip(const std::string& content);

class FakeVelero {
 public:
  // Namespaces velero and shop; a Velero that is well, with the storage location "main"; snapshots of CSI; in shop the
  // claim "uploads", which a pod has mounted.
  FakeVelero();

  kubernetes::FakeKubernetes& Cluster() { return cluster_; }
  VeleroOptions Options();

  // What becomes of each Backup when it is made. Unless told otherwise it is Completed at once, and its volume is
  // whole.
  std::function<void(const std::string& name)> on_backup;
  // What becomes of each Restore when it is made. Unless told otherwise it is Completed at once, and BringBack was
  // done.
  std::function<void(const std::string& name)> on_restore;
  // What becomes of a request to delete. Unless told otherwise the Backup and its requests go at once.
  std::function<void(const std::string& request, const std::string& backup)> on_delete;
  // Called whenever an action reads the clock that patience is measured by.
  std::function<void()> on_now;
  // Called with each message of progress.
  std::function<void(const std::string& message)> on_progress;
  std::shared_ptr<VeleroObserver> observer;  // that the actions are given; may be null
  // Velero's records of any Backup, as JSON, by the kind that it is asked for; one that is not here is not there.
  std::map<std::string, std::string> records;
  Status certificate = OkStatus();                // what a look at the storage location's address finds
  std::string own_pod;                            // of the agent; empty: it runs in none
  bool answers = true;                            // to requests
  absl::Duration elapsed = absl::ZeroDuration();  // of the clock that patience is measured by

  void SetPhase(const std::string& backup, const std::string& phase, const Json& status = Json::object());
  void SetRestorePhase(const std::string& restore, const std::string& phase,
                       const Json& status = Json::object());
  // What a Restore does with the claim "uploads" of shop, kept by its files: the namespace that it goes to, the claim
  // there, and a transfer into it that has moved so many bytes.
  void BringBack(const std::string& restore, int64_t bytes = 4096);
  void Add(const kubernetes::ResourceType& type, const std::string& name_space, Json object);
  // The attempt that is running has no time left from now on.
  void RunOutOfTime() { running_->deadline = SteadyTime::InfinitePast(); }
  // The object's state; null when it is not there.
  Json Get(const kubernetes::ResourceType& type, const std::string& name,
           const std::string& name_space = "velero");
  std::vector<std::string> Names(const kubernetes::ResourceType& type);

  template <typename Message>
  StatusOr<v1::ActionResult> Run(StatusOr<v1::ActionResult> (*action)(const Message&, agent::ActionContext&,
                                                                      const VeleroOptions&),
                                 const Message& message) {
    const VeleroOptions options = Options();
    agent::ActionContext context = Context();
    running_ = &context;
    StatusOr<v1::ActionResult> result = action(message, context, options);
    running_ = nullptr;
    return result;
  }

  std::vector<std::string> progress, log;
  std::vector<std::string> looked_at;  // addresses whose certificate was looked at
  std::stop_source stop;
  v1::Task task;

 private:
  agent::ActionContext Context();
  void AddCluster();
  void AddShop();
  void AnswerRequests();
  void SetPhaseOf(const kubernetes::ObjectKey& key, const std::string& phase, const Json& status);

  kubernetes::FakeKubernetes cluster_;
  agent::AgentConfig config_;
  agent::SupervisedTools tools_{"none"};
  agent::ActionContext* running_ = nullptr;
};

}  // namespace salvor::velero
