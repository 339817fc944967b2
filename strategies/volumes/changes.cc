#include "strategies/volumes/changes.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/names.h"
#include "base/text.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

using Names = google::protobuf::Map<std::string, std::string>;

std::map<std::string, std::string> InOrder(const Names& names) { return {names.begin(), names.end()}; }

// "*.shop.example.com" is a host of an Ingress, too.
Status CheckHost(const std::string& name) {
  return CheckDottedName(name.starts_with("*.") ? name.substr(2) : name, "a host");
}

Status CheckStorageClass(const std::string& name) { return CheckDottedName(name, "a storage class"); }

// "registry.example.com:5000/shop"
Status CheckImagePrefix(const std::string& prefix) {
  constexpr std::string_view kBeside = "._-:/";
  const bool is_clean = std::all_of(prefix.begin(), prefix.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kBeside.find(c) != std::string_view::npos;
  });
  if (prefix.empty() || prefix.size() > 255 || !is_clean || prefix.front() == '/' || prefix.front() == '-' ||
      prefix.find("//") != std::string::npos)
    return InvalidArgument("'{}' is no beginning of an image's name, like registry.example.com/shop",
                           CleanText(Elide(prefix, 80)));
  return OkStatus();
}

void ValidateNames(const Names& names, const std::string& field, Status (*check)(const std::string& name),
                   Problems* problems) {
  for (const auto& [from, to] : InOrder(names)) {
    const std::string place = fmt::format("changes.{}.{}", field, CleanText(Elide(from, 80)));
    problems->Check(place, check(from));
    problems->Check(place, check(to));
    if (from == to) problems->Add(place, "stays what it is; name another one, or leave it out");
  }
}

std::string Renames(const Names& names) {
  std::vector<std::string> texts;
  for (const auto& [from, to] : InOrder(names)) texts.push_back(fmt::format("{} becomes {}", from, to));
  return Join(texts, ", ");
}

}  // namespace

std::vector<FieldProblem> ValidateChanges(const v1::CreateRestoreRequest& asked,
                                          const v1::Manifest& manifest) {
  Problems problems;
  const v1::RestoreChanges& changes = asked.changes();
  ValidateNames(changes.storage_classes(), "storageClasses", CheckStorageClass, &problems);
  ValidateNames(changes.image_prefixes(), "imagePrefixes", CheckImagePrefix, &problems);
  ValidateNames(changes.hosts(), "hosts", CheckHost, &problems);
  if (asked.has_changes() && manifest.velero().empty())
    problems.Add("changes", fmt::format("backup '{}' has no objects of a cluster", manifest.backup()));
  return problems.Take();
}

bool IsCopy(const v1::Manifest& manifest, const std::string& from_namespace, const std::string& to_namespace,
            const std::string& to_application) {
  return from_namespace != to_namespace || manifest.application() != to_application;
}

StatusOr<std::optional<v1::RestoreTransform>> MakeTransform(const v1::RestoreChanges& asked, bool is_copy) {
  v1::RestoreTransform transform;
  transform.set_suspend_schedules(is_copy && !asked.keep_schedules());
  transform.set_close_load_balancers(is_copy && !asked.keep_load_balancers());
  transform.set_free_node_ports(is_copy && !asked.keep_node_ports());
  transform.set_leave_out_routes(is_copy && !asked.with_ingress());
  *transform.mutable_storage_classes() = asked.storage_classes();
  *transform.mutable_image_prefixes() = asked.image_prefixes();
  *transform.mutable_hosts() = asked.hosts();
  if (transform.leave_out_routes() && !asked.hosts().empty()) {
    return WithHint(FailedPrecondition("hosts are to be renamed, and a copy leaves Ingresses and routes out"),
                    "Add --with-ingress, or leave out --host.");
  }
  if (transform.ByteSizeLong() == 0) return std::nullopt;
  return transform;
}

std::vector<v1::PlannedEffect> DescribeTransform(const v1::RestoreTransform& transform,
                                                 const std::string& to_namespace) {
  std::vector<v1::PlannedEffect> effects;
  const auto change = [&](const std::string& what, const std::string& how) {
    effects.push_back(MakeEffect("change", what + " of " + to_namespace, how));
  };
  if (transform.suspend_schedules())
    change("CronJobs and Jobs", "are suspended, as this is a copy; --keep-schedules lets them run");
  if (transform.close_load_balancers()) {
    change("Services of type LoadBalancer",
           "become ClusterIP, and external addresses go; --keep-load-balancers keeps both");
  }
  if (transform.free_node_ports())
    change("fixed node ports", "are chosen anew by the cluster; --keep-node-ports wants the same");
  if (transform.leave_out_routes()) {
    effects.push_back(MakeEffect("skip", "Ingresses, routes and gateways",
                                 "which would let the world in; --with-ingress brings them back"));
  }
  if (!transform.storage_classes().empty()) change("storage classes", Renames(transform.storage_classes()));
  if (!transform.image_prefixes().empty()) change("images", Renames(transform.image_prefixes()));
  if (!transform.hosts().empty()) change("hosts", Renames(transform.hosts()));
  return effects;
}

}  // namespace salvor::strategies
