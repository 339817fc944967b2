#include "agent/kubernetes/fake/fake_kubernetes.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/http_requests.h"
#include "agent/kubernetes/client/lines.h"
#include "agent/kubernetes/client/query.h"
#include "agent/kubernetes/fake/selectors.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

struct BuiltIn {
  const char* group;
  const char* version;
  const char* plural;
  const char* kind;
  bool is_namespaced;
};

constexpr BuiltIn kBuiltIns[] = {
    {"", "v1", "namespaces", "Namespace", false},
    {"", "v1", "nodes", "Node", false},
    {"", "v1", "persistentvolumes", "PersistentVolume", false},
    {"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", true},
    {"", "v1", "pods", "Pod", true},
    {"", "v1", "services", "Service", true},
    {"", "v1", "secrets", "Secret", true},
    {"", "v1", "configmaps", "ConfigMap", true},
    {"", "v1", "serviceaccounts", "ServiceAccount", true},
    {"", "v1", "resourcequotas", "ResourceQuota", true},
    {"", "v1", "events", "Event", true},
    {"apps", "v1", "deployments", "Deployment", true},
    {"apps", "v1", "statefulsets", "StatefulSet", true},
    {"apps", "v1", "replicasets", "ReplicaSet", true},
    {"apps", "v1", "daemonsets", "DaemonSet", true},
    {"batch", "v1", "jobs", "Job", true},
    {"batch", "v1", "cronjobs", "CronJob", true},
    {"networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", true},
    {"networking.k8s.io", "v1", "ingresses", "Ingress", true},
    {"storage.k8s.io", "v1", "storageclasses", "StorageClass", false},
    {"rbac.authorization.k8s.io", "v1", "roles", "Role", true},
    {"rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", true},
    {"apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false},
};

Status BadRequest(const ApiRequest& request, const Status& why) {
  return MakeApiError(400, "BadRequest", MessageOf(why), request);
}

Status Conflict(const ApiRequest& request, const ObjectKey& key, std::string_view why) {
  return MakeApiError(
      409, "Conflict",
      fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", key.type.FullName(), key.name, why),
      request);
}

Status Patched(Json& object, PatchKind kind, const Json& patch, const ApiRequest& request) {
  if (kind == PatchKind::kMerge) {
    object.merge_patch(patch);
    return OkStatus();
  }
  try {
    object = object.patch(patch);
    return OkStatus();
  } catch (const Json::exception& error) {
    return MakeApiError(422, "Invalid", fmt::format("the server rejected our request: {}", error.what()),
                        request);
  }
}

}  // namespace

FakeKubernetes::FakeKubernetes() {
  for (const BuiltIn& one : kBuiltIns)
    Serve({one.group, one.version, one.plural, one.is_namespaced}, one.kind);
  for (const char* name : {"default", "kube-system"}) {
    const Json name_space = {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}};
    static_cast<void>(Create({"", "v1", "namespaces", false}, "", name_space, {}, {}));
  }
  MutexLock lock(mutex_);
  requests_.clear();
}

void FakeKubernetes::Serve(const ResourceType& type, const std::string& kind) {
  MutexLock lock(mutex_);
  served_[type.FullName()] = Served{type, kind};
}

void FakeKubernetes::StopServing(const ResourceType& type) {
  MutexLock lock(mutex_);
  std::vector<std::string> content;
  for (const auto& [path, stored] : objects_) {
    if (stored->key.type.FullName() == type.FullName()) content.push_back(path);
  }
  for (const std::string& path : content) Remove(path);
  served_.erase(type.FullName());
  changed_.NotifyAll();
}

void FakeKubernetes::OnCreate(const ResourceType& type, Reaction reaction) {
  MutexLock lock(mutex_);
  reactions_[{Occasion::kCreated, type.FullName()}].push_back(std::move(reaction));
}

void FakeKubernetes::OnDelete(const ResourceType& type, Reaction reaction) {
  MutexLock lock(mutex_);
  reactions_[{Occasion::kDeleted, type.FullName()}].push_back(std::move(reaction));
}

void FakeKubernetes::React(Occasion occasion, const ResourceType& type, const Json& object) {
  std::vector<Reaction> reactions;
  {
    MutexLock lock(mutex_);
    reactions = reactions_[{occasion, type.FullName()}];
  }
  for (const Reaction& reaction : reactions) reaction(object);
}

Status FakeKubernetes::Change(const ObjectKey& key, const std::function<void(Json& object)>& change) {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(auto* stored, Find(About("update", key), key));
  Json after = stored->object;
  change(after);
  return Update(*stored, std::move(after), {}).status();
}

void FakeKubernetes::Fail(const std::string& verb, const ResourceType& type, const Status& error, int times) {
  MutexLock lock(mutex_);
  failures_.push_back(Failure{verb, type.FullName(), error, times});
}

void FakeKubernetes::ForgetHistory() {
  MutexLock lock(mutex_);
  forgotten_ = version_;
  past_.clear();
}

void FakeKubernetes::SetLogs(const std::string& name_space, const std::string& pod,
                             const std::string& container, std::string text) {
  MutexLock lock(mutex_);
  logs_[name_space + "/" + pod + "/" + container] = std::move(text);
}

void FakeKubernetes::OnExec(ExecHandler handler) {
  MutexLock lock(mutex_);
  exec_ = std::move(handler);
}

void FakeKubernetes::SetNow(absl::Time now) {
  MutexLock lock(mutex_);
  now_ = now;
}

std::vector<ApiRequest> FakeKubernetes::Requests() const {
  MutexLock lock(mutex_);
  return requests_;
}

std::string FakeKubernetes::KindOf(const ResourceType& type) const {
  MutexLock lock(mutex_);
  const auto found = served_.find(type.FullName());
  return found != served_.end() && found->second.type.version == type.version ? found->second.kind : "";
}

std::optional<ResourceType> FakeKubernetes::TypeOf(const std::string& group, const std::string& version,
                                                   const std::string& plural) const {
  MutexLock lock(mutex_);
  const auto found = served_.find(ResourceType{group, version, plural}.FullName());
  if (found == served_.end() || found->second.type.version != version) return std::nullopt;
  return found->second.type;
}

Status FakeKubernetes::Begin(const ApiRequest& request, const Call& call) {
  RETURN_IF_ERROR(CheckCall(call, request.verb + " " + request.resource));
  MutexLock lock(mutex_);
  requests_.push_back(request);
  for (Failure& failure : failures_) {
    if (failure.verb != request.verb || failure.resource != request.resource || failure.times <= 0) continue;
    --failure.times;
    return failure.error;
  }
  return OkStatus();
}

Status FakeKubernetes::Begin(const ApiRequest& request, const ResourceType& type, const Call& call) {
  RETURN_IF_ERROR(Begin(request, call));
  if (!KindOf(type).empty()) return OkStatus();
  return MakeApiError(404, "NotFound", "the server could not find the requested resource", request);
}

StatusOr<Json> FakeKubernetes::Get(const ObjectKey& key, const Call& call) {
  RETURN_IF_ERROR(CheckKey(key));
  const ApiRequest request = About("get", key);
  RETURN_IF_ERROR(Begin(request, key.type, call));
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const Stored* stored, Find(request, key));
  return stored->object;
}

StatusOr<std::string> FakeKubernetes::List(const ResourceType& type, const std::string& name_space,
                                           const ListOptions& options,
                                           const std::function<Status(Json item)>& on_item,
                                           const Call& call) {
  RETURN_IF_ERROR(kubernetes::CheckNamespace(type, name_space));
  const ApiRequest request = About("list", type, name_space);
  RETURN_IF_ERROR(Begin(request, type, call));
  std::vector<Json> selected;
  std::string version;
  {
    MutexLock lock(mutex_);
    version = std::to_string(version_);
    ASSIGN_OR_RETURN(const std::string kind, ServedKind(request, type));
    const auto is_sound = IsSelected(options.selection, kind, Json::object());
    if (!is_sound.ok()) return BadRequest(request, is_sound.status());
    for (const auto& [path, stored] : objects_) {
      if (stored->key.type.FullName() != type.FullName()) continue;
      if (!name_space.empty() && stored->key.name_space != name_space) continue;
      const auto is_selected = IsSelected(options.selection, kind, stored->object);
      if (!is_selected.ok()) return BadRequest(request, is_selected.status());
      if (*is_selected) selected.push_back(stored->object);
    }
  }
  for (Json& item : selected) RETURN_IF_ERROR(on_item(std::move(item)));
  return version;
}

Status FakeKubernetes::Watch(const ResourceType& type, const std::string& name_space,
                             const WatchOptions& options,
                             const std::function<bool(const Event& event)>& on_event, const Call& call) {
  std::string version = options.resource_version;
  return WatchFrom(type, name_space, options.selection, version, on_event, call);
}

Status FakeKubernetes::WatchFrom(const ResourceType& type, const std::string& name_space,
                                 const Selection& selection, std::string& resource_version,
                                 const std::function<bool(const Event& event)>& on_event, const Call& call) {
  RETURN_IF_ERROR(kubernetes::CheckNamespace(type, name_space));
  const ApiRequest request = About("watch", type, name_space);
  int64_t from = 0;
  for (const char c : resource_version) from = c >= '0' && c <= '9' ? from * 10 + (c - '0') : from;
  if (from == 0) return InvalidArgument("watch {}: no resourceVersion to begin at", type.FullName());
  RETURN_IF_ERROR(Begin(request, type, call));
  if (const auto is_sound = IsSelected(selection, KindOf(type), Json::object()); !is_sound.ok()) {
    return BadRequest(request, is_sound.status());
  }
  const std::stop_callback wake(call.stop, [this] {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  });
  while (true) {
    std::optional<Event> event;
    {
      MutexLock lock(mutex_);
      if (from < forgotten_) return MakeApiError(410, "Expired", "too old resource version", request);
      const auto next = NextEvent(type, name_space, selection, from);
      if (!next.ok()) return ApiErrorOf(next.status()) ? next.status() : BadRequest(request, next.status());
      event = *next;
      resource_version = std::to_string(from);
      if (!event) {
        RETURN_IF_ERROR(CheckCall(call, "watch " + type.FullName()));
        const absl::Duration left = std::min(call.deadline - SteadyNow(), absl::Hours(1));
        changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(left));
      }
    }
    RETURN_IF_ERROR(CheckCall(call, "watch " + type.FullName()));
    if (event && !on_event(*event)) return OkStatus();
  }
}

StatusOr<Json> FakeKubernetes::Create(const ResourceType& type, const std::string& name_space,
                                      const Json& object, const WriteOptions& options, const Call& call) {
  ApiRequest request = About("create", type, name_space);
  request.name = TextAt(object, {"metadata", "name"});
  if (type.is_namespaced) RETURN_IF_ERROR(CheckPathName("namespace", name_space));
  RETURN_IF_ERROR(Begin(request, type, call));
  Json created;
  {
    MutexLock lock(mutex_);
    ASSIGN_OR_RETURN(const ObjectKey key, NewKey(request, type, name_space, object));
    ASSIGN_OR_RETURN(created, Insert(request, key, object, options, /*is_applied=*/false));
  }
  if (!options.dry_run) React(Occasion::kCreated, type, created);
  return created;
}

StatusOr<Json> FakeKubernetes::Apply(const ObjectKey& key, const Json& object, const ApplyOptions& options,
                                     const Call& call) {
  RETURN_IF_ERROR(CheckKey(key));
  const ApiRequest request = About("patch", key);
  RETURN_IF_ERROR(Begin(request, key.type, call));
  Json created;
  {
    MutexLock lock(mutex_);
    ASSIGN_OR_RETURN(const ObjectKey named, NewKey(request, key.type, key.name_space, object));
    if (named.name != key.name)
      return MakeApiError(400, "BadRequest", "name in URL does not match name in object", request);
    if (const auto found = objects_.find(key.Path()); found != objects_.end()) {
      Stored& stored = *found->second;
      FieldOwners owners = stored.owners;
      Json after = stored.object;
      const std::string conflict = owners.Apply(after, object, options.write.field_manager, options.force);
      if (!conflict.empty()) return MakeApiError(409, "Conflict", conflict, request);
      if (!options.write.dry_run) stored.owners = owners;
      return Update(stored, std::move(after), options.write);
    }
    ASSIGN_OR_RETURN(created, Insert(request, key, object, options.write, /*is_applied=*/true));
  }
  if (!options.write.dry_run) React(Occasion::kCreated, key.type, created);
  return created;
}

StatusOr<Json> FakeKubernetes::Patch(const ObjectKey& key, PatchKind kind, const Json& patch,
                                     const WriteOptions& options, const Call& call) {
  RETURN_IF_ERROR(CheckKey(key));
  const ApiRequest request = About("patch", key);
  RETURN_IF_ERROR(Begin(request, key.type, call));
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(auto* stored, Find(request, key));
  Json after = stored->object;
  RETURN_IF_ERROR(Patched(after, kind, patch, request));
  const std::string wanted = TextAt(after, {"metadata", "resourceVersion"});
  if (!wanted.empty() && wanted != TextAt(stored->object, {"metadata", "resourceVersion"})) {
    return Conflict(
        request, key,
        "the object has been modified; please apply your changes to the latest version and try again");
  }
  const Json before = stored->object;
  if (!options.dry_run) stored->owners.NoteChange(before, after, options.field_manager);
  return Update(*stored, std::move(after), options);
}

Status FakeKubernetes::Delete(const ObjectKey& key, const DeleteOptions& options, const Call& call) {
  RETURN_IF_ERROR(CheckKey(key));
  const ApiRequest request = About("delete", key);
  RETURN_IF_ERROR(Begin(request, key.type, call));
  Json last;
  {
    MutexLock lock(mutex_);
    ASSIGN_OR_RETURN(const Stored* stored, Find(request, key));
    last = stored->object;
    if (options.uid && *options.uid != TextAt(last, {"metadata", "uid"})) {
      return Conflict(request, key,
                      "Precondition failed: UID in precondition does not match UID in object meta");
    }
    if (options.resource_version &&
        *options.resource_version != TextAt(last, {"metadata", "resourceVersion"})) {
      return Conflict(request, key, "Precondition failed: ResourceVersion in precondition does not match");
    }
    if (options.dry_run) return OkStatus();
    RemoveOrWait(key.Path(), options.propagation);
  }
  React(Occasion::kDeleted, key.type, last);
  return OkStatus();
}

Status FakeKubernetes::Logs(const std::string& name_space, const std::string& pod, const LogOptions& options,
                            const std::function<Status(std::string_view line)>& on_line, const Call& call) {
  const ObjectKey key{{"", "v1", "pods"}, name_space, pod};
  RETURN_IF_ERROR(CheckKey(key));
  const ApiRequest request{"get", "pods/log", name_space, pod};
  RETURN_IF_ERROR(Begin(request, call));
  std::string text;
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(Find(request, key).status());
    text = logs_[name_space + "/" + pod + "/" + options.container];
  }
  std::vector<std::string> wanted = Split(text, '\n');
  if (!wanted.empty() && wanted.back().empty()) wanted.pop_back();
  if (options.tail_lines && static_cast<int64_t>(wanted.size()) > *options.tail_lines) {
    wanted.erase(wanted.begin(), wanted.end() - *options.tail_lines);
  }
  text = Join(wanted, "\n");
  if (options.limit_bytes) text.resize(std::min<size_t>(text.size(), *options.limit_bytes));
  Lines lines(64 << 10, Lines::Longer::kInPieces, on_line);
  RETURN_IF_ERROR(lines.Add(text));
  return lines.Finish();
}

StatusOr<int> FakeKubernetes::Exec(const ExecCommand& command, const Call& call) {
  const ObjectKey key{{"", "v1", "pods"}, command.name_space, command.pod};
  RETURN_IF_ERROR(CheckKey(key));
  const ApiRequest request{"create", "pods/exec", command.name_space, command.pod};
  RETURN_IF_ERROR(Begin(request, call));
  ExecHandler handler;
  {
    MutexLock lock(mutex_);
    RETURN_IF_ERROR(Find(request, key).status());
    handler = exec_;
  }
  if (!handler) return FailedPrecondition("exec in {}: the test runs no commands", key.Text());
  return handler(command, call);
}

StatusOr<ServerVersion> FakeKubernetes::Version(const Call& call) {
  RETURN_IF_ERROR(Begin({"get", "/version", "", ""}, call));
  return ServerVersion{1, 34, "v1.34.4-fake"};
}

StatusOr<std::vector<ServedResource>> FakeKubernetes::Discover(const std::string& group,
                                                               const std::string& version, const Call& call) {
  RETURN_IF_ERROR(Begin({"get", ResourceType{group, version, "", false}.ApiPath(), "", ""}, call));
  MutexLock lock(mutex_);
  std::vector<ServedResource> served;
  for (const auto& [name, one] : served_) {
    if (one.type.group != group || one.type.version != version) continue;
    served.push_back({one.type, one.kind, {"create", "delete", "get", "list", "patch", "watch"}});
  }
  return served;
}

}  // namespace salvor::kubernetes
