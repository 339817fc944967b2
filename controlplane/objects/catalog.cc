#include "controlplane/objects/catalog.h"

#include <google/protobuf/util/message_differencer.h>

#include "base/text.h"
#include "proto/kind.h"
#include "strategies/compose/compile.h"

namespace salvor::controlplane {
namespace {

std::string KeyOf(const v1::Object& object) { return KindOf(object) + "/" + object.metadata().name(); }

// Compares what people declared, without what the control plane added.
bool SameDeclaration(v1::Object a, v1::Object b) {
  a.mutable_metadata()->clear_generation();
  b.mutable_metadata()->clear_generation();
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

bool RefersTo(const v1::Object& object, const std::string& kind, const std::string& name) {
  if (kind == "Location") {
    return (object.has_environment() && object.environment().location() == name) ||
           (object.has_application() && object.application().location() == name);
  }
  if (!object.has_application()) return false;
  return (kind == "Environment" && object.application().environment() == name) ||
         (kind == "Driver" && object.application().driver() == name);
}

}  // namespace

StatusOr<std::unique_ptr<Catalog>> Catalog::Load(Store& store,
                                                 const strategies::StrategyRegistry& strategies) {
  std::unique_ptr<Catalog> catalog(new Catalog(store, strategies));
  ASSIGN_OR_RETURN(const std::vector<v1::Object> objects, store.ListObjects());
  MutexLock lock(catalog->mutex_);
  for (const v1::Object& object : objects) catalog->objects_[KeyOf(object)] = object;
  return catalog;
}

StatusOr<Catalog::Applied> Catalog::Apply(std::vector<v1::Object> objects, bool dry_run) {
  MutexLock lock(mutex_);
  Applied applied;
  applied.problems = strategies::ValidateObjects(strategies_, objects, objects_);
  if (!applied.problems.empty()) return applied;
  Batch batch;
  Objects changed;
  for (v1::Object& object : objects) {
    const std::string key = KeyOf(object);
    const auto before = objects_.find(key);
    if (before != objects_.end() && SameDeclaration(before->second, object)) {
      applied.outcomes.push_back(v1::ApplyResponse::OUTCOME_UNCHANGED);
      continue;
    }
    const bool is_new = before == objects_.end();
    applied.outcomes.push_back(is_new ? v1::ApplyResponse::OUTCOME_CREATED
                                      : v1::ApplyResponse::OUTCOME_CONFIGURED);
    object.mutable_metadata()->set_generation(is_new ? 1 : before->second.metadata().generation() + 1);
    batch.push_back(PutObject{object});
    changed[key] = std::move(object);
  }
  if (dry_run || batch.empty()) return applied;
  RETURN_IF_ERROR(CommitAndWait(store_, std::move(batch)));
  for (auto& [key, object] : changed) objects_[key] = std::move(object);
  return applied;
}

std::vector<v1::Object> Catalog::List(const std::string& kind, const std::string& name) {
  MutexLock lock(mutex_);
  std::vector<v1::Object> listed;
  for (const auto& [key, object] : objects_) {
    if ((kind.empty() || KindOf(object) == kind) && (name.empty() || object.metadata().name() == name))
      listed.push_back(object);
  }
  return listed;
}

StatusOr<v1::Object> Catalog::Find(const std::string& kind, const std::string& name) {
  const auto found = objects_.find(kind + "/" + name);
  if (found != objects_.end()) return found->second;
  return WithHint(NotFound("{} {} does not exist", kind, name),
                  fmt::format("List them with: salvor get {}", kind));
}

Status Catalog::Delete(const std::string& kind, const std::string& name) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(Find(kind, name).status());
  std::vector<std::string> users;
  for (const auto& [key, object] : objects_) {
    if (RefersTo(object, kind, name)) users.push_back(key);
  }
  if (!users.empty()) {
    return WithHint(FailedPrecondition("{} {} is used by {}", kind, name, Join(users, ", ")),
                    "Delete or change those first.");
  }
  RETURN_IF_ERROR(CommitAndWait(store_, {EraseObject{kind, name}}));
  objects_.erase(kind + "/" + name);
  return OkStatus();
}

StatusOr<ResolvedApplication> Catalog::Resolve(const std::string& application) {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const v1::Object object, Find("Application", application));
  const v1::ApplicationSpec& spec = object.application();
  ASSIGN_OR_RETURN(const v1::Object environment, Find("Environment", spec.environment()));
  ResolvedApplication resolved;
  resolved.name = application;
  resolved.environment = spec.environment();
  if (environment.environment().runtime() == v1::RUNTIME_KUBERNETES)
    resolved.cluster = environment.environment().cluster();
  resolved.location = spec.location().empty() ? environment.environment().location() : spec.location();
  ASSIGN_OR_RETURN(const v1::Object location, Find("Location", resolved.location));
  resolved.location_spec = location.location();
  v1::Object driver;
  if (!spec.driver().empty()) {
    ASSIGN_OR_RETURN(driver, Find("Driver", spec.driver()));
  }
  ASSIGN_OR_RETURN(
      resolved.components,
      strategies::ResolveComponents(strategies_, spec, spec.driver().empty() ? nullptr : &driver.driver()));
  return resolved;
}

StatusOr<v1::LocationSpec> Catalog::Location(const std::string& name) {
  MutexLock lock(mutex_);
  ASSIGN_OR_RETURN(const v1::Object location, Find("Location", name));
  return location.location();
}

bool Catalog::RequiresIsolation(const std::string& name) {
  MutexLock lock(mutex_);
  const StatusOr<v1::Object> environment = Find("Environment", name);
  return environment.ok() && environment->environment().require_isolation();
}

std::optional<v1::KubernetesCluster> Catalog::ClusterOf(const std::string& name) {
  MutexLock lock(mutex_);
  const StatusOr<v1::Object> environment = Find("Environment", name);
  if (!environment.ok() || environment->environment().runtime() != v1::RUNTIME_KUBERNETES)
    return std::nullopt;
  return environment->environment().cluster();
}

}  // namespace salvor::controlplane
