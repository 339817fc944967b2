#include "strategies/volumes/volumes.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "base/text.h"
#include "strategies/interface/steps.h"
#include "strategies/volumes/changes.h"
#include "strategies/volumes/quiesce.h"
#include "strategies/volumes/scratch_namespace.h"

namespace salvor::strategies {
namespace {

constexpr char kPreflight[] = "volumes.preflight";
constexpr int kPreflightTimeout_s = 600;
// Longer than Velero itself works on a volume (four hours), and waits in its queue behind others.
constexpr int kBackupTimeout_s = 24 * 3600;
constexpr int kRestoreTimeout_s = 24 * 3600;
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
      one.set_skip(volume.skip);
      if (volume.skip.empty()) one.set_artifact(artifacts[i]);
    }
  }
  // A Backup of nothing but objects is nobody's wish.
  const auto is_skipped = [](const v1::VeleroVolume& volume) { return !volume.skip().empty(); };
  std::erase_if(gathered, [&](const auto& one) {
    return std::all_of(one.second.begin(), one.second.end(), is_skipped);
  });
  return gathered;
}

// Whether it is also what an attempt is called that comes after one of another name: "NAME-2".
bool IsLikeATry(const std::string& name) {
  return name.size() > 2 && name[name.size() - 2] == '-' && name.back() >= '2' && name.back() <= '9';
}

// The name of a Backup of Velero's is the backup's own, so that people find one by the other, and that of a Restore
// the run's; a namespace is added where there are several. The second attempt in namespace web must not have the name
// of the first in namespace web-2.
std::string NameIn(const std::string& of, const std::string& in_namespace, bool is_only) {
  std::string name = is_only ? of : fmt::format("{}-{}", of, in_namespace);
  if (name.size() <= kLongestName && (is_only || !IsLikeATry(name))) return name;
  const std::string digest = DigestOf(name);
  return fmt::format("{}-{}", name.substr(0, kLongestName - digest.size() - 1), digest);
}

// Backups go together, restores exclude them and each other.
void UseVelero(v1::Step* step, const std::string& environment, bool alone) {
  UseKey(step, "velero:" + environment, 0, "this cluster's Velero");
  step->mutable_keys(step->keys_size() - 1)->set_exclusive(alone);
}

// What the components want of pods of one namespace.
struct Stillness {
  std::vector<v1::PodQuiesce> quiesces;
  std::vector<std::string> rely_on_hooks;
};

std::vector<std::string> ClaimsIn(const ComponentVolumes& component, const std::string& in_namespace) {
  std::vector<std::string> claims;
  for (const Volume& volume : component.volumes) {
    if (volume.in_namespace == in_namespace && volume.skip.empty()) claims.push_back(volume.claim);
  }
  return claims;
}

Stillness StillnessIn(const std::string& in_namespace, const std::vector<ComponentVolumes>& wanted) {
  Stillness stillness;
  for (const ComponentVolumes& component : wanted) {
    const std::vector<std::string> claims = ClaimsIn(component, in_namespace);
    if (claims.empty()) continue;
    if (!component.quiesce.command().empty())
      stillness.quiesces.push_back(QuiesceOf(component.component, component.quiesce, in_namespace, claims));
    if (component.relies_on_hooks) stillness.rely_on_hooks.push_back(component.component);
  }
  return stillness;
}

Status RefuseStillnessOfNothing(const std::vector<ComponentVolumes>& wanted) {
  for (const ComponentVolumes& component : wanted) {
    const auto is_kept = [](const Volume& volume) { return volume.skip.empty(); };
    if (std::any_of(component.volumes.begin(), component.volumes.end(), is_kept)) continue;
    if (component.quiesce.command().empty() && !component.relies_on_hooks) continue;
    return WithHint(FailedPrecondition("component '{}' has no volumes that its pods could be held still for",
                                       component.component),
                    "Remove its quiesce and hooks, or name its claims.");
  }
  return OkStatus();
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

void AskPreflight(const Stillness& stillness, v1::Step* step) {
  v1::VeleroPreflight* preflight = step->mutable_action()->mutable_velero_preflight();
  for (const v1::PodQuiesce& quiesce : stillness.quiesces) *preflight->add_quiesces() = quiesce;
  for (const std::string& component : stillness.rely_on_hooks) preflight->add_hook_components(component);
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
  UseVelero(&step, request.environment, false);
  Retry(&step, 4, 10, 120);
  SetAttemptTimeout(&step, kBackupTimeout_s);
  return step;
}

void Promise(const v1::Step& step, const v1::VeleroVolume& volume, Fragment* fragment) {
  if (!volume.skip().empty()) {
    fragment->effects.push_back(
        MakeEffect("skip", "data of " + TitleOfVolume(volume.claim(), volume.namespace_()), volume.skip()));
    return;
  }
  v1::PlannedArtifact& planned = fragment->artifacts.emplace_back();
  planned.set_step(step.id());
  planned.set_component(volume.component());
  planned.set_artifact(volume.artifact());
  planned.set_title(TitleOfVolume(volume.claim(), volume.namespace_()));
  fragment->effects.push_back(MakeEffect("read", planned.title(), std::string(WordOf(volume.method()))));
}

const std::string& EnvironmentOf(const RestoreRequest& request) {
  return request.environment.empty() ? request.manifest->environment() : request.environment;
}

// What comes back by one Restore of Velero's.
struct Return {
  std::string backup;  // Velero's
  std::string from, to;
  std::vector<const v1::Artifact*> volumes;
};

const v1::Artifact* FindVolume(const v1::Manifest& manifest, const std::string& component,
                               const Volume& volume) {
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (artifact.has_velero() && artifact.component() == component &&
        artifact.velero().namespace_() == volume.in_namespace && artifact.velero().claim() == volume.claim)
      return &artifact;
  }
  return nullptr;
}

// By Velero's Backup. What the manifest has not is added to `missing`.
StatusOr<std::map<std::string, Return>> GatherReturns(const std::vector<ComponentVolumes>& wanted,
                                                      const v1::Manifest& manifest,
                                                      std::vector<v1::MissingArtifact>* missing) {
  std::map<std::string, Return> returns;
  for (const ComponentVolumes& component : wanted) {
    for (const Volume& volume : component.volumes) {
      const v1::Artifact* artifact = FindVolume(manifest, component.component, volume);
      if (artifact == nullptr) {
        missing->push_back(
            MakeMissing(manifest, component.component, TitleOfVolume(volume.claim, volume.in_namespace)));
        continue;
      }
      Return& one = returns[artifact->velero().backup()];
      if (!one.volumes.empty() && one.to != volume.to_namespace) {
        return WithHint(
            FailedPrecondition("components '{}' and '{}' are both of namespace {}, and would go to {} and {}",
                               one.volumes.front()->component(), component.component, one.from, one.to,
                               volume.to_namespace),
            "What was one namespace comes back as one: name the same namespace for both.");
      }
      one.backup = artifact->velero().backup();
      one.from = volume.in_namespace;
      one.to = volume.to_namespace;
      one.volumes.push_back(artifact);
    }
  }
  return returns;
}

// One of Velero's Backups comes back as a whole, and two can't come back as one.
Status CheckReturns(const std::map<std::string, Return>& returns, const v1::Manifest& manifest) {
  std::map<std::string, std::string> taken;  // by where it goes
  for (const auto& [backup, one] : returns) {
    for (const v1::Artifact& artifact : manifest.artifacts()) {
      if (!artifact.has_velero() || artifact.velero().backup() != backup) continue;
      if (std::find(one.volumes.begin(), one.volumes.end(), &artifact) != one.volumes.end()) continue;
      return WithHint(
          FailedPrecondition("{} of component '{}' is of the same namespace, and would come back, too",
                             TitleOfVolume(artifact.velero().claim(), artifact.velero().namespace_()),
                             artifact.component()),
          "This version restores the whole of a namespace: name all of its components, or none.");
    }
    const auto [other, is_free] = taken.emplace(one.to, one.from);
    if (is_free) continue;
    return WithHint(
        FailedPrecondition("namespaces {} and {} would both go to {}", other->second, one.from, one.to),
        "Restore one after the other, or name another namespace for one of them.");
  }
  return OkStatus();
}

// A drill goes to a namespace of its own for each.
void SendToScratch(const RestoreRequest& request, std::map<std::string, Return>* returns) {
  for (auto& [backup, one] : *returns)
    one.to = NameOfScratchNamespace(NameIn(request.run, one.from, returns->size() == 1));
}

StatusOr<v1::VeleroRestore> ActionOf(const Return& one, const std::string& name,
                                     const RestoreRequest& request) {
  v1::VeleroRestore restore;
  if (request.cluster.has_value()) *restore.mutable_cluster() = *request.cluster;
  restore.set_name(name);
  restore.set_velero_backup(one.backup);
  restore.set_namespace_(one.from);
  restore.set_target_namespace(one.to);
  for (const v1::Artifact* volume : one.volumes) *restore.add_volumes() = ForAction(*volume);
  restore.set_run(request.run);
  restore.set_backup(request.manifest->backup());
  restore.set_application(request.drill ? request.manifest->application() : request.asked.to());
  restore.set_scratch(request.drill);
  restore.set_environment(EnvironmentOf(request));
  if (request.drill) return restore;  // which has rules of its own
  const bool is_copy = IsCopy(*request.manifest, one.from, one.to, request.asked.to());
  ASSIGN_OR_RETURN(const auto transform, MakeTransform(request.asked.changes(), is_copy));
  if (transform.has_value()) *restore.mutable_transform() = *transform;
  return restore;
}

// By the namespace that people know: of a drill it is the one that was backed up.
const std::string& WhereOf(const v1::VeleroRestore& restore) {
  return restore.scratch() ? restore.namespace_() : restore.target_namespace();
}

v1::Step CheckTarget(const v1::VeleroRestore& restore) {
  v1::Step step = MakeStep("volumes.check-target." + WhereOf(restore), v1::PURPOSE_GUARD, "",
                           "check namespace " + WhereOf(restore));
  *step.mutable_action()->mutable_velero_restore_check()->mutable_restore() = restore;
  Retry(&step, 3, 2, 30);
  SetAttemptTimeout(&step, kPreflightTimeout_s);
  return step;
}

v1::Step Restore(const v1::VeleroRestore& restore) {
  v1::Step step = MakeStep("volumes.restore." + WhereOf(restore), v1::PURPOSE_RESTORE, "",
                           "restore namespace " + WhereOf(restore));
  *step.mutable_action()->mutable_velero_restore() = restore;
  UseVelero(&step, restore.environment(), true);
  Retry(&step, 4, 10, 120);
  SetAttemptTimeout(&step, kRestoreTimeout_s);
  return step;
}

void DescribeVolumes(const Return& one, Fragment* fragment) {
  for (const v1::Artifact* volume : one.volumes) {
    fragment->effects.push_back(
        MakeEffect("create", TitleOfVolume(volume->velero().claim(), one.to),
                   fmt::format("from a {}, {}", WordOf(volume->velero().method()),
                               DescribeArtifact(*volume, {HumanBytes(volume->bytes())}))));
  }
}

void DescribeDrill(const Return& one, Fragment* fragment) {
  fragment->effects.push_back(MakeEffect(
      "create", "objects of namespace " + one.to,
      fmt::format("from Velero's Backup {} of {}; nothing of the application starts", one.backup, one.from)));
  DescribeVolumes(one, fragment);
}

void DescribeReturn(const Return& one, const v1::RestoreTransform& transform, Fragment* fragment) {
  fragment->effects.push_back(
      MakeEffect("create", "objects of namespace " + one.to,
                 fmt::format("from Velero's Backup {} of {}; pods start at once{}", one.backup, one.from,
                             transform.suspend_schedules() ? "" : ", CronJobs too")));
  for (v1::PlannedEffect& effect : DescribeTransform(transform, one.to))
    fragment->effects.push_back(std::move(effect));
  fragment->effects.push_back(MakeEffect("keep", "objects that are in namespace " + one.to, "as they are"));
  if (one.to != one.from) {
    fragment->effects.push_back(MakeEffect("keep", "settings that name namespace " + one.from,
                                           "as they are: what starts may still speak to it"));
  }
  DescribeVolumes(one, fragment);
  fragment->effects.push_back(MakeEffect(
      "check", "these claims", fmt::format("must not be in {} yet, or the restore is refused", one.to)));
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
  RETURN_IF_ERROR(RefuseStillnessOfNothing(wanted));
  Fragment fragment;
  if (gathered.empty()) return fragment;
  fragment.steps.push_back(Preflight(gathered, request));
  std::map<std::string, Stillness> stillness;
  bool any_held = false;
  for (const auto& [in_namespace, volumes] : gathered) {
    const Stillness& one = stillness[in_namespace] = StillnessIn(in_namespace, wanted);
    AskPreflight(one, &fragment.steps.front());
    any_held = any_held || !one.quiesces.empty();
  }
  std::string previous;
  for (const auto& [in_namespace, volumes] : gathered) {
    const std::string name = NameIn(request.backup, in_namespace, gathered.size() == 1);
    v1::Step step = Backup(in_namespace, volumes, name, header, request);
    // Velero makes one after the other, and nobody is held still while another one's is made.
    if (any_held && !previous.empty()) After(&step, previous, v1::Edge::CONDITION_FINISHED);
    previous = step.id();
    for (const std::string& before : earlier) After(&step, before, v1::Edge::CONDITION_FINISHED);
    fragment.effects.push_back(MakeEffect(
        "read", "objects of namespace " + in_namespace,
        fmt::format("into Velero's Backup {}, which has Secrets as plain text in its bucket", name)));
    for (const v1::VeleroVolume& volume : volumes) Promise(step, volume, &fragment);
    const Stillness& wanted_here = stillness[in_namespace];
    for (const std::string& component : wanted_here.rely_on_hooks)
      step.mutable_action()->mutable_velero_backup()->add_hook_components(component);
    if (!wanted_here.quiesces.empty()) {
      const std::string obligation = gathered.size() == 1 ? "quiesce" : "quiesce." + in_namespace;
      HoldStill(wanted_here.quiesces, in_namespace, obligation, &step, &fragment);
    }
    fragment.steps.push_back(std::move(step));
  }
  return fragment;
}

StatusOr<Fragment> ReturnVolumes(const std::vector<ComponentVolumes>& wanted, const RestoreRequest& request) {
  Fragment fragment;
  ASSIGN_OR_RETURN(auto returns, GatherReturns(wanted, *request.manifest, &fragment.missing));
  if (request.drill) SendToScratch(request, &returns);
  RETURN_IF_ERROR(CheckReturns(returns, *request.manifest));
  std::vector<v1::Step> restores;
  for (const auto& [backup, one] : returns) {
    const std::string& apart = request.drill ? one.from : one.to;
    ASSIGN_OR_RETURN(const v1::VeleroRestore action,
                     ActionOf(one, NameIn(request.run, apart, returns.size() == 1), request));
    fragment.steps.push_back(CheckTarget(action));
    restores.push_back(Restore(action));
    if (request.drill) {
      fragment.scratch.push_back(ScratchNamespaceFor(action, request.require_isolation));
      DescribeDrill(one, &fragment);
    } else {
      DescribeReturn(one, action.transform(), &fragment);
    }
  }
  std::move(restores.begin(), restores.end(), std::back_inserter(fragment.steps));
  return fragment;
}

Status RefuseRestore(const RestoreRequest& request) {
  const v1::Manifest& manifest = *request.manifest;
  const std::string& environment = EnvironmentOf(request);
  if (manifest.velero().empty()) {
    if (!request.to_cluster || !request.drill) return OkStatus();
    return WithHint(
        FailedPrecondition("environment '{}' is a cluster, and a drill there of what Velero does not keep is "
                           "not in this version yet",
                           environment),
        "Restore to an application in an environment of hosts.");
  }
  std::vector<std::string> names;
  for (const v1::VeleroReport& report : manifest.velero()) names.push_back(report.backup());
  if (request.to_cluster) return OkStatus();
  return WithHint(
      FailedPrecondition("backup '{}' is of a cluster, and environment '{}' is a set of hosts",
                         manifest.backup(), environment),
      fmt::format("Restore to an application in an environment that is a cluster. What it holds is in "
                  "Velero's {} {}.",
                  names.size() == 1 ? "Backup" : "Backups", Join(names, ", ")));
}

}  // namespace salvor::strategies
