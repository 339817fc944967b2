#include "strategies/volumes/volumes.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/text.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr char kPreflight[] = "volumes.preflight";
constexpr int kPreflightTimeout_s = 600;
// Longer than Velero itself works on a volume (four hours), and waits in its queue behind others.
constexpr int kBackupTimeout_s = 24 * 3600;
// Velero cuts labels at 63 characters; an attempt after one that Velero gave up adds "-2".
constexpr size_t kLongestName = 56;

using ByNamespace = std::map<std::string, std::vector<v1::VeleroVolume>>;

// One name each in a component: claims may differ in what a name of an artifact cannot have.
std::vector<std::string> ArtifactsOf(const ComponentVolumes& component) {
  std::vector<std::string> claims;
  for (const Volume& volume : component.volumes) claims.push_back(volume.claim);
  std::vector<std::string> names = UniqueSlugs(claims);
  for (std::string& name : names) name = fmt::format("{}.volume.{}", component.component, name);
  return names;
}

StatusOr<ByNamespace> Gather(const std::vector<ComponentVolumes>& wanted) {
  ByNamespace gathered;
  for (const ComponentVolumes& component : wanted) {
    const std::vector<std::string> artifacts = ArtifactsOf(component);
    for (size_t i = 0; i < artifacts.size(); ++i) {
      const Volume& volume = component.volumes[i];
      std::vector<v1::VeleroVolume>& beside = gathered[volume.in_namespace];
      for (const v1::VeleroVolume& other : beside) {
        if (other.claim() != volume.claim) continue;
        return WithHint(
            FailedPrecondition("components '{}' and '{}' both have {}", other.component(),
                               component.component, TitleOfVolume(volume.claim, volume.in_namespace)),
            "Leave the claim to one of them.");
      }
      v1::VeleroVolume& one = beside.emplace_back();
      one.set_component(component.component);
      one.set_namespace_(volume.in_namespace);
      one.set_claim(volume.claim);
      one.set_method(volume.method == v1::VOLUME_METHOD_UNSPECIFIED ? v1::VOLUME_METHOD_AUTO : volume.method);
      one.set_artifact(artifacts[i]);
    }
  }
  return gathered;
}

// Whether it is also what an attempt is called that comes after one of another name: "NAME-2".
bool IsLikeATry(const std::string& name) {
  return name.size() > 2 && name[name.size() - 2] == '-' && name.back() >= '2' && name.back() <= '9';
}

// The backup's own name, so that people find one by the other; a namespace is added where there are several. The second
// attempt in namespace web must not have the name of the first in namespace web-2.
std::string NameIn(const BackupRequest& request, const std::string& in_namespace, bool is_only) {
  const std::string name = is_only ? request.backup : fmt::format("{}-{}", request.backup, in_namespace);
  if (name.size() <= kLongestName && (is_only || !IsLikeATry(name))) return name;
  const std::string digest = DigestOf(name);
  return fmt::format("{}-{}", name.substr(0, kLongestName - digest.size() - 1), digest);
}

// Backups go together, restores exclude them.
void UseVelero(v1::Step* step, const std::string& environment) {
  UseKey(step, "velero:" + environment, 0, "this cluster's Velero");
}

v1::Step Preflight(const ByNamespace& gathered, const BackupRequest& request) {
  v1::Step step = MakeStep(kPreflight, v1::PURPOSE_PREFLIGHT, "", "check Velero and volumes");
  v1::VeleroPreflight* preflight = step.mutable_action()->mutable_velero_preflight();
  if (request.cluster.has_value()) *preflight->mutable_cluster() = *request.cluster;
  for (const auto& [in_namespace, volumes] : gathered) {
    preflight->add_namespaces(in_namespace);
    for (const v1::VeleroVolume& volume : volumes) *preflight->add_volumes() = volume;
  }
  Retry(&step, 3, 2, 30);
  SetAttemptTimeout(&step, kPreflightTimeout_s);
  return step;
}

v1::Step Backup(const std::string& in_namespace, const std::vector<v1::VeleroVolume>& volumes,
                const std::string& name, const v1::Manifest& header, const BackupRequest& request) {
  v1::Step step = MakeStep("volumes.backup." + in_namespace, v1::PURPOSE_CAPTURE, "",
                           "back up namespace " + in_namespace);
  v1::VeleroBackup* backup = step.mutable_action()->mutable_velero_backup();
  if (request.cluster.has_value()) *backup->mutable_cluster() = *request.cluster;
  backup->set_name(name);
  backup->add_namespaces(in_namespace);
  for (const v1::VeleroVolume& volume : volumes) *backup->add_volumes() = volume;
  backup->set_run(request.run);
  backup->set_backup(request.backup);
  backup->set_application(header.application());
  backup->set_environment(request.environment);
  After(&step, kPreflight);
  step.add_inputs(kPreflight);
  UseVelero(&step, request.environment);
  Retry(&step, 4, 10, 120);
  SetAttemptTimeout(&step, kBackupTimeout_s);
  return step;
}

void Promise(const v1::Step& step, const v1::VeleroVolume& volume, Fragment* fragment) {
  v1::PlannedArtifact& planned = fragment->artifacts.emplace_back();
  planned.set_step(step.id());
  planned.set_component(volume.component());
  planned.set_artifact(volume.artifact());
  planned.set_title(TitleOfVolume(volume.claim(), volume.namespace_()));
  fragment->effects.push_back(MakeEffect("read", planned.title(), std::string(WordOf(volume.method()))));
}

}  // namespace

std::string TitleOfVolume(const std::string& claim, const std::string& in_namespace) {
  return fmt::format("volume {} of {}", claim, in_namespace);
}

std::string_view WordOf(v1::VolumeMethod method) {
  switch (method) {
    case v1::VOLUME_METHOD_UNSPECIFIED:
    case v1::VOLUME_METHOD_AUTO:
      return "moved snapshot, or file-system backup where its driver makes none";
    case v1::VOLUME_METHOD_FILE_SYSTEM:
      return "file-system backup";
    case v1::VOLUME_METHOD_SNAPSHOT:
      return "snapshot that stays with its storage";
    case v1::VOLUME_METHOD_SNAPSHOT_MOVED:
      return "moved snapshot";
    default:
      return "in a way that this version does not know";
  }
}

StatusOr<Fragment> KeepVolumes(const std::vector<ComponentVolumes>& wanted, const v1::Manifest& header,
                               const BackupRequest& request, const std::vector<std::string>& earlier) {
  ASSIGN_OR_RETURN(const ByNamespace gathered, Gather(wanted));
  Fragment fragment;
  if (gathered.empty()) return fragment;
  fragment.steps.push_back(Preflight(gathered, request));
  for (const auto& [in_namespace, volumes] : gathered) {
    const std::string name = NameIn(request, in_namespace, gathered.size() == 1);
    v1::Step step = Backup(in_namespace, volumes, name, header, request);
    for (const std::string& before : earlier) After(&step, before, v1::Edge::CONDITION_FINISHED);
    fragment.effects.push_back(MakeEffect(
        "read", "objects of namespace " + in_namespace,
        fmt::format("into Velero's Backup {}, which has Secrets as plain text in its bucket", name)));
    for (const v1::VeleroVolume& volume : volumes) Promise(step, volume, &fragment);
    fragment.steps.push_back(std::move(step));
  }
  return fragment;
}

Status RefuseRestore(const RestoreRequest& request) {
  const v1::Manifest& manifest = *request.manifest;
  const char* what = request.drill ? "a drill" : "a restore";
  if (!manifest.velero().empty()) {
    std::vector<std::string> names;
    for (const v1::VeleroReport& report : manifest.velero()) names.push_back(report.backup());
    return WithHint(
        FailedPrecondition("backup '{}' is of a cluster, and {} of such a backup is not in this version yet",
                           manifest.backup(), what),
        fmt::format("What it holds is in Velero's {} {}: Velero itself restores it, with velero restore "
                    "create --from-backup.",
                    names.size() == 1 ? "Backup" : "Backups", Join(names, ", ")));
  }
  if (!request.to_cluster) return OkStatus();
  return WithHint(
      FailedPrecondition("environment '{}' is a cluster, and {} there is not in this version yet",
                         request.environment.empty() ? manifest.environment() : request.environment, what),
      "Restore to an application in an environment of hosts.");
}

}  // namespace salvor::strategies
