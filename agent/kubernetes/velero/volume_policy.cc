#include "agent/kubernetes/velero/volume_policy.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <utility>

namespace salvor::velero {
namespace {

struct Rule {
  Json conditions;
  Json fits;           // the same, where it fits the same volumes
  size_t details = 0;  // how many labels and attributes it names
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
  if (!claim.driver.empty() && !claim.attributes.empty())
    conditions["csi"]["volumeAttributes"] = claim.attributes;
  if (!claim.nfs_server.empty() || !claim.nfs_path.empty())
    conditions["nfs"] = {{"server", claim.nfs_server}, {"path", claim.nfs_path}};
  return conditions;
}

// One text for all that say the same capacity: "1073741824" of "1Gi". What it can't calculate stays as it is.
std::string InBytes(const std::string& quantity) {
  static const std::map<std::string, uint64_t> units = {{"", 1},
                                                        {"k", 1'000},
                                                        {"M", 1'000'000},
                                                        {"G", 1'000'000'000},
                                                        {"T", 1'000'000'000'000},
                                                        {"P", 1'000'000'000'000'000},
                                                        {"Ki", uint64_t{1} << 10},
                                                        {"Mi", uint64_t{1} << 20},
                                                        {"Gi", uint64_t{1} << 30},
                                                        {"Ti", uint64_t{1} << 40},
                                                        {"Pi", uint64_t{1} << 50}};
  constexpr uint64_t most = std::numeric_limits<uint64_t>::max();
  uint64_t number = 0, parts = 1;  // the quantity is number / parts units
  bool is_fraction = false;
  size_t at = 0;
  for (; at < quantity.size() && (quantity[at] == '.' || (quantity[at] >= '0' && quantity[at] <= '9'));
       ++at) {
    if (quantity[at] == '.' && is_fraction) return quantity;
    if (quantity[at] == '.') {
      is_fraction = true;
      continue;
    }
    const auto digit = static_cast<uint64_t>(quantity[at] - '0');
    if (number > (most - digit) / 10 || (is_fraction && parts > most / 10)) return quantity;
    number = number * 10 + digit;
    if (is_fraction) parts *= 10;
  }
  const auto unit = units.find(quantity.substr(at));
  if (at == 0 || unit == units.end() || number > most / unit->second) return quantity;
  const uint64_t bytes = number * unit->second;
  return bytes % parts == 0 ? std::to_string(bytes / parts) : quantity;
}

Json FitsOf(const Json& conditions, const Claim& claim) {
  Json fits = conditions;
  if (!claim.capacity.empty()) fits["capacity"] = InBytes(claim.capacity);
  return fits;
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
      "Give both components the same method, or keep one of them by FileSystem.");
}

// Adds the rule, or joins it with one that selects the same volumes.
Status AddRule(Rule rule, std::vector<Rule>* rules) {
  for (Rule& other : *rules) {
    if (other.fits != rule.fits || other.action == rule.action) continue;
    if (rule.action == "skip") return OkStatus();
    if (other.action == "skip") continue;
    return WithHint(
        FailedPrecondition(
            "{} and {} are to be kept in different ways, and Velero can't tell them apart: their labels, "
            "storage class, capacity, driver and its attributes are the same",
            other.claim, rule.claim),
        "Give one of the two claims a label of its own, or keep both by the same method.");
  }
  rules->erase(std::remove_if(rules->begin(), rules->end(),
                              [&](const Rule& other) { return other.fits == rule.fits; }),
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
    const Json conditions = ConditionsFor(claim);
    Rule rule{conditions, FitsOf(conditions, claim), claim.labels.size() + claim.attributes.size(), "skip",
              Key(claim)};
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
    return std::pair(one.details, one.conditions.size()) > std::pair(other.details, other.conditions.size());
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
