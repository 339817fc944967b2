// A Kubernetes in memory that behaves like an API server, for tests. A test plays the controllers: it reacts to what is
// created, and changes objects as a controller would.
//
// It keeps what kubernetes.h says, and stores objects with uid, resourceVersion, generation and creationTimestamp;
// generateName, finalizers, ownerReferences; namespaces that must exist, and that take their content with them;
// conflicts, preconditions and dry runs. Simpler than a real one: fields are not validated and have no defaults;
// whole objects are patched, without subresources; graceful deletion is at once; server-side apply as field_owners.h
// says; a group is served in one version; nobody lacks a right, unless Fail says so.
//
// Thread-safe. Reactions run on the thread that made the call, after the change, and may make calls themselves.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/kubernetes/fake/field_owners.h"
#include "base/io/mutex.h"

namespace salvor::kubernetes {

class FakeKubernetes final : public Kubernetes {
 public:
  FakeKubernetes();  // serves the built-in types that Salvor meets; has the namespaces default and kube-system

  // A CRD comes, or goes with its objects.
  void Serve(const ResourceType& type, const std::string& kind);
  void StopServing(const ResourceType& type);

  // Called with the object, each time when one of the type was created, or a deletion was asked for.
  using Reaction = std::function<void(const Json& object)>;
  void OnCreate(const ResourceType& type, Reaction reaction);
  void OnDelete(const ResourceType& type, Reaction reaction);

  // Changes an object as a controller does: no reaction, no manager. IsNotFound when it is not there.
  Status Change(const ObjectKey& key, const std::function<void(Json& object)>& change);

  // The next `times` calls with this verb on this type fail so, before they do anything. `error`: MakeApiError.
  void Fail(const std::string& verb, const ResourceType& type, const Status& error, int times = 1);

  // Forgets all past changes: a watch from before is IsGone.
  void ForgetHistory();

  // What the container has written so far.
  void SetLogs(const std::string& name_space, const std::string& pod, const std::string& container,
               std::string text);

  // Runs commands. Without one, Exec fails with kFailedPrecondition.
  using ExecHandler = std::function<StatusOr<int>(const ExecCommand& command, const Call& call)>;
  void OnExec(ExecHandler handler);

  void SetNow(absl::Time now);  // of creationTimestamp and deletionTimestamp; stands still

  // What was asked so far, in order, Watch and List under their own verbs, Apply as "patch", Exec as "create
  // pods/exec".
  std::vector<ApiRequest> Requests() const;

  // As Watch, but resource_version follows the changes, also those that the selection leaves out.
  Status WatchFrom(const ResourceType& type, const std::string& name_space, const Selection& selection,
                   std::string& resource_version, const std::function<bool(const Event& event)>& on_event,
                   const Call& call);

  // The kind of a type; "" where it is not served.
  std::string KindOf(const ResourceType& type) const;
  // The served type of this group, version and plural, with whether it is namespaced.
  std::optional<ResourceType> TypeOf(const std::string& group, const std::string& version,
                                     const std::string& plural) const;

  StatusOr<Json> Get(const ObjectKey& key, const Call& call) override;
  StatusOr<std::string> List(const ResourceType& type, const std::string& name_space,
                             const ListOptions& options, const std::function<Status(Json item)>& on_item,
                             const Call& call) override;
  Status Watch(const ResourceType& type, const std::string& name_space, const WatchOptions& options,
               const std::function<bool(const Event& event)>& on_event, const Call& call) override;
  StatusOr<Json> Create(const ResourceType& type, const std::string& name_space, const Json& object,
                        const WriteOptions& options, const Call& call) override;
  StatusOr<Json> Apply(const ObjectKey& key, const Json& object, const ApplyOptions& options,
                       const Call& call) override;
  StatusOr<Json> Patch(const ObjectKey& key, PatchKind kind, const Json& patch, const WriteOptions& options,
                       const Call& call) override;
  Status Delete(const ObjectKey& key, const DeleteOptions& options, const Call& call) override;
  Status Logs(const std::string& name_space, const std::string& pod, const LogOptions& options,
              const std::function<Status(std::string_view line)>& on_line, const Call& call) override;
  StatusOr<int> Exec(const ExecCommand& command, const Call& call) override;
  StatusOr<ServerVersion> Version(const Call& call) override;
  StatusOr<std::vector<ServedResource>> Discover(const std::string& group, const std::string& version,
                                                 const Call& call) override;

 private:
  struct Served {
    ResourceType type;
    std::string kind;
  };
  struct Stored {
    ObjectKey key;
    Json object;
    FieldOwners owners;
  };
  struct Past {
    int64_t version;
    ObjectKey key;
    Json before;  // null: it was not there
    Json after;   // null: it is no longer there; before then has the version of the removal
  };
  struct Failure {
    std::string verb;
    std::string resource;
    Status error;
    int times;
  };

  // Notes the request, and fails where Fail ordered it, or where the type is not served.
  Status Begin(const ApiRequest& request, const Call& call);
  Status Begin(const ApiRequest& request, const ResourceType& type, const Call& call);
  enum class Occasion { kCreated, kDeleted };
  void React(Occasion occasion, const ResourceType& type, const Json& object);

  StatusOr<Stored*> Find(const ApiRequest& request, const ObjectKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Status CheckNamespace(const ApiRequest& request, const ObjectKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::string> ServedKind(const ApiRequest& request, const ResourceType& type)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<ObjectKey> NewKey(const ApiRequest& request, const ResourceType& type,
                             const std::string& name_space, const Json& object)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<Json> Insert(const ApiRequest& request, const ObjectKey& key, Json object,
                        const WriteOptions& options, bool is_applied) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Stores the object's next state, which ends it where it was only waiting for its finalizers.
  StatusOr<Json> Update(Stored& stored, Json after, const WriteOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Keep(Stored& stored, Json after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(const std::string& at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveOrWait(const std::string& at, Propagation propagation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReleaseDependents(const std::string& uid, Propagation propagation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndNamespaceIfEmpty(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Record(const ObjectKey& key, Json before, Json after) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  StatusOr<std::optional<Event>> NextEvent(const ResourceType& type, const std::string& name_space,
                                           const Selection& selection, int64_t& from)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string NowText() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01
  int64_t version_ ABSL_GUARDED_BY(mutex_) = 1000;
  int64_t forgotten_ ABSL_GUARDED_BY(mutex_) = 0;  // changes up to here are no longer in past_
  int64_t uids_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Served> served_ ABSL_GUARDED_BY(mutex_);  // by FullName
  std::map<std::string, std::unique_ptr<Stored>> objects_
      ABSL_GUARDED_BY(mutex_);  // by Path, so in the order of lists
  std::vector<Past> past_ ABSL_GUARDED_BY(mutex_);
  std::vector<Failure> failures_ ABSL_GUARDED_BY(mutex_);
  std::vector<ApiRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<Occasion, std::string>, std::vector<Reaction>> reactions_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> logs_ ABSL_GUARDED_BY(mutex_);  // by "namespace/pod/container"
  ExecHandler exec_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::kubernetes
