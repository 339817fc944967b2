#include "agent/kubernetes/velero/transform.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "agent/kubernetes/velero/image_name.h"
#include "agent/kubernetes/velero/restore_check.h"
#include "agent/kubernetes/velero/restore_object.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr size_t kRulesAtMost = 900 << 10;  // of the MiB that a ConfigMap holds
constexpr int kChangesAtMost = 200;
constexpr size_t kValueAtMost = 200;
constexpr char kHeldGate[] = "salvor.dev/held";
constexpr char kOldClass[] = "volume.beta.kubernetes.io/storage-class";

// Fields of changes that keep an object from acting, for people.
constexpr char kSuspend[] = "suspend", kGate[] = "scheduling gate", kType[] = "type",
               kNodePort[] = "node port", kAddresses[] = "external addresses";

using Path = std::vector<std::string>;
using Names = google::protobuf::Map<std::string, std::string>;

// What lets the world in by a name.
struct Route {
  const char* resource;
  const char* kind;  // without its version
};

constexpr std::array kRoutes = {
    Route{"ingresses.networking.k8s.io", "networking.k8s.io/Ingress"},
    Route{"ingresses.extensions", "extensions/Ingress"},
    Route{"gateways.gateway.networking.k8s.io", "gateway.networking.k8s.io/Gateway"},
    Route{"httproutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/HTTPRoute"},
    Route{"grpcroutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/GRPCRoute"},
    Route{"tlsroutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/TLSRoute"},
    Route{"tcproutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/TCPRoute"},
    Route{"udproutes.gateway.networking.k8s.io", "gateway.networking.k8s.io/UDPRoute"},
    Route{"routes.route.openshift.io", "route.openshift.io/Route"},
    Route{"gateways.networking.istio.io", "networking.istio.io/Gateway"},
    Route{"virtualservices.networking.istio.io", "networking.istio.io/VirtualService"},
    Route{"ingressroutes.traefik.io", "traefik.io/IngressRoute"},
    Route{"ingressroutetcps.traefik.io", "traefik.io/IngressRouteTCP"},
    Route{"ingressrouteudps.traefik.io", "traefik.io/IngressRouteUDP"},
    Route{"httpproxies.projectcontour.io", "projectcontour.io/HTTPProxy"},
};

// Where the containers of what makes pods, or is one, are declared.
struct Workload {
  const char* resource;
  Path pod;
};

const std::vector<Workload>& Workloads() {
  static const auto* const workloads =
      new std::vector<Workload>{{"pods", {"spec"}},
                                {"deployments.apps", {"spec", "template", "spec"}},
                                {"replicasets.apps", {"spec", "template", "spec"}},
                                {"statefulsets.apps", {"spec", "template", "spec"}},
                                {"daemonsets.apps", {"spec", "template", "spec"}},
                                {"replicationcontrollers", {"spec", "template", "spec"}},
                                {"jobs.batch", {"spec", "template", "spec"}},
                                {"cronjobs.batch", {"spec", "jobTemplate", "spec", "template", "spec"}}};
  return *workloads;
}

// Where names of hosts are: a list of texts, of objects with a text, or a text.
struct HostPlace {
  const char* resource;
  const char* field;   // in the spec
  const char* inside;  // of each object of the list; null: the list is of texts, or the field is one
};

constexpr std::array kHostPlaces = {
    HostPlace{"ingresses.networking.k8s.io", "rules", "host"},
    HostPlace{"ingresses.networking.k8s.io", "tls", "hosts"},
    HostPlace{"httproutes.gateway.networking.k8s.io", "hostnames", nullptr},
    HostPlace{"grpcroutes.gateway.networking.k8s.io", "hostnames", nullptr},
    HostPlace{"tlsroutes.gateway.networking.k8s.io", "hostnames", nullptr},
    HostPlace{"gateways.gateway.networking.k8s.io", "listeners", "hostname"},
    HostPlace{"routes.route.openshift.io", "host", nullptr},
};

// Names hold nothing else that means something in a regular expression.
std::string Exactly(const std::string& name) {
  std::string pattern = "^";
  for (const char c : name) pattern += c == '.' ? "\\." : std::string(1, c);
  return pattern + "$";
}

Json Nested(const Path& path, Json value) {
  for (auto part = path.rbegin(); part != path.rend(); ++part) value = Json{{*part, std::move(value)}};
  return value;
}

const Json& Within(const Json& object, const Path& path) {
  const Json* at = &object;
  for (const std::string& part : path) at = &At(*at, {part});
  return *at;
}

std::vector<Json> ItemsOf(const Json& list) {
  return list.is_array() ? std::vector<Json>(list.begin(), list.end()) : std::vector<Json>();
}

bool HasOwner(const Json& object) { return !ItemsOf(At(object, {"metadata", "ownerReferences"})).empty(); }

bool IsOwnedBy(const Json& object, std::string_view kind) {
  const std::vector<Json> owners = ItemsOf(At(object, {"metadata", "ownerReferences"}));
  return std::any_of(owners.begin(), owners.end(),
                     [&](const Json& owner) { return TextAt(owner, {"kind"}) == kind; });
}

// Velero leaves out what has ended.
bool HasEnded(const KeptObject& kept) {
  if (kept.resource == "pods") {
    const std::string phase = TextAt(kept.object, {"status", "phase"});
    return phase == "Succeeded" || phase == "Failed";
  }
  const std::vector<Json> conditions = ItemsOf(At(kept.object, {"status", "conditions"}));
  return std::any_of(conditions.begin(), conditions.end(), [](const Json& one) {
    const std::string type = TextAt(one, {"type"});
    return (type == "Complete" || type == "Failed") && TextAt(one, {"status"}) == "True";
  });
}

std::string KindOf(const KeptObject& kept) { return TextAt(kept.object, {"kind"}); }

class TransformPlanner {
 public:
  TransformPlanner(const v1::RestoreTransform& wanted, const std::vector<KeptObject>& objects,
                   const std::vector<v1::Artifact>& volumes)
      : wanted_(wanted), objects_(objects) {
    // Of these a claim is filled only once a pod that uses it was scheduled.
    for (const v1::Artifact& volume : volumes) {
      if (volume.velero().method() != v1::VOLUME_METHOD_SNAPSHOT)
        filled_by_pods_.insert(volume.velero().claim());
    }
  }

  Transform Plan() {
    for (const KeptObject& kept : objects_) {
      if (wanted_.suspend_schedules()) PlanSchedule(kept);
      if (kept.resource == "services") PlanService(kept);
      if (kept.resource == "persistentvolumeclaims") PlanClaim(kept);
      if (kept.resource == "statefulsets.apps") PlanClaimTemplates(kept);
      for (const Workload& workload : Workloads()) {
        if (kept.resource == workload.resource) PlanImages(kept, workload.pod);
      }
      if (!wanted_.leave_out_routes()) PlanHosts(kept);
    }
    FindUnused();
    return std::move(plan_);
  }

 private:
  void AddRule(const KeptObject& kept, const char* way, const Json& patch) {
    plan_.rules.push_back(
        {{"conditions", {{"groupResource", kept.resource}, {"resourceNameRegex", Exactly(kept.name)}}},
         {way, {{{"patchData", patch.dump()}}}}});
  }
  void AddMerge(const KeptObject& kept, const Json& patch) { AddRule(kept, "mergePatches", patch); }

  void AddChange(const KeptObject& kept, const std::string& field, const std::string& from,
                 const std::string& to) {
    v1::ObjectChange& change = plan_.changes.emplace_back();
    change.set_kind(KindOf(kept));
    change.set_name(kept.name);
    change.set_field(Elide(field, kValueAtMost));
    change.set_from(Elide(from, kValueAtMost));
    change.set_to(Elide(to, kValueAtMost));
  }

  void PlanSchedule(const KeptObject& kept) {
    const bool is_pod = kept.resource == "pods" && IsOwnedBy(kept.object, "Job");
    if (is_pod && !HasEnded(kept)) return PlanPodOfJob(kept);
    const bool is_schedule =
        kept.resource == "cronjobs.batch" || (kept.resource == "jobs.batch" && !HasEnded(kept));
    if (!is_schedule || FlagAt(kept.object, {"spec", "suspend"})) return;
    AddMerge(kept, {{"spec", {{"suspend", true}}}});
    AddChange(kept, kSuspend, "false", "true");
  }

  // No Job of the copy knows it, so nobody else would hold it.
  void PlanPodOfJob(const KeptObject& kept) {
    for (const Json& volume : ItemsOf(At(kept.object, {"spec", "volumes"}))) {
      const std::string claim = TextAt(volume, {"persistentVolumeClaim", "claimName"});
      if (filled_by_pods_.count(claim) == 0) continue;
      plan_.warnings.push_back(fmt::format(
          "pod {} of a Job that was running starts although it is a copy, for it brings the data of volume {} back",
          kept.name, claim));
      return;
    }
    if (!ItemsOf(At(kept.object, {"spec", "schedulingGates"})).empty()) return;
    AddMerge(kept, {{"spec", {{"schedulingGates", Json::array({{{"name", kHeldGate}}})}}}});
    AddChange(kept, kGate, "", kHeldGate);
  }

  void PlanService(const KeptObject& kept) {
    const Json& spec = At(kept.object, {"spec"});
    const std::string type = TextAt(spec, {"type"});
    const bool is_balanced = type == "LoadBalancer" && wanted_.close_load_balancers();
    const std::vector<std::string> fixed =
        wanted_.free_node_ports() ? FixedNodePorts(kept.object) : std::vector<std::string>();
    const std::vector<std::string> addresses =
        wanted_.close_load_balancers() ? TextsAt(spec, {"externalIPs"}) : std::vector<std::string>();
    Json patch = Json::object();
    if (is_balanced) {
      patch = {{"type", "ClusterIP"}, {"externalTrafficPolicy", nullptr}, {"healthCheckNodePort", nullptr}};
      for (const char* field : {"allocateLoadBalancerNodePorts", "loadBalancerIP", "loadBalancerClass",
                                "loadBalancerSourceRanges"})
        patch[field] = nullptr;
      AddChange(kept, kType, type, "ClusterIP");
    }
    if (is_balanced || !fixed.empty()) patch["ports"] = WithoutNodePorts(At(spec, {"ports"}));
    if (!is_balanced) {
      for (const std::string& port : fixed)  // "web 30080"
        AddChange(kept, kNodePort, port.substr(port.rfind(' ') + 1), "chosen anew");
    }
    if (!addresses.empty()) {
      patch["externalIPs"] = nullptr;
      // It is refused where nothing comes in from outside any more.
      if (type != "NodePort") patch["externalTrafficPolicy"] = nullptr;
      AddChange(kept, kAddresses, Join(addresses, ", "), "");
    }
    if (!patch.empty()) AddMerge(kept, {{"spec", patch}});
  }

  static Json WithoutNodePorts(const Json& ports) {
    Json without = Json::array();
    for (Json port : ItemsOf(ports)) {
      if (port.is_object()) port.erase("nodePort");
      without.push_back(std::move(port));
    }
    return without;
  }

  // The new name of the class; "" where it keeps its own.
  std::string NewClass(const std::string& name) {
    if (!name.empty()) classes_.insert(name);
    return Renamed(name, wanted_.storage_classes());
  }

  static std::string Renamed(const std::string& name, const Names& names) {
    const auto found = names.find(name);
    return found == names.end() || found->second == name ? "" : found->second;
  }

  void PlanClaim(const KeptObject& kept) {
    const std::string annotated = TextAt(kept.object, {"metadata", "annotations", kOldClass});
    const std::string declared = TextAt(kept.object, {"spec", "storageClassName"});
    const std::string name = declared.empty() ? annotated : declared;
    const std::string to = NewClass(name);
    if (to.empty()) return;
    Json patch = {{"spec", {{"storageClassName", to}, {"volumeName", nullptr}}}};
    if (!annotated.empty()) patch["metadata"]["annotations"][kOldClass] = nullptr;
    AddMerge(kept, patch);
    AddChange(kept, "storage class", name, to);
  }

  void PlanClaimTemplates(const KeptObject& kept) {
    Json templates = Json::array();
    bool is_changed = false;
    for (Json one : ItemsOf(At(kept.object, {"spec", "volumeClaimTemplates"}))) {
      const std::string name = TextAt(one, {"spec", "storageClassName"});
      if (const std::string to = NewClass(name); !to.empty()) {
        one["spec"]["storageClassName"] = to;
        AddChange(kept, "storage class of template " + TextAt(one, {"metadata", "name"}), name, to);
        is_changed = true;
      }
      templates.push_back(std::move(one));
    }
    if (is_changed) AddMerge(kept, {{"spec", {{"volumeClaimTemplates", templates}}}});
  }

  // By the containers' names, for Velero puts one of its own before those of a pod. What others own follows them, and is
  // not told of.
  void PlanImages(const KeptObject& kept, const Path& pod) {
    if (wanted_.image_prefixes().empty()) return;
    Json patch = Json::object();
    for (const char* list : {"initContainers", "containers"}) {
      Json containers = Json::array();
      for (const Json& container : ItemsOf(At(Within(kept.object, pod), {list}))) {
        const std::string name = TextAt(container, {"name"}), image = TextAt(container, {"image"});
        images_.insert(image);
        const std::string moved = MoveImage(image, wanted_.image_prefixes());
        if (moved == image) continue;
        containers.push_back({{"name", name}, {"image", moved}});
        if (!HasOwner(kept.object)) AddChange(kept, "image of container " + name, image, moved);
      }
      if (!containers.empty()) patch[list] = containers;
    }
    if (!patch.empty()) AddRule(kept, "strategicPatches", Nested(pod, patch));
  }

  // A text, or each of a list.
  bool RenameHosts(const KeptObject& kept, Json& value) {
    bool is_renamed = false;
    if (value.is_array()) {
      for (Json& one : value) is_renamed = RenameHosts(kept, one) || is_renamed;
      return is_renamed;
    }
    if (!value.is_string()) return false;
    const auto name = value.get<std::string>();
    hosts_.insert(name);
    const std::string to = Renamed(name, wanted_.hosts());
    if (to.empty()) return false;
    if (told_hosts_.insert(kept.resource + "/" + kept.name + " " + name).second)
      AddChange(kept, "host", name, to);
    value = to;
    return true;
  }

  void PlanHosts(const KeptObject& kept) {
    Json patch = Json::object();
    for (const HostPlace& place : kHostPlaces) {
      if (kept.resource != place.resource) continue;
      Json value = At(kept.object, {"spec", place.field});
      bool is_renamed = false;
      if (place.inside == nullptr) {
        is_renamed = RenameHosts(kept, value);
      } else if (value.is_array()) {
        for (Json& one : value) {
          if (one.is_object() && one.contains(place.inside))
            is_renamed = RenameHosts(kept, one[place.inside]) || is_renamed;
        }
      }
      if (is_renamed) patch[place.field] = std::move(value);
    }
    if (!patch.empty()) AddMerge(kept, {{"spec", patch}});
  }

  void FindUnused() {
    for (const std::string& name : InOrder(wanted_.storage_classes())) {
      if (classes_.count(name) == 0) plan_.unused.push_back("StorageClass " + name);
    }
    for (const std::string& prefix : InOrder(wanted_.image_prefixes())) {
      Names alone;
      alone[prefix] = wanted_.image_prefixes().at(prefix);
      if (std::none_of(images_.begin(), images_.end(),
                       [&](const std::string& image) { return MoveImage(image, alone) != image; }))
        plan_.unused.push_back("image prefix " + prefix);
    }
    for (const std::string& name : InOrder(wanted_.hosts())) {
      if (hosts_.count(name) == 0) plan_.unused.push_back("host " + name);
    }
  }

  static std::set<std::string> InOrder(const Names& names) {
    std::set<std::string> ordered;
    for (const auto& [from, to] : names) ordered.insert(from);
    return ordered;
  }

  const v1::RestoreTransform& wanted_;
  const std::vector<KeptObject>& objects_;
  std::set<std::string> filled_by_pods_;
  std::set<std::string> classes_, images_, hosts_;  // that were seen
  std::set<std::string> told_hosts_;
  Transform plan_;
};

}  // namespace

std::set<std::string> ResourcesToRead() {
  std::set<std::string> resources = {"services", "persistentvolumeclaims"};
  for (const Workload& workload : Workloads()) resources.insert(workload.resource);
  for (const HostPlace& place : kHostPlaces) resources.insert(place.resource);
  return resources;
}

Transform PlanTransform(const v1::RestoreTransform& wanted, const std::vector<KeptObject>& objects,
                        const std::vector<v1::Artifact>& volumes) {
  return TransformPlanner(wanted, objects, volumes).Plan();
}

std::vector<std::string> LeftOutResources(const v1::RestoreTransform& wanted) {
  std::vector<std::string> resources;
  if (!wanted.leave_out_routes()) return resources;
  for (const Route& route : kRoutes) resources.emplace_back(route.resource);
  return resources;
}

bool IsLeftOut(const v1::RestoreTransform& wanted, std::string_view kind) {
  if (!wanted.leave_out_routes()) return false;
  const std::string name = WithoutVersion(kind);
  return std::any_of(kRoutes.begin(), kRoutes.end(), [&](const Route& route) { return name == route.kind; });
}

StatusOr<std::string> ModifierText(const Json& rules) {
  std::string text = Json{{"version", "v1"}, {"resourceModifierRules", rules}}.dump();
  if (text.size() <= kRulesAtMost) return text;
  return WithHint(
      ResourceExhausted("{} rules are needed to change the objects, which are more than Velero takes",
                        rules.size()),
      "Ask for fewer changes, and make the others when it was restored.");
}

bool KeepsFromActing(const v1::ObjectChange& change) {
  constexpr std::array<std::string_view, 5> kFields = {kSuspend, kGate, kType, kNodePort, kAddresses};
  return std::find(kFields.begin(), kFields.end(), change.field()) != kFields.end();
}

std::string Describe(const v1::ObjectChange& change) {
  const std::string what = fmt::format("{} {}: {}", change.kind(), change.name(), change.field());
  if (change.from().empty()) return fmt::format("{} {}", what, change.to());
  return fmt::format("{} {} becomes {}", what, change.from(), change.to().empty() ? "none" : change.to());
}

int64_t AddChanges(const std::vector<v1::ObjectChange>& changes,
                   google::protobuf::RepeatedPtrField<v1::ObjectChange>* to) {
  for (const v1::ObjectChange& change : changes) {
    if (to->size() == kChangesAtMost) break;
    *to->Add() = change;
  }
  return static_cast<int64_t>(changes.size()) - to->size();
}

}  // namespace salvor::velero
