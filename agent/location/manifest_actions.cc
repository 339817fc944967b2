#include "agent/location/manifest_actions.h"

#include <absl/time/clock.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <optional>
#include <set>

#include "agent/work/clean_up.h"
#include "base/redact.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

constexpr int kFormat = 1;
constexpr char kFileName[] = "manifest.json";
constexpr absl::Duration kLocksPatience = absl::Seconds(15);

StatusOr<std::string> ToJson(const v1::Manifest& manifest) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(manifest, &json, options);
  if (!status.ok()) return Internal("write the manifest as JSON: {}", status.ToString());
  return json;
}

constexpr size_t kLongestText = 4 << 10;

// All that is to be written: the action's own, and what stands in parts because it was too large.
v1::ManifestWrite WithParts(v1::ManifestWrite write, const v1::Task& task) {
  const std::map<std::string, v1::ActionResult> inputs(task.inputs().begin(), task.inputs().end());
  for (const auto& [step, result] : inputs) {
    const v1::ManifestPart& part = result.manifest_part();
    write.mutable_manifest()->mutable_components()->MergeFrom(part.components());
    write.mutable_manifest()->mutable_warnings()->MergeFrom(part.warnings());
    write.mutable_planned()->MergeFrom(part.planned());
  }
  return write;
}

bool IsPlanned(const v1::ManifestWrite& write, const std::string& component, const std::string& artifact) {
  return std::any_of(write.planned().begin(), write.planned().end(), [&](const v1::PlannedArtifact& planned) {
    return planned.component() == component && planned.artifact() == artifact;
  });
}

void AddMissing(v1::Manifest* manifest, const std::string& component, const std::string& title,
                const std::string& why) {
  v1::MissingArtifact* missing = manifest->add_missing();
  missing->set_component(component);
  missing->set_title(title);
  missing->set_why(why);
}

// What the input steps say they kept. What should be in the repository is believed when it is there; who has something
// kept elsewhere has looked itself. Steps in the order of their names. What several of them warn of, as of the one
// preflight that they go by, is said once.
void CollectArtifacts(const v1::Task& task, const v1::ManifestWrite& write,
                      const std::vector<ResticSnapshot>& snapshots, v1::Manifest* manifest) {
  const std::map<std::string, v1::ActionResult> inputs(task.inputs().begin(), task.inputs().end());
  std::set<std::string> warned;
  for (const auto& [step, result] : inputs) {
    for (const std::string& warning : result.warnings()) {
      if (warned.insert(warning).second) manifest->add_warnings(warning);
    }
    const bool is_of_a_capture = !result.velero().backup().empty();  // a preflight knows of none yet
    if (is_of_a_capture) *manifest->add_velero() = result.velero();
    for (const v1::MissingArtifact& missing : result.missing()) {  // what was planned is looked for below
      if (!IsPlanned(write, missing.component(), missing.artifact()))
        AddMissing(manifest, missing.component(), missing.title(), missing.why());
    }
    for (const v1::Artifact& artifact : result.artifacts()) {
      if (!IsInRepository(artifact)) {
        *manifest->add_artifacts() = artifact;
        continue;
      }
      const std::optional<std::string> id = Restic::FullId(snapshots, artifact.snapshot());
      if (id.has_value()) {
        *manifest->add_artifacts() = artifact;
        manifest->mutable_artifacts(manifest->artifacts_size() - 1)->set_snapshot(*id);
      } else if (!IsPlanned(write, artifact.component(), artifact.name())) {
        AddMissing(manifest, artifact.component(), artifact.name(),
                   fmt::format("snapshot {} is not in the repository", artifact.snapshot()));
      }
    }
  }
}

// Why something planned is not there, or not whole; empty when it is.
std::string WhyMissing(const v1::Task& task, const v1::PlannedArtifact& planned,
                       const v1::Manifest& manifest) {
  const bool present =
      std::any_of(manifest.artifacts().begin(), manifest.artifacts().end(), [&](const v1::Artifact& one) {
        return one.component() == planned.component() && one.name() == planned.artifact();
      });
  const auto input = task.inputs().find(planned.step());
  if (input == task.inputs().end()) return present ? "" : fmt::format("step {} did not run", planned.step());
  const v1::ActionResult& result = input->second;
  for (const v1::MissingArtifact& missing : result.missing()) {
    if (missing.component() == planned.component() && missing.artifact() == planned.artifact())
      return missing.why();
  }
  if (result.has_error()) {
    const std::string message = result.error().message().empty() ? "failed" : result.error().message();
    return present ? "kept in part: " + message : message;
  }
  if (present) return "";
  for (const v1::Artifact& artifact : result.artifacts()) {
    if (artifact.component() == planned.component() && artifact.name() == planned.artifact()) {
      return fmt::format("snapshot {} is not in the repository", artifact.snapshot());
    }
  }
  return fmt::format("step {} succeeded and kept nothing by this name", planned.step());
}

}  // namespace

StatusOr<v1::Manifest> ParseManifest(const std::string& json) {
  v1::Manifest manifest;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (!google::protobuf::util::JsonStringToMessage(json, &manifest, options).ok()) {
    return DataLoss("this is no manifest");
  }
  if (manifest.format() != kFormat) {
    return WithHint(
        DataLoss("the manifest has format {}, and this program knows {}", manifest.format(), kFormat),
        "Use a newer Salvor.");
  }
  return manifest;
}

StatusOr<v1::ActionResult> RunManifestPart(const v1::ManifestPart& part, ActionContext&) {
  v1::ActionResult result;
  *result.mutable_manifest_part() = part;
  return result;
}

StatusOr<v1::ActionResult> RunManifestWrite(const v1::ManifestWrite& action, ActionContext& context) {
  const v1::ManifestWrite write = WithParts(action, context.task);
  const Restic restic = context.Repository(write.location());
  const std::string& run =
      write.manifest().run().empty() ? context.task.lease().run() : write.manifest().run();
  ASSIGN_OR_RETURN_IN(const std::vector<ResticSnapshot> snapshots,
                      restic.Find({{"salvor", ""}, {"run", run}}), "list the run's snapshots");
  v1::ActionResult result;
  v1::Manifest manifest = write.manifest();
  manifest.set_format(kFormat);
  manifest.set_run(run);
  manifest.clear_artifacts();
  manifest.clear_missing();
  manifest.clear_velero();
  manifest.clear_snapshot();
  if (!manifest.has_created_at()) *manifest.mutable_created_at() = ToProto(absl::Now());
  CollectArtifacts(context.task, write, snapshots, &manifest);
  for (const v1::PlannedArtifact& planned : write.planned()) {
    const std::string why = WhyMissing(context.task, planned, manifest);
    if (!why.empty()) AddMissing(&manifest, planned.component(), planned.title(), why);
  }
  // As the report of this step will have them, or the stored manifest would differ from the control plane's.
  for (std::string& warning : *manifest.mutable_warnings()) warning = ReportableText(warning, kLongestText);
  for (v1::MissingArtifact& missing : *manifest.mutable_missing())
    missing.set_why(ReportableText(missing.why(), kLongestText));
  ASSIGN_OR_RETURN(const std::string json, ToJson(manifest));
  const std::map<std::string, std::string> tags = {
      {"salvor", ""}, {"kind", "manifest"}, {"backup", manifest.backup()}, {"run", run}};
  ASSIGN_OR_RETURN(const std::string stored, restic.StoreText(kFileName, json, tags));
  ASSIGN_OR_RETURN_IN(const std::vector<ResticSnapshot> manifests, restic.Find(tags), "list the manifest");
  const std::optional<std::string> id = Restic::FullId(manifests, stored);
  if (!id.has_value())
    return DataLoss("restic says that it made snapshot {}, and it is not in the repository", stored);
  manifest.set_snapshot(*id);

  // Whatever the run kept and the manifest does not name is an earlier attempt's.
  std::set<std::string> named;
  for (const v1::Artifact& artifact : manifest.artifacts()) named.insert(artifact.snapshot());
  std::vector<std::string> left;
  for (const ResticSnapshot& snapshot : snapshots) {
    if (named.count(snapshot.id) == 0) left.push_back(snapshot.id);
  }
  *result.mutable_manifest() = std::move(manifest);
  const Status forgotten = ForgetIfPossible(restic, left);
  if (!forgotten.ok()) result.add_warnings("leftovers of earlier attempts stay: " + MessageOf(forgotten));
  // The backup is made, so this is no attempt that is cleaned up after; restic leaves its lock when it is stopped.
  if (!forgotten.ok() && context.stop.stop_requested())
    (void)RemoveOwnLocks(context.task, context.config, context.tools, kLocksPatience);
  return result;
}

namespace {

// The parts that a large manifest's check is not given are not compared.
void ReduceToEssentials(const v1::Manifest& known, v1::Manifest* stored) {
  stored->clear_components();
  stored->clear_missing();
  stored->clear_warnings();
  const int artifacts = std::min(known.artifacts_size(), stored->artifacts_size());
  stored->mutable_artifacts()->DeleteSubrange(artifacts, stored->artifacts_size() - artifacts);
  for (int i = 0; i < artifacts; ++i) {
    if (!known.artifacts(i).has_coverage()) stored->mutable_artifacts(i)->clear_coverage();
  }
}

// An agent of 0.1 that writes the manifest loses what a newer one said of an artifact beside the fields that 0.1 knows.
// Those repeat it, and are compared.
void CompareWhatBothSay(v1::Manifest* one, v1::Manifest* other) {
  for (int i = 0; i < std::min(one->artifacts_size(), other->artifacts_size()); ++i) {
    v1::Artifact* artifact = one->mutable_artifacts(i);
    v1::Artifact* same = other->mutable_artifacts(i);
    if (artifact->has_contents() && same->has_contents()) continue;
    for (v1::Artifact* said : {artifact, same}) {
      said->clear_contents();
      said->clear_facts();
    }
  }
}

// How one differs from the other, as text; empty when it does not. Where it is kept is not part of it.
std::string Differences(v1::Manifest stored, v1::Manifest known, bool essentials_only) {
  if (essentials_only) ReduceToEssentials(known, &stored);
  stored.clear_snapshot();
  known.clear_snapshot();
  known.DiscardUnknownFields();  // a newer control plane's: JSON has not kept them
  CompareWhatBothSay(&known, &stored);
  std::string differences;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&differences);
  (void)differencer.Compare(known, stored);
  return std::string(Trim(differences));
}

class ManifestChecker {
 public:
  ManifestChecker(const v1::ManifestCheck& check, const Restic& restic, v1::ActionResult& result)
      : check_(check), restic_(restic), result_(result) {}

  Status Run() {
    const v1::Manifest& manifest = check_.manifest();
    ASSIGN_OR_RETURN_IN(snapshots_, restic_.Find({{"salvor", ""}, {"run", manifest.run()}}),
                        "list the backup's snapshots");
    RETURN_IF_ERROR(CheckText());
    for (const v1::Artifact& artifact : manifest.artifacts()) {
      if (IsAskedFor(artifact) && IsInRepository(artifact)) RETURN_IF_ERROR(CheckArtifact(artifact));
    }
    if (result_.checks_size() == 0) {
      Add("", manifest.backup(), v1::Check::VERDICT_PASSED, Passed());
    }
    return OkStatus();
  }

 private:
  std::string Passed() const {
    std::string text = fmt::format(
        "the manifest in the Location is the one the control plane knows, and all {} snapshots that it names are "
        "there",
        std::count_if(check_.manifest().artifacts().begin(), check_.manifest().artifacts().end(),
                      [](const v1::Artifact& one) { return IsInRepository(one); }) +
            check_.artifacts_left_out());
    if (check_.artifacts_left_out() > 0) {
      text += fmt::format(
          "; it is too large to be compared as a whole: its last {} artifacts by their snapshots only",
          check_.artifacts_left_out());
    }
    return text;
  }

  bool IsAskedFor(const v1::Artifact& artifact) const {
    return check_.components().empty() || std::find(check_.components().begin(), check_.components().end(),
                                                    artifact.component()) != check_.components().end();
  }

  void Add(const std::string& component, const std::string& subject, v1::Check::Verdict verdict,
           const std::string& compared) {
    v1::Check* check = result_.add_checks();
    check->set_component(component);
    check->set_kind("manifest");
    check->set_subject(subject);
    check->set_verdict(verdict);
    check->set_compared(Elide(compared, kLongestText));
  }
  void Fail(const std::string& component, const std::string& subject, const std::string& compared) {
    Add(component, subject, v1::Check::VERDICT_FAILED, compared);
  }

  // Lists leave out what restic cannot read, so what is not listed is asked for by name.
  StatusOr<bool> IsThere(const std::string& snapshot, std::string* why) {
    for (const ResticSnapshot& one : snapshots_) {
      if (one.id == snapshot) return true;
    }
    const Status status = restic_.CheckSnapshot(snapshot);
    if (status.code() != absl::StatusCode::kDataLoss) {
      RETURN_IF_ERROR(status);
      *why = "it is there, and does not carry the tags of this run";
      return false;
    }
    *why = MessageOf(status);
    return false;
  }

  // The manifest's own snapshot. Older backups do not say which it is.
  std::string SnapshotOfManifest() const {
    if (!check_.manifest().snapshot().empty()) return check_.manifest().snapshot();
    for (auto one = snapshots_.rbegin(); one != snapshots_.rend(); ++one) {
      const auto kind = one->tags.find("kind");
      if (kind != one->tags.end() && kind->second == "manifest") return one->id;
    }
    return "";
  }

  Status CheckText() {
    const std::string& backup = check_.manifest().backup();
    const std::string snapshot = SnapshotOfManifest();
    if (snapshot.empty()) {
      Fail("", backup, "the Location holds no manifest of this backup");
      return OkStatus();
    }
    std::string why;
    ASSIGN_OR_RETURN(const bool there, IsThere(snapshot, &why));
    if (!there) {
      Fail("", backup,
           fmt::format("the Location does not hold the manifest, snapshot {}: {}", snapshot, why));
      return OkStatus();
    }
    v1::Artifact text;
    text.set_name(kFileName);
    text.set_snapshot(snapshot);
    text.set_path(Restic::StdinPath(kFileName));
    const StatusOr<std::string> json = restic_.LoadText(text);
    if (!json.ok() && json.status().code() != absl::StatusCode::kDataLoss) return json.status();
    const StatusOr<v1::Manifest> stored = json.ok() ? ParseManifest(*json) : json.status();
    if (!stored.ok()) {
      Fail("", backup, fmt::format("the manifest in snapshot {}: {}", snapshot, MessageOf(stored.status())));
      return OkStatus();
    }
    RETURN_IF_ERROR(CheckLeftOut(*stored));
    const std::string differences = Differences(*stored, check_.manifest(), check_.essentials_only());
    if (!differences.empty()) {
      Fail("", backup,
           fmt::format("the manifest in the Location is not the one the control plane knows: {}",
                       differences));
    }
    return OkStatus();
  }

  // Looks for the artifacts of a manifest that was too large to be given as a whole, by the stored one's word.
  Status CheckLeftOut(const v1::Manifest& stored) {
    if (check_.artifacts_left_out() == 0) return OkStatus();
    const int given = check_.manifest().artifacts_size();
    const int64_t all = given + check_.artifacts_left_out();
    if (stored.artifacts_size() != all) {
      Fail("", check_.manifest().backup(),
           fmt::format("the manifest in the Location names {} artifacts, the control plane knows {}",
                       stored.artifacts_size(), all));
    }
    for (int i = given; i < stored.artifacts_size(); ++i) {
      const v1::Artifact& artifact = stored.artifacts(i);
      if (IsAskedFor(artifact) && IsInRepository(artifact)) RETURN_IF_ERROR(CheckArtifact(artifact));
    }
    return OkStatus();
  }

  Status CheckArtifact(const v1::Artifact& artifact) {
    std::string why;
    ASSIGN_OR_RETURN(const bool there, IsThere(artifact.snapshot(), &why));
    if (!there) {
      Fail(artifact.component(), artifact.name(),
           fmt::format("the Location does not hold it, snapshot {}: {}", artifact.snapshot(), why));
    }
    return OkStatus();
  }

  static constexpr size_t kLongestText = 2000;
  const v1::ManifestCheck& check_;
  const Restic& restic_;
  v1::ActionResult& result_;
  std::vector<ResticSnapshot> snapshots_;
};

}  // namespace

StatusOr<v1::ActionResult> RunManifestCheck(const v1::ManifestCheck& check, ActionContext& context) {
  const Restic restic = context.Repository(check.location());
  v1::ActionResult result;
  RETURN_IF_ERROR(ManifestChecker(check, restic, result).Run());
  return result;
}

}  // namespace salvor::agent
