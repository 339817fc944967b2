#include "strategies/disk/disk_strategy.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/names.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/scratch_folder.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kTargetCheckTimeout_s = 600;

void ValidatePaths(const v1::DiskComponent& disk, Problems* problems) {
  if (disk.paths().empty() && disk.claims().empty())
    problems->AddIncomplete("disk.paths", "needs at least one path, or claims on Kubernetes");
  for (int i = 0; i < disk.paths_size(); ++i) {
    const std::string field = fmt::format("disk.paths[{}]", i);
    const std::string& path = disk.paths(i);
    problems->Check(field, CheckAbsolutePath(path));
    if (path.size() > 1 && (path.back() == '/' || path.find("//") != std::string::npos)) {
      problems->Add(field, "must not end with '/' or contain '//'");
    }
    for (int j = 0; j < disk.paths_size(); ++j) {
      if (i == j || !IsWithin(path, disk.paths(j)) || (path == disk.paths(j) && i < j)) continue;
      problems->Add(field, fmt::format("lies within '{}', which is there already", CleanText(disk.paths(j))));
      break;
    }
  }
}

void ValidateMountPoints(const v1::DiskComponent& disk, Problems* problems) {
  for (int i = 0; i < disk.mount_points_size(); ++i) {
    const std::string field = fmt::format("disk.mountPoints[{}]", i);
    const std::string& point = disk.mount_points(i);
    problems->Check(field, CheckAbsolutePath(point));
    if (point.size() > 1 && (point.back() == '/' || point.find("//") != std::string::npos)) {
      problems->Add(field, "must not end with '/' or contain '//'");
      continue;
    }
    const auto is_related = [&point](const std::string& path) {
      return IsWithin(path, point) || IsWithin(point, path);
    };
    if (std::none_of(disk.paths().begin(), disk.paths().end(), is_related))
      problems->Add(field, "is neither one of disk.paths nor above or below one");
  }
}

void ValidateExcludes(const v1::DiskComponent& disk, Problems* problems) {
  for (int i = 0; i < disk.exclude_size(); ++i) {
    const std::string& pattern = disk.exclude(i);
    const std::string field = fmt::format("disk.exclude[{}]", i);
    if (Trim(pattern).empty()) problems->Add(field, "is empty");
    if (pattern.find('\0') != std::string::npos || pattern.find('\n') != std::string::npos) {
      problems->Add(field, "must be one line without NUL bytes");
    }
  }
}

// What only paths of a host can have; empty when there is none.
std::string OfPaths(const v1::DiskComponent& disk) {
  if (!disk.paths().empty()) return "disk.paths";
  if (!disk.exclude().empty()) return "disk.exclude";
  if (!disk.mount_points().empty()) return "disk.mountPoints";
  return disk.cross_file_systems() ? "disk.crossFileSystems" : "";
}

void ValidateClaims(const v1::DiskComponent& disk, Problems* problems) {
  if (disk.claims().empty()) {
    if (disk.method() != v1::VOLUME_METHOD_UNSPECIFIED)
      problems->AddIncomplete("disk.method", "is for disk.claims, and there are none");
    return;
  }
  if (const std::string other = OfPaths(disk); !other.empty()) {
    problems->Add(
        "disk.claims",
        fmt::format("cannot stand beside {}, which is of a host: make two components of them, one in each "
                    "environment",
                    other));
  }
  if (!v1::VolumeMethod_IsValid(disk.method()))
    problems->Add("disk.method", "is none that this version knows");
  std::set<std::string> seen;
  for (int i = 0; i < disk.claims_size(); ++i) {
    const std::string field = fmt::format("disk.claims[{}]", i);
    problems->Check(field, CheckDottedName(disk.claims(i), "a claim"));
    if (!seen.insert(disk.claims(i)).second) problems->Add(field, "is there already");
  }
}

}  // namespace

std::vector<FieldProblem> DiskStrategy::Validate(const v1::Component& component) const {
  Problems problems;
  ValidatePaths(component.disk(), &problems);
  ValidateClaims(component.disk(), &problems);
  ValidateExcludes(component.disk(), &problems);
  ValidateMountPoints(component.disk(), &problems);
  ValidateChecks(component, nullptr, &problems);
  return problems.Take();
}

std::vector<FieldProblem> DiskStrategy::ValidateWithRuntime(const v1::Component& component,
                                                            v1::Runtime runtime) const {
  const v1::DiskComponent& disk = component.disk();
  Problems problems;
  if (runtime != v1::RUNTIME_KUBERNETES) {
    if (!disk.claims().empty())
      problems.Add(
          "disk.claims",
          "are volumes of a cluster, and this environment is a set of hosts; name disk.paths instead");
    return problems.Take();
  }
  if (disk.claims().empty()) {
    problems.Add("disk.paths",
                 "are files of a host, and this environment is a cluster; name disk.claims instead");
  } else if (component.namespace_().empty()) {
    problems.Add(
        "namespace",
        "is missing: where the claims are; say it here, or once for all components in spec.namespace");
  }
  return problems.Take();
}

void DiskStrategy::PrepareOverlay(const v1::Component& top, v1::Component* base) const {
  v1::DiskComponent* disk = base->mutable_disk();
  if (!top.disk().claims().empty()) {
    disk->clear_paths();
    disk->clear_exclude();
    disk->clear_mount_points();
    disk->clear_cross_file_systems();
  } else if (!top.disk().paths().empty()) {
    disk->clear_claims();
    disk->clear_method();
  }
}

// A repository below a path that is backed up into it would hold itself, and grow with every backup.
std::vector<FieldProblem> DiskStrategy::ValidateWithLocation(const v1::Component& component,
                                                             const std::string& location_name,
                                                             const v1::LocationSpec& location) const {
  const std::string& repository = location.restic().repository();
  const auto& excluded = component.disk().exclude();
  std::vector<FieldProblem> problems;
  for (int i = 0; i < component.disk().paths_size(); ++i) {
    if (!IsWithin(repository, component.disk().paths(i))) continue;
    if (std::find(excluded.begin(), excluded.end(), repository) != excluded.end()) continue;
    problems.push_back(
        {fmt::format("disk.paths[{}]", i),
         fmt::format("holds the repository {} of Location '{}' itself; exclude it, or keep it elsewhere",
                     repository, location_name)});
  }
  return problems;
}

StatusOr<Fragment> DiskStrategy::Backup(const v1::Component& component, const BackupRequest& request) const {
  Fragment fragment;
  const std::string& name = component.name();
  for (const std::string& claim : component.disk().claims())
    fragment.volumes.push_back({component.namespace_(), claim, component.disk().method()});
  if (!fragment.volumes.empty()) return fragment;
  const std::string artifact = name + ".tree";
  v1::Step step = MakeStep(name + ".backup", v1::PURPOSE_CAPTURE, name, "back up files");
  v1::DiskBackup* backup = step.mutable_action()->mutable_disk_backup();
  *backup->mutable_component() = component.disk();
  *backup->mutable_target() = MakeTarget(request.location, request.backup, name, artifact);
  UseLocation(&step, request.location);
  Retry(&step, 3, 10, 120);

  v1::PlannedArtifact planned;
  planned.set_step(step.id());
  planned.set_component(name);
  planned.set_artifact(artifact);
  planned.set_title("files");
  fragment.artifacts.push_back(std::move(planned));
  for (const std::string& path : component.disk().paths()) {
    fragment.effects.push_back(MakeEffect("read", "files " + path, ""));
  }
  fragment.steps.push_back(std::move(step));
  return fragment;
}

namespace {

std::vector<v1::DiskDestination> Pair(const std::vector<std::string>& paths,
                                      const std::vector<std::string>& destinations) {
  std::vector<v1::DiskDestination> pairs;
  for (size_t i = 0; i < paths.size(); ++i) {
    v1::DiskDestination& pair = pairs.emplace_back();
    pair.set_path(paths[i]);
    pair.set_destination(destinations[i]);
  }
  return pairs;
}

// The destination of each path of the backup: itself, unless the target declares other paths of its own. Those are
// paired in the order they stand in; what could be meant in two ways is refused.
StatusOr<std::vector<v1::DiskDestination>> Destinations(const v1::Component& component,
                                                        const RestoreRequest& request) {
  const std::vector<std::string> paths(component.disk().paths().begin(), component.disk().paths().end());
  if (request.drill) {
    std::vector<std::string> inside;
    for (const std::string& path : paths)
      inside.push_back(request.drill_folder + (path == "/" && !request.drill_folder.empty() ? "" : path));
    return Pair(paths, inside);
  }
  if (!request.options.disk().root().empty() || !request.to.has_value()) return Pair(paths, paths);
  const std::vector<std::string> own(request.to->disk().paths().begin(), request.to->disk().paths().end());
  const std::set<std::string> here(paths.begin(), paths.end()), there(own.begin(), own.end());
  if (here == there) return Pair(paths, paths);
  const std::string what_to_write = fmt::format(
      "Declare in component '{}' of the target one path for each of these, in this order: {}. Or "
      "restore below a folder with --disk-root.",
      component.name(), Join(paths, ", "));
  if (own.size() != paths.size()) {
    return WithHint(FailedPrecondition("the backup has {} {} and the target declares {}: which goes where "
                                       "cannot be told",
                                       paths.size(), paths.size() == 1 ? "path" : "paths", own.size()),
                    what_to_write);
  }
  for (size_t i = 0; i < paths.size(); ++i) {
    if (own[i] == paths[i]) continue;
    if (there.count(paths[i]) == 0 && here.count(own[i]) == 0) continue;
    return WithHint(
        FailedPrecondition("path {} stands at another position in the target than in the backup: which goes "
                           "where cannot be told",
                           there.count(paths[i]) == 0 ? own[i] : paths[i]),
        what_to_write);
  }
  return Pair(paths, own);
}

// The place on the host, as it is compared with others: without a slash that says nothing.
std::string Below(const std::string& root, const std::string& destination) {
  std::string place;
  for (const std::string& part : Split(root + destination, '/')) {
    if (!part.empty()) place += "/" + part;
  }
  return place.empty() ? "/" : place;
}

// The steps of a restore share a target, the location and the paths.
struct DiskRestorePlan {
  const v1::Component& component;
  const RestoreRequest& request;
  const v1::Artifact& tree;
  const v1::Artifact& details;
  std::vector<v1::DiskDestination> destinations;
  v1::DiskTarget target;

  template <typename Action>
  void Fill(Action* action) const {
    *action->mutable_target() = target;
    *action->mutable_paths() = component.disk().paths();
    for (const v1::DiskDestination& one : destinations) *action->add_destinations() = one;
  }

  v1::Step NewStep(const std::string& verb, v1::Purpose purpose, const std::string& title) const {
    return MakeStep(component.name() + "." + verb, purpose, component.name(), title);
  }

  v1::Step TargetCheck() const {
    v1::Step step = NewStep("check-target", v1::PURPOSE_GUARD, "check target folder");
    Fill(step.mutable_action()->mutable_disk_target_check());
    Retry(&step, 3, 2, 30);
    SetAttemptTimeout(&step, kTargetCheckTimeout_s);
    return step;
  }

  v1::Step Restore() const {
    v1::Step step = NewStep("restore", v1::PURPOSE_RESTORE, "restore files");
    v1::DiskRestore* restore = step.mutable_action()->mutable_disk_restore();
    Fill(restore);
    *restore->mutable_location() = request.location;
    *restore->mutable_tree() = ForAction(tree);
    *restore->mutable_details() = ForAction(details);
    restore->set_run(request.run);
    UseLocation(&step, request.location);
    Retry(&step, 3, 10, 120);
    return step;
  }

  v1::Step Verify() const {
    v1::Step step = NewStep("verify", v1::PURPOSE_VERIFY, "verify files");
    v1::DiskVerify* verify = step.mutable_action()->mutable_disk_verify();
    Fill(verify);
    *verify->mutable_location() = request.location;
    *verify->mutable_details() = ForAction(details);
    After(&step, component.name() + ".restore");
    UseLocation(&step, request.location);
    Retry(&step, 3, 10, 120);
    return step;
  }

  // The checks come after the comparison: the rows and files that an application's own check writes must not look like
  // a difference.
  v1::Step Checks(const google::protobuf::RepeatedPtrField<v1::ApplicationCheck>& checks) const {
    v1::Step step =
        NewStep("application-checks", v1::PURPOSE_CHECK,
                fmt::format("run {} application check{}", checks.size(), checks.size() == 1 ? "" : "s"));
    v1::ApplicationChecks* action = step.mutable_action()->mutable_application_checks();
    action->set_component(component.name());
    *action->mutable_checks() = checks;
    action->set_drill(request.drill);
    *action->mutable_disk() = target;
    for (const v1::DiskDestination& one : destinations) action->add_paths(one.destination());
    After(&step, component.name() + ".restore");
    After(&step, component.name() + ".verify", v1::Edge::CONDITION_FINISHED);
    Retry(&step, 2, 5, 30);
    return step;
  }
};

}  // namespace

std::vector<FieldProblem> DiskStrategy::ValidateOptions(const v1::Component& component,
                                                        const v1::RestoreOptions& options) const {
  const v1::DiskRestoreOptions& disk = options.disk();
  const bool has_claims = !component.disk().claims().empty();
  Problems problems;
  problems.CheckPath("disk.root", disk.root());
  if (!disk.root().empty() && has_claims)
    problems.Add("disk.root",
                 "is for files of a host, and these are claims of a cluster; name disk.namespace");
  if (disk.namespace_().empty()) return problems.Take();
  problems.Check("disk.namespace", CheckObjectName(disk.namespace_()));
  if (!has_claims)
    problems.Add("disk.namespace",
                 "is for claims of a cluster, and these are files of a host; name disk.root");
  return problems.Take();
}

std::vector<FieldProblem> DiskStrategy::ValidateCommonOptions(const v1::CreateRestoreRequest& asked,
                                                              const v1::Manifest& manifest) const {
  Problems problems;
  const auto& all = manifest.components();
  if (!asked.disk_root().empty() &&
      std::none_of(all.begin(), all.end(), [](const v1::Component& one) { return one.has_disk(); }))
    problems.Add("diskRoot", fmt::format("backup '{}' has no files", manifest.backup()));
  const auto is_of_cluster = [](const v1::Component& one) {
    return !one.disk().claims().empty() || !one.namespace_().empty();
  };
  if (!asked.namespace_().empty() && std::none_of(all.begin(), all.end(), is_of_cluster))
    problems.Add("namespace", fmt::format("backup '{}' has no volumes of a cluster", manifest.backup()));
  return problems.Take();
}

v1::RestoreOptions DiskStrategy::CommonOptions(const v1::CreateRestoreRequest& asked,
                                               const v1::Component& component) const {
  v1::RestoreOptions options;
  if (!asked.disk_root().empty()) options.mutable_disk()->set_root(asked.disk_root());
  if (!asked.namespace_().empty() && !component.disk().claims().empty())
    options.mutable_disk()->set_namespace_(asked.namespace_());
  return options;
}

bool DiskStrategy::NeedsTarget(const RestoreRequest& request) const {
  return !request.drill && request.options.disk().root().empty() &&
         request.options.disk().namespace_().empty();
}

namespace {

// They come back by their own names, into the namespace that was asked for or that the target declares; in a drill, into
// one that the composer has made.
StatusOr<Fragment> ReturnClaims(const v1::Component& component, const RestoreRequest& request) {
  if (!request.to_cluster)
    return FailedPrecondition("its volumes are of a cluster, and this version cannot restore those to hosts");
  const std::string& asked = request.options.disk().namespace_();
  const std::string target = !asked.empty() ? asked : request.to ? request.to->namespace_() : "";
  if (target.empty() && !request.drill)
    return WithHint(FailedPrecondition("the target says no namespace for it"),
                    "Declare one in the target, or name it with --namespace.");
  Fragment fragment;
  for (const std::string& claim : component.disk().claims())
    fragment.volumes.push_back({component.namespace_(), claim, component.disk().method(), target});
  const auto& checks = request.to ? request.to->checks() : component.checks();
  if (!checks.empty()) {
    fragment.effects.push_back(MakeEffect(
        "skip",
        fmt::format("{} of component {}", CountOf(checks.size(), "application check"), component.name()),
        "which this version does not run on a cluster"));
  }
  return fragment;
}

}  // namespace

StatusOr<Fragment> DiskStrategy::Restore(const v1::Component& component,
                                         const RestoreRequest& request) const {
  if (!component.disk().claims().empty()) return ReturnClaims(component, request);
  Fragment fragment;
  const v1::Artifact* tree = FindArtifact(*request.manifest, component.name(), v1::Artifact::KIND_TREE);
  const v1::Artifact* details =
      FindArtifact(*request.manifest, component.name(), v1::Artifact::KIND_TREE_DETAILS);
  if (tree == nullptr || details == nullptr) {
    fragment.missing.push_back(MakeMissing(*request.manifest, component.name(), "files"));
    return fragment;
  }
  ASSIGN_OR_RETURN(std::vector<v1::DiskDestination> destinations, Destinations(component, request));
  DiskRestorePlan plan{component, request, *tree, *details, std::move(destinations), {}};
  std::string below = "in the scratch folder";
  if (request.drill) {
    plan.target.set_scratch(request.run);
  } else {
    const std::string& root = request.options.disk().root();
    plan.target.set_root(root.empty() ? "/" : root);
    below = plan.target.root() == "/" ? "in their own place" : "below " + plan.target.root();
  }
  if (request.drill) fragment.scratch.push_back(ScratchFolder(request, tree->bytes()));
  fragment.steps.push_back(plan.TargetCheck());
  fragment.steps.push_back(plan.Restore());
  fragment.steps.push_back(plan.Verify());
  const auto& checks = request.to ? request.to->checks() : component.checks();
  if (!checks.empty()) fragment.steps.push_back(plan.Checks(checks));

  for (const v1::DiskDestination& one : plan.destinations) {
    if (!request.drill) {
      const std::string place = Below(plan.target.root(), one.destination());
      fragment.destinations.push_back(
          {"files", place, true, "files to " + place,
           "Declare paths in the target that do not lie in each other, or restore one component after another.",
           true});
    }
    const std::string place =
        one.path() == one.destination() ? below : fmt::format("which the target declares for {}", one.path());
    fragment.effects.push_back(MakeEffect(
        "create", "files " + one.destination(),
        fmt::format("{}, from a tree of {}", place,
                    DescribeArtifact(*tree, {HumanBytes(tree->bytes()),
                                             CountOf(CountIn(ContentsOf(*tree), "file"), "file")}))));
  }
  if (!request.drill) {
    fragment.effects.push_back(MakeEffect("check", "these paths",
                                          fmt::format("must be empty {}, or the restore is refused", below)));
  }
  return fragment;
}

}  // namespace salvor::strategies
