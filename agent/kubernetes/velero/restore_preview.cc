#include "agent/kubernetes/velero/restore_preview.h"

#include <algorithm>

#include "agent/kubernetes/velero/quantity.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "agent/kubernetes/velero/scratch_transform.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr int kNamesAtMost = 200;
constexpr size_t kShown = 5;
constexpr std::string_view kStorage = "requests.storage", kCount = "persistentvolumeclaims",
                           kOfClass = ".storageclass.storage.k8s.io/requests.storage";

std::string FirstOf(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kShown);
  return Join({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown)}, ", ") +
         (names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

std::string_view NameIn(std::string_view key) { return key.substr(key.rfind('/') + 1); }
bool IsOfTheCluster(const std::string& key) { return key.find('/') == std::string::npos; }

// What carries volumes is made anew, and a namespace is only where things are.
bool IsAside(const std::string& kind) {
  return NeverComesBack(kind) || kind == "v1/Namespace" || kind == "v1/PersistentVolume" ||
         kind.starts_with("snapshot.storage.k8s.io/") || kind.starts_with("velero.io/");
}

// Of a kind that this restore does not make at all.
bool IsLeftOutOf(const v1::VeleroRestore& action, const std::string& kind) {
  return IsLeftOut(action.transform(), kind) || (action.scratch() && IsLeftOutOfScratch(kind));
}

// The cluster makes these by itself in every namespace.
bool IsMadeByTheCluster(const std::string& kind, std::string_view name) {
  return (kind == "v1/ConfigMap" && (name == "kube-root-ca.crt" || name == "openshift-service-ca.crt")) ||
         (kind == "v1/ServiceAccount" && name == "default");
}

// Each object of the Backup that has to do with the restore, as its list has it.
template <typename Do>
void ForEach(const ObjectFacts& facts, Do&& apply) {
  for (const auto& [kind, keys] : facts.kept) {
    if (IsAside(kind)) continue;
    for (const std::string& key : keys) {
      if (!IsMadeByTheCluster(kind, NameIn(key))) apply(kind, key);
    }
  }
}

std::vector<std::string> FindConflicts(const v1::VeleroRestore& action, const ObjectFacts& facts) {
  std::vector<std::string> conflicts;
  ForEach(facts, [&](const std::string& kind, const std::string& key) {
    if (IsOfTheCluster(key) || IsLeftOutOf(action, kind)) return;
    const std::string shown = fmt::format("{} {}", NameIn(kind), NameIn(key));
    if (facts.there.count(shown) > 0) conflicts.push_back(shown);
  });
  return conflicts;
}

// How much of the quota the restore takes, in the quota's own unit.
int64_t Takes(const Demand& demand, const Quota& quota) {
  if (quota.resource == kStorage) return demand.bytes;
  if (quota.resource == kCount) return demand.claims;
  const auto found =
      demand.bytes_of_class.find(quota.resource.substr(0, quota.resource.size() - kOfClass.size()));
  return found == demand.bytes_of_class.end() ? 0 : found->second;
}

Finding OverQuota(const std::string& in, const Demand& demand, const Quota& quota) {
  const int64_t takes = Takes(demand, quota), left = std::max<int64_t>(0, quota.hard - quota.used);
  const bool counts = quota.resource == kCount;
  return {true,
          counts ? fmt::format("{} claims come back, and quota {} of namespace {} leaves room for {}", takes,
                               quota.name, in, left)
                 : fmt::format("the claims ask for {}, and quota {} of namespace {} leaves {} of {}",
                               HumanBytes(takes), quota.name, in, HumanBytes(left), quota.resource),
          "Raise the quota, or restore into another namespace."};
}

}  // namespace

std::vector<Quota> ReadQuotas(const Json& quota) {
  std::vector<Quota> quotas;
  const auto used = TextMapAt(quota, {"status", "used"});
  for (const auto& [resource, text] : TextMapAt(quota, {"status", "hard"})) {
    if (resource != kStorage && resource != kCount && !resource.ends_with(kOfClass)) continue;
    const std::optional<int64_t> hard = ParseQuantity(text);
    if (!hard.has_value()) continue;
    const auto of = used.find(resource);
    const int64_t taken = of == used.end() ? 0 : ParseQuantity(of->second).value_or(0);
    quotas.push_back({TextAt(quota, {"metadata", "name"}), resource, *hard, taken});
  }
  return quotas;
}

Demand AddUpClaims(const v1::RestoreTransform& wanted, const std::vector<KeptObject>& objects) {
  Demand demand;
  for (const KeptObject& kept : objects) {
    if (kept.resource != "persistentvolumeclaims") continue;
    const int64_t bytes =
        ParseQuantity(TextAt(kept.object, {"spec", "resources", "requests", "storage"})).value_or(0);
    ++demand.claims;
    demand.bytes += bytes;
    const std::string name = TextAt(kept.object, {"spec", "storageClassName"});
    const auto mapped = wanted.storage_classes().find(name);
    demand.bytes_of_class[mapped == wanted.storage_classes().end() ? name : mapped->second] += bytes;
  }
  return demand;
}

KindName SplitKind(const std::string& listed) {
  const std::vector<std::string> parts = Split(listed, '/');
  if (parts.size() == 3) return {parts[0], parts[1], parts[2]};
  if (parts.size() == 2) return {"", parts[0], parts[1]};
  return {"", "", listed};
}

std::vector<Finding> FindObjectProblems(const v1::VeleroRestore& action, const ObjectFacts& facts) {
  std::vector<Finding> findings;
  if (!facts.unreadable.empty()) {
    findings.push_back({true, "what Velero's backup holds can't be read: " + facts.unreadable,
                        "See whether its storage location is reachable from where Salvor's agent runs."});
  }
  std::vector<std::string> missing;
  ForEach(facts, [&](const std::string& kind, const std::string& key) {
    const bool is_wanted = !IsOfTheCluster(key) && !IsLeftOutOf(action, kind);
    if (is_wanted && facts.not_served.count(kind) > 0)
      missing.push_back(fmt::format("{} {}", kind, NameIn(key)));
  });
  if (!missing.empty()) {
    findings.push_back({true, "the cluster does not serve the kinds of these objects: " + FirstOf(missing),
                        "Install the CRDs, in the versions that the backup has."});
  }
  if (facts.demand.has_value()) {
    for (const Quota& quota : facts.quotas) {
      if (Takes(*facts.demand, quota) > std::max<int64_t>(0, quota.hard - quota.used))
        findings.push_back(OverQuota(action.target_namespace(), *facts.demand, quota));
    }
  }
  if (const auto conflicts = FindConflicts(action, facts); !conflicts.empty()) {
    findings.push_back({false,
                        fmt::format("there already in namespace {}, and left as they are: {}",
                                    action.target_namespace(), FirstOf(conflicts)),
                        "Where one differs from the backup, the restore is partial."});
  }
  if (!facts.transform.unused.empty()) {
    findings.push_back({false,
                        "nothing in the backup has what is to be renamed: " + FirstOf(facts.transform.unused),
                        "See whether the name is written right."});
  }
  for (const std::string& warning : facts.transform.warnings)
    findings.push_back({false, warning, "Restore into a namespace where it can do no harm."});
  return findings;
}

v1::VeleroRestorePreview MakePreview(const v1::VeleroRestore& action, const ObjectFacts& facts) {
  v1::VeleroRestorePreview preview;
  preview.set_target_namespace(action.target_namespace());
  std::map<std::string, int64_t> creates;
  const auto add = [](google::protobuf::RepeatedPtrField<std::string>* to, const std::string& text) {
    if (to->size() < kNamesAtMost) *to->Add() = text;
  };
  ForEach(facts, [&](const std::string& kind, const std::string& key) {
    const std::string name = fmt::format("{} {}", NameIn(kind), NameIn(key));
    if (IsOfTheCluster(key)) return add(preview.mutable_not_restored(), name);
    if (IsLeftOutOf(action, kind)) return add(preview.mutable_left_out(), name);
    if (facts.there.count(name) > 0) return add(preview.mutable_conflicts(), name);
    ++creates[kind];
  });
  for (const auto& [kind, count] : creates) {
    v1::VeleroReport::KindCount* one = preview.add_creates();
    one->set_kind(kind);
    one->set_objects(count);
    preview.set_objects(preview.objects() + count);
  }
  preview.set_changes_left_out(AddChanges(facts.transform.changes, preview.mutable_changes()));
  if (facts.demand.has_value()) preview.set_claim_bytes(facts.demand->bytes);
  return preview;
}

std::string Summarize(const v1::VeleroRestorePreview& preview) {
  if (preview.objects() == 0) return "";
  std::string text = fmt::format("creates {} objects", preview.objects());
  const auto add = [&](const char* what, int64_t count) {
    if (count > 0) text += fmt::format(", {} {}", what, count);
  };
  add("changes in them:", preview.changes_size() + preview.changes_left_out());
  add("left out:", preview.left_out_size());
  add("there already:", preview.conflicts_size());
  return text;
}

}  // namespace salvor::velero
