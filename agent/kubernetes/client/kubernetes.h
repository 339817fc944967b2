// The Kubernetes API as the agent needs it: objects as JSON, the verbs on them, logs, and exec.
//
// One interface, two implementations: MakeHttpKubernetes (http_kubernetes.h) speaks to an API server, and
// FakeKubernetes (agent/kubernetes/fake) behaves like one in memory. One conformance suite holds both, and a real API
// server, to what stands here.
//
// - Threads: every method may be called from any thread, also at the same time. Callbacks run on the calling thread.
// - Time: a call ends soon after `call.stop` is requested (kCancelled) and after `call.deadline` (kDeadlineExceeded). A
//   callback that blocks delays both.
// - Repetition: a call that may be repeated without harm (Get, List, Watch, Apply, Delete with a precondition,
//   Discover …) is repeated inside, with growing pauses, when the API server is away, busy or ill. It fails with the
//   last error after a minute of that, or where the deadline leaves no room; a Watch goes on until its deadline.
//   Create, Patch, Logs and Exec are repeated only where it is certain that the server has not begun: it said 429, or
//   no connection was made. After kUnavailable or kDeadlineExceeded from one of those, nobody knows whether it
//   happened: give objects deterministic names, and adopt what is there (IsAlreadyExists).
// - Errors: see api_error.h. Messages hold no token, no certificate and no body of a Secret.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/client/api_error.h"
#include "base/status.h"
#include "base/steady_time.h"

namespace salvor::kubernetes {

using Json = nlohmann::json;

// A kind of object, as the URL names it: {"velero.io", "v1", "backups"}, {"", "v1", "pods"}.
struct ResourceType {
  std::string group;  // "" is the core group
  std::string version;
  std::string plural;
  bool is_namespaced = true;

  // "velero.io/v1", "v1": what an object's apiVersion says.
  std::string ApiVersion() const { return group.empty() ? version : group + "/" + version; }
  // "backups.velero.io", "pods": what people and roles call it.
  std::string FullName() const { return group.empty() ? plural : plural + "." + group; }
  // "/apis/velero.io/v1", "/api/v1"
  std::string ApiPath() const { return (group.empty() ? "/api/" : "/apis/" + group + "/") + version; }
  // "/apis/velero.io/v1/namespaces/velero/backups"; without a namespace that of all namespaces.
  std::string Path(std::string_view name_space) const;
};

// One object. `name_space` is empty where the type is not namespaced.
struct ObjectKey {
  ResourceType type;
  std::string name_space;
  std::string name;

  std::string Path() const;  // "/apis/velero.io/v1/namespaces/velero/backups/b1"
  std::string Text() const;  // "backups.velero.io velero/b1", for messages
};

// How long a call may take.
struct Call {
  std::stop_token stop = {};
  SteadyTime deadline = SteadyTime::InfiniteFuture();
};

// Both selectors in the API server's own grammar: "app=shop,tier!=web", "metadata.name=b1".
struct Selection {
  std::string labels;
  std::string fields;
};

struct ListOptions {
  Selection selection = {};
  int page_size = 500;
  // "" reads the newest state from the quorum. "0" takes whatever the server has in its cache.
  std::string resource_version = {};
  std::string resource_version_match = {};  // "", "Exact" or "NotOlderThan"; needs a resource_version
};

struct WatchOptions {
  Selection selection = {};
  std::string resource_version;  // where to begin: that of a List or of an event. Must not be empty.
};

struct Event {
  enum class Type { kAdded, kModified, kDeleted };
  Type type;
  Json object;  // the object after the change; for kDeleted its last state
};

// Who writes, by the name that managedFields shows; and whether it is only a rehearsal.
struct WriteOptions {
  std::string field_manager = "salvor";
  bool dry_run = false;  // the server checks and answers, and stores nothing
};

struct ApplyOptions {
  WriteOptions write = {};
  bool force = false;  // takes fields from other managers instead of failing with IsConflict
};

enum class PatchKind { kMerge, kJson };

enum class Propagation { kBackground, kForeground, kOrphan };

struct DeleteOptions {
  std::optional<std::string> uid = {};  // deletes only this very object, else IsConflict
  std::optional<std::string> resource_version = {};
  Propagation propagation = Propagation::kBackground;
  bool dry_run = false;
};

struct LogOptions {
  std::string container = {};                // may be empty where the pod has one only
  std::optional<int64_t> tail_lines = {};    // the last lines only
  std::optional<absl::Duration> since = {};  // counted back from now, in whole seconds
  std::optional<int64_t> limit_bytes = {};
  bool follow = false;    // goes on until the container ends
  bool previous = false;  // those of the container's last life
};

struct ExecCommand {
  std::string name_space;
  std::string pod;
  std::string container;
  std::vector<std::string> argv;  // no shell is between
  // Where the command's input comes from: read until its end, then the command sees the end of its input. The caller
  // keeps it and closes it. -1: the command has no input. May be a pipe: nothing waits for it alone.
  int stdin_fd = -1;
  // The command's output, in pieces. An error ends the exec, and is what Exec returns. Empty: thrown away.
  std::function<Status(std::string_view)> on_stdout = {};
  std::function<Status(std::string_view)> on_stderr = {};
};

struct ServerVersion {
  int major = 0;
  int minor = 0;
  std::string git_version;  // "v1.34.4"
};

// One resource that the server serves.
struct ServedResource {
  ResourceType type;
  std::string kind;                // "Backup"
  std::vector<std::string> verbs;  // "get", "list", …
};

class Kubernetes {
 public:
  virtual ~Kubernetes() = default;

  // The object. IsNotFound when it is not there.
  virtual StatusOr<Json> Get(const ObjectKey& key, const Call& call) = 0;

  // Each object of the type in the namespace ("": in all), page by page, so that only one page is held. Each item has
  // its apiVersion and kind. Returns the list's resourceVersion, from which a Watch goes on without a gap. An error of
  // `on_item` ends the list and is returned. IsGone: the list took too long and the server forgot the state that it was
  // reading; what was delivered is worth nothing, list again.
  virtual StatusOr<std::string> List(const ResourceType& type, const std::string& name_space,
                                     const ListOptions& options,
                                     const std::function<Status(Json item)>& on_item, const Call& call) = 0;

  // Each change after options.resource_version, in order. A connection that ends or breaks is opened again where it
  // was left, so a watch sees no gap; an event that is not newer than the one before it is dropped. Returns
  // - OK when `on_event` answered false: it has seen what it waited for,
  // - kCancelled, kDeadlineExceeded: stopped, or out of time,
  // - IsGone: the server no longer remembers that far back. List again, compare, watch from there;
  // - what else the server says (IsForbidden, IsNotFound for a type that is not served …).
  // Decide from the objects' state, never from the number of events: a watch shows the latest state, not each one.
  virtual Status Watch(const ResourceType& type, const std::string& name_space, const WatchOptions& options,
                       const std::function<bool(const Event& event)>& on_event, const Call& call) = 0;

  // The object as it was stored. Fields that the server does not know are refused (IsInvalid) instead of silently left
  // out. With metadata.generateName the server chooses the name. IsAlreadyExists when the name is taken.
  virtual StatusOr<Json> Create(const ResourceType& type, const std::string& name_space, const Json& object,
                                const WriteOptions& options, const Call& call) = 0;

  // Server-side apply: makes the object, or sets the fields named in it; fields that an earlier apply of the same
  // manager named and this one does not are removed. `object` has apiVersion, kind and metadata.name, and no
  // managedFields. IsConflict when another manager owns one of the fields, unless forced.
  virtual StatusOr<Json> Apply(const ObjectKey& key, const Json& object, const ApplyOptions& options,
                               const Call& call) = 0;

  // A merge patch (RFC 7386), or a JSON patch (RFC 6902), of which a "test" that fails is IsInvalid. A
  // metadata.resourceVersion in a merge patch is a precondition: IsConflict.
  virtual StatusOr<Json> Patch(const ObjectKey& key, PatchKind kind, const Json& patch,
                               const WriteOptions& options, const Call& call) = 0;

  // Asks for the deletion. OK does not mean gone: finalizers and graceful ends take their time (WaitUntilGone in
  // wait.h). IsNotFound when it is not there, IsConflict when a precondition does not hold.
  virtual Status Delete(const ObjectKey& key, const DeleteOptions& options, const Call& call) = 0;

  // The container's output, line by line, without line ends; a line over 64 KiB comes in pieces. An error of `on_line`
  // ends the call and is returned.
  virtual Status Logs(const std::string& name_space, const std::string& pod, const LogOptions& options,
                      const std::function<Status(std::string_view line)>& on_line, const Call& call) = 0;

  // Runs a command in a container that runs, and returns its exit code. kUnavailable when the connection broke:
  // whether the command still runs then is not known. kFailedPrecondition when it could not be started. For short
  // commands: one that must outlive the connection is a Job, and one that reads nothing of its input for a minute
  // loses the connection.
  virtual StatusOr<int> Exec(const ExecCommand& command, const Call& call) = 0;

  virtual StatusOr<ServerVersion> Version(const Call& call) = 0;

  // What the server serves of one group and version; empty when it serves none of it.
  virtual StatusOr<std::vector<ServedResource>> Discover(const std::string& group, const std::string& version,
                                                         const Call& call) = 0;
};

// Whether the server serves this type. Asks anew each time: a CRD may come and go.
StatusOr<bool> IsServed(Kubernetes& kubernetes, const ResourceType& type, const Call& call);

// Text at a path of an object ("status", "phase"); "" where it is not there or no text. Objects come from outside:
// nothing about their shape is taken for granted.
std::string TextAt(const Json& object, std::initializer_list<std::string_view> path);

}  // namespace salvor::kubernetes
