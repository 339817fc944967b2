#include "agent/kubernetes/velero/discovery.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/names.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr size_t kLongestText = 300;
constexpr int kMostOfAKind = 500;  // claims, workloads and Services; one result holds them all
constexpr int kMostInAPod = 50;
constexpr char kClaimVolume[] = "persistentVolumeClaim";

std::string Text(const std::string& text) { return Elide(ValidUtf8(text), kLongestText); }

const std::vector<Json>& ItemsAt(const Json& object, JsonPath path) {
  static const std::vector<Json> none;
  const Json& value = At(object, path);
  return value.is_array() ? value.get_ref<const std::vector<Json>&>() : none;
}

std::vector<std::string> Sorted(const std::set<std::string>& texts) { return {texts.begin(), texts.end()}; }

// Kind and name, which is how a workload is found by its pods and by Services.
using WorkloadKey = std::pair<std::string, std::string>;

// A ReplicaSet that a Deployment made has the Deployment's name, a hyphen, and the hash that its pods have as a label.
WorkloadKey OwnerOf(const Json& pod) {
  for (const Json& owner : ItemsAt(pod, {"metadata", "ownerReferences"})) {
    if (!FlagAt(owner, {"controller"})) continue;
    const std::string kind = TextAt(owner, {"kind"}), name = TextAt(owner, {"name"});
    const std::string hash = TextAt(pod, {"metadata", "labels", "pod-template-hash"});
    const std::string end = "-" + hash;
    const bool by_deployment = kind == "ReplicaSet" && !hash.empty() && name.size() > end.size() &&
                               name.compare(name.size() - end.size(), end.size(), end) == 0;
    if (by_deployment) return {"Deployment", name.substr(0, name.size() - end.size())};
    return {kind, name};
  }
  return {"Pod", TextAt(pod, {"metadata", "name"})};
}

// The names of the containers that have a volume, as a file system or as a device, without those that only begin a
// pod.
std::map<std::string, std::set<std::string>> MountersOf(const Json& pod_spec) {
  std::map<std::string, std::set<std::string>> mounters;
  for (const Json& container : ItemsAt(pod_spec, {"containers"})) {
    for (const char* list : {"volumeMounts", "volumeDevices"}) {
      for (const Json& mount : ItemsAt(container, {list}))
        mounters[TextAt(mount, {"name"})].insert(TextAt(container, {"name"}));
    }
  }
  return mounters;
}

// The kind of a volume is the one field beside its name.
std::string KindOfVolume(const Json& volume) {
  if (!volume.is_object()) return "";
  for (const auto& [key, value] : volume.items()) {
    if (key != "name" && value.is_object()) return key;
  }
  return "";
}

// One workload while it is read: what its pods and its template have, put together.
struct Volume {
  std::string kind, path;
  std::set<std::string> claims, idle_claims, mounted_by;
};

struct Workload {
  bool is_declared = false;  // there is an object that says how many pods it is to have
  int64_t replicas = 0;
  int running = 0;
  bool excluded = false;
  std::map<std::string, std::pair<std::string, std::set<int>>> containers;  // image and ports by name
  std::map<std::string, Volume> volumes;
  std::set<std::string> claim_templates;

  bool HasClaims() const {
    return !claim_templates.empty() || std::any_of(volumes.begin(), volumes.end(), [](const auto& volume) {
      return !volume.second.claims.empty() || !volume.second.idle_claims.empty();
    });
  }

  // `runs`: it is the spec of a pod that runs and is not left out; else of one that would.
  void AddSpec(const Json& spec, bool runs, const std::string& pod_name) {
    for (const Json& container : ItemsAt(spec, {"containers"})) {
      auto& [image, ports] = containers[TextAt(container, {"name"})];
      if (image.empty() || runs) image = TextAt(container, {"image"});
      for (const Json& port : ItemsAt(container, {"ports"}))
        ports.insert(static_cast<int>(NumberAt(port, {"containerPort"})));
    }
    const auto mounters = MountersOf(spec);
    for (const Json& volume : ItemsAt(spec, {"volumes"})) AddVolume(volume, mounters, runs, pod_name);
  }

  void AddVolume(const Json& object, const std::map<std::string, std::set<std::string>>& mounters, bool runs,
                 const std::string& pod_name) {
    const std::string name = TextAt(object, {"name"});
    Volume& volume = volumes[name];
    volume.kind = KindOfVolume(object);
    volume.path = TextAt(object, {"hostPath", "path"});
    const auto mounted = mounters.find(name);
    if (mounted != mounters.end()) volume.mounted_by.insert(mounted->second.begin(), mounted->second.end());
    std::string claim = TextAt(object, {kClaimVolume, "claimName"});
    // The claim of an ephemeral volume has a name that follows from the pod's.
    if (volume.kind == "ephemeral" && !pod_name.empty()) claim = fmt::format("{}-{}", pod_name, name);
    if (claim.empty()) return;
    (runs && mounted != mounters.end() ? volume.claims : volume.idle_claims).insert(claim);
  }
};

class Reader {
 public:
  explicit Reader(const NamespaceObjects& objects) : objects_(objects) {}

  v1::Discovery Read() {
    found_.set_namespace_(objects_.name_space.name);
    found_.set_excluded(objects_.name_space.excluded);
    for (const WorkloadObjects& kind : objects_.workloads) {
      for (const Json& object : kind.objects) AddTemplate(kind.kind, object);
    }
    for (const Json& pod : objects_.pods) AddPod(pod);
    AddClaims();
    AddWorkloads();
    AddServices();
    return std::move(found_);
  }

 private:
  bool HasRoom(int size) {
    if (size < kMostOfAKind) return true;
    found_.set_left_out(found_.left_out() + 1);
    return false;
  }

  void AddTemplate(const std::string& kind, const Json& object) {
    Workload& workload = workloads_[{kind, TextAt(object, {"metadata", "name"})}];
    const bool cron = kind == "CronJob";
    const Json& replicas = At(object, {"spec", "replicas"});
    workload.is_declared = true;
    workload.replicas = kind == "DaemonSet" ? NumberAt(object, {"status", "desiredNumberScheduled"})
                        : cron              ? 0
                                            : (replicas.is_number() ? replicas.get<int64_t>() : 1);
    workload.AddSpec(cron ? At(object, {"spec", "jobTemplate", "spec", "template", "spec"})
                          : At(object, {"spec", "template", "spec"}),
                     false, "");
    for (const Json& one : ItemsAt(object, {"spec", "volumeClaimTemplates"}))
      workload.claim_templates.insert(TextAt(one, {"metadata", "name"}));
  }

  void AddPod(const Json& pod) {
    const std::string phase = TextAt(pod, {"status", "phase"});
    if (phase == "Succeeded" || phase == "Failed") return;
    Workload& workload = workloads_[OwnerOf(pod)];
    const bool excluded = ReadPod(pod).excluded, running = phase == "Running";
    if (!workload.is_declared) ++workload.replicas;
    if (running) ++workload.running;
    workload.excluded = workload.excluded || excluded;
    workload.AddSpec(At(pod, {"spec"}), running && !excluded, TextAt(pod, {"metadata", "name"}));
  }

  void AddClaims() {
    std::map<std::string, v1::VolumeMethod> methods;
    for (const v1::VeleroVolume& volume : objects_.volumes) methods[volume.claim()] = volume.method();
    std::map<std::string, const Claim*> sorted;
    for (const Claim& claim : objects_.claims) sorted[claim.name] = &claim;
    for (const auto& [name, claim] : sorted) {
      if (!HasRoom(found_.claims_size())) continue;
      v1::DiscoveredClaim& one = *found_.add_claims();
      one.set_name(Text(name));
      one.set_phase(Text(claim->phase));
      one.set_storage_class(Text(claim->storage_class));
      one.set_capacity(Text(claim->capacity));
      one.set_source(Text(claim->source));
      one.set_driver(Text(claim->driver));
      one.set_block(claim->block);
      one.set_excluded(claim->excluded);
      one.set_method(methods[name]);
    }
  }

  // Where there is no room for all, those with claims come first: of each claim it is asked who has it.
  void AddWorkloads() {
    std::set<WorkloadKey> written;
    for (const bool with_claims : {true, false}) {
      for (const auto& [key, workload] : workloads_) {
        if (workload.HasClaims() == with_claims && HasRoom(static_cast<int>(written.size())))
          written.insert(key);
      }
    }
    for (const WorkloadKey& key : written) Write(key, workloads_.at(key), found_.add_workloads());
  }

  static void Write(const WorkloadKey& key, const Workload& workload, v1::DiscoveredWorkload* written) {
    written->set_kind(Text(key.first));
    written->set_name(Text(key.second));
    written->set_replicas(static_cast<int32_t>(std::clamp<int64_t>(workload.replicas, 0, INT32_MAX)));
    written->set_running(workload.running);
    written->set_excluded(workload.excluded);
    for (const auto& [name, image_and_ports] : workload.containers) {
      if (written->containers_size() == kMostInAPod) break;
      v1::DiscoveredContainer& container = *written->add_containers();
      container.set_name(Text(name));
      container.set_image(Text(image_and_ports.first));
      for (const int port : image_and_ports.second) container.add_ports(port);
    }
    for (const auto& [name, volume] : workload.volumes) {
      if (written->volumes_size() == kMostInAPod) break;
      v1::DiscoveredVolume& one = *written->add_volumes();
      one.set_name(Text(name));
      one.set_kind(Text(volume.kind));
      one.set_path(Text(volume.path));
      for (const std::string& claim : Sorted(volume.claims)) one.add_claims(Text(claim));
      for (const std::string& claim : Sorted(volume.idle_claims)) {
        if (volume.claims.count(claim) == 0) one.add_idle_claims(Text(claim));
      }
      for (const std::string& name_of : Sorted(volume.mounted_by)) one.add_mounted_by(Text(name_of));
    }
    for (const std::string& name : Sorted(workload.claim_templates)) written->add_claim_templates(Text(name));
  }

  // A Service finds pods by labels; those of one workload have the same.
  void AddServices() {
    std::map<std::string, const Json*> sorted;
    for (const Json& object : objects_.services) sorted[TextAt(object, {"metadata", "name"})] = &object;
    for (const auto& [name, service] : sorted) {
      if (!HasRoom(found_.services_size())) continue;
      v1::DiscoveredService& one = *found_.add_services();
      one.set_name(Text(name));
      std::set<int> ports;
      for (const Json& port : ItemsAt(*service, {"spec", "ports"})) {
        const Json& target = At(port, {"targetPort"});
        // One that is a name is a port of a container, which the container says itself.
        if (!target.is_string())
          ports.insert(static_cast<int>(NumberAt(port, {target.is_number() ? "targetPort" : "port"})));
      }
      for (const int port : ports) one.add_ports(port);
      for (const std::string& workload : Sorted(FoundBy(*service))) one.add_workloads(Text(workload));
    }
  }

  std::set<std::string> FoundBy(const Json& service) const {
    std::set<std::string> found;
    const auto selector = TextMapAt(service, {"spec", "selector"});
    if (selector.empty()) return found;
    for (const Json& pod : objects_.pods) {
      const auto labels = TextMapAt(pod, {"metadata", "labels"});
      const bool fits = std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
        const auto label = labels.find(wanted.first);
        return label != labels.end() && label->second == wanted.second;
      });
      const WorkloadKey key = OwnerOf(pod);
      if (fits && workloads_.count(key) > 0) found.insert(key.first + "/" + key.second);
    }
    return found;
  }

  const NamespaceObjects& objects_;
  std::map<WorkloadKey, Workload> workloads_;
  v1::Discovery found_;
};

// The name between `before` and the next quotation mark.
std::string Between(const std::string& text, const std::string& before) {
  const size_t at = text.find(before);
  if (at == std::string::npos) return "";
  const size_t begin = at + before.size(), end = text.find('"', begin);
  return end == std::string::npos ? "" : text.substr(begin, end - begin);
}

// A word of a command that a person pastes into a shell.
bool IsPlainName(const std::string& name) { return CheckDottedName(name, "a name").ok(); }

}  // namespace

v1::Discovery ReadDiscovery(const NamespaceObjects& objects) { return Reader(objects).Read(); }

std::string HintToOptIn(const std::string& refusal, const std::string& name_space) {
  const std::string user = Between(refusal, "User \"");
  const std::vector<std::string> parts = Split(user, ':');
  std::string who = "--serviceaccount=salvor:salvor-executor";
  if (parts.size() == 4 && parts[0] == "system" && parts[1] == "serviceaccount" && IsPlainName(parts[2]) &&
      IsPlainName(parts[3])) {
    who = fmt::format("--serviceaccount={}:{}", parts[2], parts[3]);
  } else if (IsPlainName(user)) {
    who = "--user=" + user;
  }
  return fmt::format(
      "Let Salvor look there: kubectl -n {} create rolebinding salvor --clusterrole=salvor-application {}. Where that "
      "is done, the ClusterRole is of an older version: apply deploy/kubernetes again.",
      name_space, who);
}

}  // namespace salvor::velero
