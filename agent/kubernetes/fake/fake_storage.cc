// The storage of FakeKubernetes: versions, history, finalizers, namespaces, dependents.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "agent/kubernetes/client/http_requests.h"
#include "agent/kubernetes/client/watch_stream.h"
#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "agent/kubernetes/fake/selectors.h"

namespace salvor::kubernetes {
namespace {

const ResourceType& Namespaces() {
  static const ResourceType kType{"", "v1", "namespaces", false};
  return kType;
}

bool IsName(const std::string& name) {
  const auto is_good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), is_good) &&
         name.front() != '-' && name.back() != '-';
}

bool HasFinalizers(const Json& object) {
  const Json& metadata = object.at("metadata");
  return metadata.contains("finalizers") && metadata["finalizers"].is_array() &&
         !metadata["finalizers"].empty();
}

bool IsBeingDeleted(const Json& object) { return object.at("metadata").contains("deletionTimestamp"); }

// Everything but metadata and status: what a generation counts.
Json Intent(Json object) {
  object.erase("metadata");
  object.erase("status");
  return object;
}

bool IsOwnedBy(const Json& object, const std::string& uid) {
  const Json owners = object.at("metadata").value("ownerReferences", Json::array());
  return std::any_of(owners.begin(), owners.end(),
                     [&](const Json& owner) { return TextAt(owner, {"uid"}) == uid; });
}

}  // namespace

std::string FakeKubernetes::NowText() const {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now_, absl::UTCTimeZone());
}

StatusOr<FakeKubernetes::Stored*> FakeKubernetes::Find(const ApiRequest& request, const ObjectKey& key) {
  const auto found = objects_.find(key.Path());
  if (found != objects_.end()) return found->second.get();
  return MakeApiError(404, "NotFound", fmt::format("{} \"{}\" not found", key.type.FullName(), key.name),
                      request);
}

Status FakeKubernetes::CheckNamespace(const ApiRequest& request, const ObjectKey& key) {
  if (!key.type.is_namespaced) return OkStatus();
  const auto found = objects_.find(ObjectKey{Namespaces(), "", key.name_space}.Path());
  if (found == objects_.end()) {
    return MakeApiError(404, "NotFound", fmt::format("namespaces \"{}\" not found", key.name_space), request);
  }
  if (!IsBeingDeleted(found->second->object)) return OkStatus();
  return MakeApiError(
      403, "Forbidden",
      fmt::format("{} \"{}\" is forbidden: unable to create new content in namespace {} because it is "
                  "being terminated",
                  key.type.FullName(), key.name, key.name_space),
      request);
}

StatusOr<std::string> FakeKubernetes::ServedKind(const ApiRequest& request, const ResourceType& type) {
  const auto served = served_.find(type.FullName());
  if (served != served_.end()) return served->second.kind;
  return MakeApiError(404, "NotFound", "the server could not find the requested resource", request);
}

StatusOr<ObjectKey> FakeKubernetes::NewKey(const ApiRequest& request, const ResourceType& type,
                                           const std::string& name_space, const Json& object) {
  ASSIGN_OR_RETURN(const std::string kind, ServedKind(request, type));
  if (TextAt(object, {"apiVersion"}) != type.ApiVersion() || TextAt(object, {"kind"}) != kind) {
    return MakeApiError(400, "BadRequest",
                        fmt::format("the object provided is no {} of {}", kind, type.ApiVersion()), request);
  }
  const std::string said = TextAt(object, {"metadata", "namespace"});
  if (!said.empty() && said != name_space) {
    return MakeApiError(
        400, "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request", request);
  }
  ObjectKey key{type, type.is_namespaced ? name_space : "", TextAt(object, {"metadata", "name"})};
  const std::string prefix = TextAt(object, {"metadata", "generateName"});
  if (key.name.empty() && !prefix.empty())
    key.name = fmt::format("{}{:05x}", prefix, 0xa0000 + uids_ % 0x60000);
  if (IsName(key.name)) return key;
  return MakeApiError(422, "Invalid",
                      fmt::format("{} \"{}\" is invalid: metadata.name: Invalid value", kind, key.name),
                      request);
}

StatusOr<Json> FakeKubernetes::Insert(const ApiRequest& request, const ObjectKey& key, Json object,
                                      const WriteOptions& options, bool is_applied) {
  RETURN_IF_ERROR(CheckNamespace(request, key));
  if (objects_.contains(key.Path())) {
    return MakeApiError(409, "AlreadyExists",
                        fmt::format("{} \"{}\" already exists", key.type.FullName(), key.name), request);
  }
  Json& metadata = object["metadata"];
  metadata["name"] = key.name;
  if (key.type.is_namespaced) metadata["namespace"] = key.name_space;
  metadata["uid"] = fmt::format("00000000-0000-4000-8000-{:012x}", ++uids_);
  metadata["creationTimestamp"] = NowText();
  metadata["generation"] = 1;
  for (const char* of_server : {"resourceVersion", "deletionTimestamp", "managedFields"})
    metadata.erase(of_server);
  if (key.type.FullName() == "namespaces") object["status"]["phase"] = "Active";
  auto stored = std::make_unique<Stored>(Stored{key, Json(), FieldOwners()});
  Json nothing = Json::object();
  if (is_applied) {
    stored->owners.Apply(nothing, object, options.field_manager, true);
  } else {
    stored->owners.NoteChange(nothing, object, options.field_manager);
  }
  if (options.dry_run) return object;
  Stored& kept = *objects_.emplace(key.Path(), std::move(stored)).first->second;
  Keep(kept, std::move(object));
  return kept.object;
}

StatusOr<Json> FakeKubernetes::Update(Stored& stored, Json after, const WriteOptions& options) {
  const Json& before = stored.object;
  if (!after.is_object() || !after.contains("metadata") || !after["metadata"].is_object()) {
    return InvalidArgument("{} would have no metadata", stored.key.Text());
  }
  for (const char* fixed : {"name", "namespace", "uid", "creationTimestamp", "generation",
                            "deletionTimestamp", "resourceVersion"}) {
    after["metadata"].erase(fixed);
    if (before["metadata"].contains(fixed)) after["metadata"][fixed] = before["metadata"][fixed];
  }
  if (after == before || options.dry_run) return after;
  if (Intent(after) != Intent(before))
    after["metadata"]["generation"] = before["metadata"].value("generation", 1) + 1;
  const bool is_over =
      IsBeingDeleted(after) && !HasFinalizers(after) && stored.key.type.FullName() != "namespaces";
  const std::string at = stored.key.Path();
  Keep(stored, std::move(after));
  Json answer = stored.object;
  if (is_over) Remove(at);
  return answer;
}

void FakeKubernetes::Keep(Stored& stored, Json after) {
  after["metadata"]["resourceVersion"] = std::to_string(version_ + 1);
  Record(stored.key, std::exchange(stored.object, after), after);
}

void FakeKubernetes::Record(const ObjectKey& key, Json before, Json after) {
  past_.push_back(Past{++version_, key, std::move(before), std::move(after)});
  changed_.NotifyAll();
}

void FakeKubernetes::Remove(const std::string& at) {
  const auto found = objects_.find(at);
  const std::unique_ptr<Stored> stored = std::move(found->second);
  objects_.erase(found);
  stored->object["metadata"]["resourceVersion"] = std::to_string(version_ + 1);
  Record(stored->key, stored->object, Json());
  if (stored->key.type.is_namespaced) EndNamespaceIfEmpty(stored->key.name_space);
}

void FakeKubernetes::RemoveOrWait(const std::string& at, Propagation propagation) {
  const auto found = objects_.find(at);
  if (found == objects_.end()) return;
  Stored& stored = *found->second;
  const bool is_namespace = stored.key.type.FullName() == "namespaces";
  const std::string uid = TextAt(stored.object, {"metadata", "uid"});
  if (!IsBeingDeleted(stored.object) && (is_namespace || HasFinalizers(stored.object))) {
    Json after = stored.object;
    after["metadata"]["deletionTimestamp"] = NowText();
    if (is_namespace) after["status"]["phase"] = "Terminating";
    Keep(stored, std::move(after));
  }
  if (is_namespace) {
    const std::string name = stored.key.name;
    std::vector<std::string> content;
    for (const auto& [path, object] : objects_) {
      if (object->key.type.is_namespaced && object->key.name_space == name) content.push_back(path);
    }
    for (const std::string& path : content) RemoveOrWait(path, Propagation::kBackground);
    EndNamespaceIfEmpty(name);
    return;
  }
  if (HasFinalizers(stored.object)) return;
  Remove(at);
  ReleaseDependents(uid, propagation);
}

void FakeKubernetes::ReleaseDependents(const std::string& uid, Propagation propagation) {
  std::vector<std::string> dependents;
  for (const auto& [path, object] : objects_) {
    if (IsOwnedBy(object->object, uid)) dependents.push_back(path);
  }
  for (const std::string& path : dependents) {
    if (propagation != Propagation::kOrphan) {
      RemoveOrWait(path, propagation);
      continue;
    }
    Stored& stored = *objects_.at(path);
    Json after = stored.object;
    after["metadata"].erase("ownerReferences");
    Keep(stored, std::move(after));
  }
}

void FakeKubernetes::EndNamespaceIfEmpty(const std::string& name) {
  const std::string at = ObjectKey{Namespaces(), "", name}.Path();
  const auto found = objects_.find(at);
  if (found == objects_.end() || !IsBeingDeleted(found->second->object) ||
      HasFinalizers(found->second->object))
    return;
  const bool is_empty = std::none_of(objects_.begin(), objects_.end(), [&](const auto& entry) {
    return entry.second->key.type.is_namespaced && entry.second->key.name_space == name;
  });
  if (is_empty) Remove(at);
}

StatusOr<std::optional<Event>> FakeKubernetes::NextEvent(const ResourceType& type,
                                                         const std::string& name_space,
                                                         const Selection& selection, int64_t& from) {
  auto past = std::partition_point(past_.begin(), past_.end(),
                                   [from](const Past& one) { return one.version <= from; });
  for (; past != past_.end(); ++past) {
    from = past->version;
    if (past->key.type.FullName() != type.FullName()) continue;
    if (!name_space.empty() && past->key.name_space != name_space) continue;
    bool was = false;
    bool is = false;
    if (!past->before.is_null()) {
      ASSIGN_OR_RETURN(was, IsSelected(selection, TextAt(past->before, {"kind"}), past->before));
    }
    if (!past->after.is_null()) {
      ASSIGN_OR_RETURN(is, IsSelected(selection, TextAt(past->after, {"kind"}), past->after));
    }
    if (!was && !is) continue;
    const Event::Type what = !was ? Event::Type::kAdded : is ? Event::Type::kModified : Event::Type::kDeleted;
    Event event{what, is ? past->after : past->before};
    event.object["metadata"]["resourceVersion"] = std::to_string(past->version);
    return std::optional<Event>(std::move(event));
  }
  // A type that is no longer served has told the end of its objects, and nothing will come.
  RETURN_IF_ERROR(ServedKind(About("watch", type, name_space), type).status());
  return std::optional<Event>();
}

}  // namespace salvor::kubernetes
