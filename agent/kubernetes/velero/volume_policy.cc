#include "agent/kubernetes/velero/volume_policy.h"

#include <algorithm>
#include <map>
#include <utility>

namespace salvor::velero {
namespace {

struct Rule {
  Json conditions;
  size_t labels = 0;  // how many it names
  std::string action;
  std::string claim;  // for messages
};

std::string ActionOf(const v1::VeleroVolume& volume) {
  if (!volume.skip().empty()) return "skip";
  switch (volume.method()) {
    case v1::VOLUME_METHOD_FILE_SYSTEM:
      return "fs-backup";
    case v1::VOLUME_METHOD_SNAPSHOT:
    case v1::VOLUME_METHOD_SNAPSHOT_MOVED:
      return "snapshot";
    default:
      return "";
  }
}

// All that a policy can know of a claim.
Json ConditionsFor(const Claim& claim) {
  Json conditions = Json::object();
  if (!claim.labels.empty()) conditions["pvcLabels"] = claim.labels;
  if (!claim.storage_class.empty()) conditions["storageClass"] = Json::array({claim.storage_class});
  if (!claim.capacity.empty()) conditions["capacity"] = claim.capacity + "," + claim.capacity;
  if (!claim.driver.empty()) conditions["csi"] = {{"driver", claim.driver}};
  return conditions;
}

Status CheckOneWayOfSnapshots(const std::vector<v1::VeleroVolume>& planned) {
  const v1::VeleroVolume *moved = nullptr, *left = nullptr;
  for (const v1::VeleroVolume& volume : planned) {
    if (!volume.skip().empty()) continue;
    if (volume.method() == v1::VOLUME_METHOD_SNAPSHOT_MOVED) moved = &volume;
    if (volume.method() == v1::VOLUME_METHOD_SNAPSHOT) left = &volume;
  }
  if (moved == nullptr || left == nullptr) return OkStatus();
  return WithHint(
      FailedPrecondition(
          "the snapshot of {} is to be moved, that of {} is to stay, and Velero moves the data of all "
          "snapshots of a backup or of none",
          Key(*moved), Key(*left)),
      "Give both components the same method, or keep one of them by FILE_SYSTEM.");
}

// Adds the rule, or joins it with one that selects the same volumes.
Status AddRule(Rule rule, std::vector<Rule>* rules) {
  for (Rule& other : *rules) {
    if (other.conditions != rule.conditions || other.action == rule.action) continue;
    if (rule.action == "skip") return OkStatus();
    if (other.action == "skip") continue;
    return WithHint(
        FailedPrecondition(
            "{} and {} are to be kept in different ways, and Velero can't tell them apart: their labels, "
            "storage class, capacity and driver are the same",
            other.claim, rule.claim),
        "Give one of the two claims a label of its own, or keep both by the same method.");
  }
  rules->erase(std::remove_if(rules->begin(), rules->end(),
                              [&](const Rule& other) { return other.conditions == rule.conditions; }),
               rules->end());
  rules->push_back(std::move(rule));
  return OkStatus();
}

}  // namespace

StatusOr<std::string> MakeVolumePolicy(const std::vector<v1::VeleroVolume>& planned,
                                       const std::vector<Claim>& claims) {
  RETURN_IF_ERROR(CheckOneWayOfSnapshots(planned));
  std::map<std::string, const v1::VeleroVolume*> open;
  for (const v1::VeleroVolume& volume : planned) open[Key(volume)] = &volume;
  std::vector<Rule> rules;
  for (const Claim& claim : claims) {
    const auto found = open.find(Key(claim));
    // What has no volume has no data, and a rule for it might fit another claim.
    if (claim.volume.empty() && (found == open.end() || !found->second->skip().empty())) continue;
    if (claim.volume.empty()) return FailedPrecondition("the claim {} has no volume", Key(claim));
    Rule rule{ConditionsFor(claim), claim.labels.size(), "skip", Key(claim)};
    if (found != open.end()) {
      rule.action = ActionOf(*found->second);
      if (rule.action.empty())
        return InvalidArgument("it was not decided how the volume {} is kept", Key(*found->second));
      open.erase(found);
    }
    RETURN_IF_ERROR(AddRule(std::move(rule), &rules));
  }
  for (const auto& [key, volume] : open) {
    if (volume->skip().empty()) return InvalidArgument("there is no claim {}", key);
  }
  std::stable_sort(rules.begin(), rules.end(), [](const Rule& one, const Rule& other) {
    return std::pair(one.labels, one.conditions.size()) > std::pair(other.labels, other.conditions.size());
  });
  Json policies = Json::array();
  for (const Rule& rule : rules)
    policies.push_back({{"conditions", rule.conditions}, {"action", {{"type", rule.action}}}});
  // The rest, which has no claim: emptyDirs above all. Each capacity is at least this.
  policies.push_back({{"conditions", {{"capacity", "0,"}}}, {"action", {{"type", "skip"}}}});
  return Json{{"version", "v1"}, {"volumePolicies", policies}}.dump(2, ' ', false,
                                                                    Json::error_handler_t::replace);
}

bool AnySnapshot(const std::vector<v1::VeleroVolume>& planned) {
  return std::any_of(planned.begin(), planned.end(),
                     [](const v1::VeleroVolume& volume) { return ActionOf(volume) == "snapshot"; });
}

bool AnyMoved(const std::vector<v1::VeleroVolume>& planned) {
  return std::any_of(planned.begin(), planned.end(), [](const v1::VeleroVolume& volume) {
    return volume.skip().empty() && volume.method() == v1::VOLUME_METHOD_SNAPSHOT_MOVED;
  });
}

}  // namespace salvor::velero
