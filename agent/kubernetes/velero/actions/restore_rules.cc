#include "agent/kubernetes/velero/actions/restore_rules.h"

#include <iterator>
#include <utility>

#include "agent/kubernetes/velero/actions/artefacts.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/kubernetes/velero/restore_object.h"

namespace salvor::velero {

StatusOr<std::vector<KeptObject>> FetchObjects(kubernetes::Kubernetes& cluster,
                                               const v1::VeleroRestore& action, const VeleroOptions& options,
                                               const kubernetes::Call& call) {
  ASSIGN_OR_RETURN(const std::string archive,
                   FetchRecord(cluster, NamespaceOf(action.cluster()), action.velero_backup(),
                               "BackupContents", options, call));
  ASSIGN_OR_RETURN_IN(std::vector<KeptObject> objects,
                      ReadArchive(archive, action.namespace_(), ResourcesToRead()),
                      "read the archive of Velero's backup " + action.velero_backup());
  return objects;
}

StatusOr<Transform> FetchTransform(kubernetes::Kubernetes& cluster, const v1::VeleroRestore& action,
                                   const VeleroOptions& options, const kubernetes::Call& call) {
  if (!action.has_transform()) return Transform();
  ASSIGN_OR_RETURN(const std::vector<KeptObject> objects, FetchObjects(cluster, action, options, call));
  return PlanTransform(action.transform(), objects, {action.volumes().begin(), action.volumes().end()});
}

Status StoreRules(kubernetes::Kubernetes& cluster, const v1::VeleroRestore& action,
                  const std::string& restore, const Json& rules, const kubernetes::Call& call) {
  if (rules.empty()) return OkStatus();
  const std::string velero_namespace = NamespaceOf(action.cluster());
  ASSIGN_OR_RETURN(const std::string text, ModifierText(rules));
  const Json object = MakeModifierConfigMap(action, restore, text);
  const kubernetes::ObjectKey key{ConfigMaps(), velero_namespace, ModifierName(restore)};
  auto made = cluster.Create(ConfigMaps(), velero_namespace, object, {}, call);
  if (kubernetes::IsAlreadyExists(made.status())) {
    ASSIGN_OR_RETURN(const Json left, cluster.Get(key, call));
    if (TextAt(left, {"metadata", "labels", kRunLabel}) != action.run()) {
      return WithHint(AlreadyExists("namespace {} has a ConfigMap {} already, and this run did not make it",
                                    velero_namespace, key.name),
                      "Start the restore once more, which takes another name.");
    }
    if (TextAt(left, {"data", "rules.yaml"}) == text) return OkStatus();
    kubernetes::DeleteOptions only_this;
    only_this.uid = TextAt(left, {"metadata", "uid"});
    RETURN_IF_ERROR(cluster.Delete(key, only_this, call));
    made = cluster.Create(ConfigMaps(), velero_namespace, object, {}, call);
  }
  return WithContext(made.status(), "store the rules by which objects are changed");
}

Status RemoveRules(kubernetes::Kubernetes& cluster, const v1::VeleroRestore& action,
                   const std::string& restore, const kubernetes::Call& call) {
  const std::string velero_namespace = NamespaceOf(action.cluster());
  Status failed;
  for (int number = 1; number <= kTriesAtMost; ++number) {
    const std::string name = NameOfTry(action.name(), number);
    const kubernetes::ObjectKey key{ConfigMaps(), velero_namespace, ModifierName(name)};
    const auto there = cluster.Get(key, call);
    Status removed = there.status();
    if (there.ok() && TextAt(*there, {"metadata", "labels", kRunLabel}) == action.run())
      removed = cluster.Delete(key, {}, call);
    if (!removed.ok() && !kubernetes::IsNotFound(removed))
      failed = WithContext(removed, "remove the rules by which objects were changed, ConfigMap " + key.name);
    if (name == restore) break;
  }
  return failed;
}

StatusOr<std::vector<KeptObject>> ListWhatActs(kubernetes::Kubernetes& cluster, const std::string& name_space,
                                               const kubernetes::Call& call) {
  const auto as = [](const char* resource) {
    return [resource](const Json& item) {
      return KeptObject{resource, TextAt(item, {"metadata", "name"}), item};
    };
  };
  ASSIGN_OR_RETURN(std::vector<KeptObject> found,
                   ListAll(cluster, CronJobs(), name_space, "", as("cronjobs.batch"), call));
  ASSIGN_OR_RETURN(std::vector<KeptObject> services,
                   ListAll(cluster, Services(), name_space, "", as("services"), call));
  std::move(services.begin(), services.end(), std::back_inserter(found));
  return found;
}

}  // namespace salvor::velero
