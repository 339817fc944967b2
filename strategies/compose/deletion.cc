#include "strategies/compose/deletion.h"

#include <absl/time/time.h>
#include <fmt/core.h>

#include <set>
#include <utility>
#include <vector>

#include "base/text.h"
#include "flows/graph/graces.h"
#include "proto/artifact.h"
#include "proto/time.h"
#include "strategies/compose/places.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr char kForget[] = "location.forget", kCheckVolumes[] = "volumes.check";
constexpr int kForgetTimeout_s = 3600, kCheckTimeout_s = 300;
// Velero deletes what several Backups kept one after the other, and waits for its storage meanwhile.
constexpr int kDeleteTimeout_s = 6 * 3600;
constexpr int kMostSnapshots = 700;  // of 64 digits each, so that the action has room

// What the record names in the repository, the manifest first; each once.
std::vector<std::string> SnapshotsOf(const v1::Manifest& manifest) {
  std::vector<std::string> ids;
  std::set<std::string> known;
  const auto add = [&](const std::string& id) {
    if (!id.empty() && known.insert(id).second) ids.push_back(id);
  };
  add(manifest.snapshot());
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (IsInRepository(artifact)) add(artifact.snapshot());
  }
  return ids;
}

std::set<std::string> VeleroBackupsOf(const v1::Manifest& manifest) {
  std::set<std::string> names;
  for (const v1::VeleroReport& report : manifest.velero()) names.insert(report.backup());
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (artifact.has_velero()) names.insert(artifact.velero().backup());
  }
  names.erase("");
  return names;
}

const std::string& RunOf(const v1::Backup& backup) {
  return backup.run().empty() ? backup.manifest().run() : backup.run();
}

v1::Step Forget(const DeletionRequest& request, const std::vector<std::string>& snapshots) {
  v1::Step step = MakeStep(kForget, v1::PURPOSE_DELETE, "", "forget snapshots");
  v1::LocationForget* forget = step.mutable_action()->mutable_location_forget();
  *forget->mutable_location() = request.location;
  forget->set_backup(request.backup->name());
  forget->set_run(RunOf(*request.backup));
  forget->set_environment(request.backup->environment());
  for (const std::string& id : snapshots) {
    if (forget->snapshots_size() < kMostSnapshots) {
      forget->add_snapshots(id);
    } else {
      forget->set_snapshots_left_out(forget->snapshots_left_out() + 1);
    }
  }
  // restic forgets under a lock that excludes every other restic, so it waits here, where that is seen.
  UseLocation(&step, request.location);
  step.mutable_keys(step.keys_size() - 1)->set_exclusive(true);
  Retry(&step, 10, 5, 120);
  SetAttemptTimeout(&step, kForgetTimeout_s);
  return step;
}

v1::Step DeleteVolumes(const DeletionRequest& request, const std::set<std::string>& names) {
  v1::Step step = MakeStep("volumes.delete", v1::PURPOSE_DELETE, "", "delete Velero's backups");
  v1::VeleroDelete* deletion = step.mutable_action()->mutable_velero_delete();
  *deletion->mutable_cluster() = *request.cluster;
  deletion->set_run(RunOf(*request.backup));
  for (const std::string& name : names) deletion->add_expected(name);
  deletion->set_environment(request.backup->environment());
  After(&step, kForget);
  // Restores have this Velero for themselves (strategies/volumes).
  UseKey(&step, "velero:" + request.backup->environment(), 0, "this cluster's Velero");
  Retry(&step, 4, 10, 120);
  SetAttemptTimeout(&step, kDeleteTimeout_s);
  return step;
}

// All that DeleteVolumes would refuse, while nothing is gone yet.
v1::Step CheckVolumes(const v1::Step& deletion) {
  v1::Step step = deletion;
  step.set_id(kCheckVolumes);
  step.set_purpose(v1::PURPOSE_GUARD);
  step.set_title("ask whether Velero's backups may go");
  step.clear_after();
  step.mutable_action()->mutable_velero_delete()->set_only_check(true);
  SetAttemptTimeout(&step, kCheckTimeout_s);
  return step;
}

std::string Describe(const v1::Backup& backup) {
  int64_t bytes = 0;
  for (const v1::Artifact& artifact : backup.manifest().artifacts()) bytes += artifact.bytes();
  std::string text = fmt::format("of {}, {}, {}", backup.application(),
                                 CountOf(backup.manifest().artifacts_size(), "artifact"), HumanBytes(bytes));
  if (backup.has_created_at())
    text += ", made " +
            absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", FromProto(backup.created_at()), absl::UTCTimeZone());
  if (backup.verification() == v1::Backup::VERIFICATION_PROVEN) text += ", proven by " + backup.proven_by();
  if (!backup.has_manifest()) text += "; it kept nothing, and what its run left goes";
  return text;
}

std::string DescribeVolumes(const v1::Manifest& manifest, const std::string& name) {
  int64_t bytes = 0, volumes = 0;
  std::set<std::string> namespaces;
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (!artifact.has_velero() || artifact.velero().backup() != name) continue;
    ++volumes;
    bytes += artifact.bytes();
    namespaces.insert(artifact.velero().namespace_());
  }
  for (const v1::VeleroReport& report : manifest.velero()) {
    if (report.backup() == name) namespaces.insert(report.namespaces().begin(), report.namespaces().end());
  }
  return fmt::format("of namespace {}: its objects, and {} with the snapshots they stand on, {}",
                     Join({namespaces.begin(), namespaces.end()}, ", "), CountOf(volumes, "volume"),
                     HumanBytes(bytes));
}

}  // namespace

StatusOr<BackupPlan> CompileDeletion(const DeletionRequest& request) {
  const v1::Backup& backup = *request.backup;
  if (RunOf(backup).empty())
    return FailedPrecondition("the record of backup {} does not say which run made it", backup.name());
  const std::vector<std::string> snapshots = SnapshotsOf(backup.manifest());
  const std::set<std::string> names = VeleroBackupsOf(backup.manifest());
  if (!names.empty() && !request.cluster.has_value()) {
    return WithHint(FailedPrecondition("backup {} is of a cluster, and environment {} is none any more",
                                       backup.name(), backup.environment()),
                    "Declare the environment as it was, then delete the backup.");
  }
  BackupPlan plan;
  plan.effects.push_back(MakeEffect("delete", "backup " + backup.name(), Describe(backup)));
  plan.effects.push_back(
      MakeEffect("delete", CountOf(static_cast<int64_t>(snapshots.size()), "snapshot"),
                 fmt::format("in location {}, and the verifications beside them", backup.location())));
  v1::Step forget = Forget(request, snapshots);
  if (request.cluster.has_value()) {
    const v1::Step volumes = DeleteVolumes(request, names);
    After(&forget, kCheckVolumes);
    *plan.flow.add_steps() = CheckVolumes(volumes);
    *plan.flow.add_steps() = std::move(forget);
    *plan.flow.add_steps() = volumes;
  } else {
    *plan.flow.add_steps() = std::move(forget);
  }
  for (const std::string& name : names) {
    plan.effects.push_back(
        MakeEffect("delete", "Velero's Backup " + name, DescribeVolumes(backup.manifest(), name)));
  }
  plan.effects.push_back(MakeEffect("keep", "record of the backup", "as deleted, with who and when"));
  plan.effects.push_back(
      MakeEffect("keep", "space in the repository", "until it is pruned, which this does not do"));
  std::vector<std::string> hosts;
  for (const v1::Component& component : backup.manifest().components()) hosts.push_back(component.host());
  const std::string main_host = Places(backup.environment(), hosts).MainHost();
  const Places places = request.cluster.has_value() ? Places::OfCluster(backup.environment())
                                                    : Places(backup.environment(), {main_host});
  places.Close(&plan.flow);
  *plan.flow.mutable_graces() = flows::DefaultGraces();
  RETURN_IF_ERROR(ValidateFlow(plan.flow, v1::RUN_KIND_DELETE));
  return plan;
}

}  // namespace salvor::strategies
