#include "agent/location/forget_action.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "agent/location/location_actions.h"
#include "agent/location/manifest_actions.h"
#include "agent/restic/restic_errors.h"

namespace salvor::agent {
namespace {

std::string TagOf(const ResticSnapshot& snapshot, const char* name) {
  const auto found = snapshot.tags.find(name);
  return found == snapshot.tags.end() ? "" : found->second;
}

std::string Snapshots(size_t number) { return fmt::format("{} snapshot{}", number, number == 1 ? "" : "s"); }

class LocationForgetRun {
 public:
  LocationForgetRun(const v1::LocationForget& action, ActionContext& context)
      : action_(action), context_(context), restic_(context.Repository(action.location())) {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(CheckWritable(action_.location()));
    RETURN_IF_ERROR(Look());
    RETURN_IF_ERROR(CheckManifests());
    RETURN_IF_ERROR(AwaitExclusiveLocks(restic_, context_, &result_));
    Status status = restic_.Forget(manifests_);
    if (status.ok()) status = restic_.Forget(others_);
    // What restic says last counts for nothing where the repository has none of it any more.
    const Status gone = CheckGone();
    if (!gone.ok()) *result_.mutable_error() = ToError(status.ok() || is_unknown_ ? gone : status);
    return std::move(result_);
  }

 private:
  bool IsOurs(const ResticSnapshot& snapshot) const {
    if (snapshot.tags.count("salvor") == 0 || TagOf(snapshot, "backup") != action_.backup()) return false;
    return TagOf(snapshot, "run") == action_.run() || TagOf(snapshot, "kind") == "verification";
  }

  // What there is of the backup.
  Status Look() {
    ASSIGN_OR_RETURN_IN(const std::vector<std::string> there, restic_.ListSnapshotIds(),
                        "list the repository's snapshots");
    ASSIGN_OR_RETURN_IN(const std::vector<ResticSnapshot> readable, restic_.Find({}),
                        "list the repository's snapshots");
    const std::set<std::string> recorded(action_.snapshots().begin(), action_.snapshots().end());
    for (const ResticSnapshot& snapshot : readable) {
      if (IsOurs(snapshot)) {
        (TagOf(snapshot, "kind") == "manifest" ? manifests_ : others_).push_back(snapshot.id);
        concerned_.insert(snapshot.id);
      } else if (recorded.count(snapshot.id) > 0) {
        return WithHint(
            FailedPrecondition("snapshot {}, which the backup's record names, does not carry its tags",
                               snapshot.id.substr(0, 8)),
            "Salvor forgets only what it made for this backup. Nothing was forgotten.");
      }
    }
    const std::set<std::string> all(there.begin(), there.end());
    for (const std::string& id : recorded) {
      if (all.count(id) > 0) {
        concerned_.insert(id);  // also one that can't be read, which restic does not forget
      } else {
        result_.mutable_deletion()->set_already_gone(result_.deletion().already_gone() + 1);
      }
    }
    return OkStatus();
  }

  // The environment that wrote them is this one's business alone; one that can't be read says nothing against it.
  Status CheckManifests() {
    for (const std::string& id : manifests_) {
      v1::Artifact text;
      text.set_name("manifest.json");
      text.set_snapshot(id);
      text.set_path(Restic::StdinPath("manifest.json"));
      const StatusOr<std::string> json = restic_.LoadText(text);
      const StatusOr<v1::Manifest> manifest =
          json.ok() ? ParseManifest(*json) : StatusOr<v1::Manifest>(json.status());
      if (manifest.status().code() == absl::StatusCode::kDataLoss) {
        result_.add_warnings("the manifest could not be read before it was forgotten: " +
                             MessageOf(manifest.status()));
        continue;
      }
      RETURN_IF_ERROR(manifest.status());
      if (manifest->environment().empty() || manifest->environment() == action_.environment()) continue;
      return WithHint(FailedPrecondition("backup {} was made by environment {}, and this is {}",
                                         action_.backup(), manifest->environment(), action_.environment()),
                      "Whoever made a backup deletes it. Nothing was forgotten.");
    }
    return OkStatus();
  }

  // Asks the repository once more, whatever restic said.
  Status CheckGone() {
    const std::string where = "in the repository " + WithoutCredentials(restic_.Location().repository());
    v1::DeletionReport& report = *result_.mutable_deletion();
    const StatusOr<std::vector<std::string>> there = restic_.ListSnapshotIds();
    if (!there.ok()) {
      if (!concerned_.empty())
        report.add_left(fmt::format("up to {} {}", Snapshots(concerned_.size()), where));
      is_unknown_ = true;
      if (context_.stop.stop_requested()) return Cancelled("stopped on request");
      // Never a refusal: that would say that nothing went.
      return WithHint(Unavailable("it is not known which snapshots are gone: {}", MessageOf(there.status())),
                      HintOf(there.status()));
    }
    std::vector<std::string> left;
    for (const std::string& id : *there) {
      if (concerned_.count(id) > 0) left.push_back(id);
    }
    report.set_removed(static_cast<int64_t>(concerned_.size() - left.size()));
    if (left.empty()) {
      std::string note = "forgot " + Snapshots(concerned_.size());
      if (report.already_gone() > 0) note += fmt::format(", {} were gone already", report.already_gone());
      result_.set_note(note + "; their space comes back when the repository is pruned");
      return OkStatus();
    }
    report.add_left(fmt::format("{} {}, {} the first", Snapshots(left.size()), where, left[0].substr(0, 8)));
    return WithHint(
        DataLoss("restic has not forgotten {}, snapshot {} the first", Snapshots(left.size()),
                 left[0].substr(0, 8)),
        "One that can't be read is not forgotten by restic: `restic check` says what is wrong with it. "
        "Mend or remove it by hand, then delete the backup again.");
  }

  const v1::LocationForget& action_;
  ActionContext& context_;
  const Restic restic_;
  std::vector<std::string> manifests_, others_;
  std::set<std::string> concerned_;  // of the backup, and there before
  bool is_unknown_ = false;          // what is there could not be looked at afterwards
  v1::ActionResult result_;
};

}  // namespace

StatusOr<v1::ActionResult> RunLocationForget(const v1::LocationForget& action, ActionContext& context) {
  return LocationForgetRun(action, context).Run();
}

}  // namespace salvor::agent
