#include "agent/location/verification_actions.h"

#include <absl/time/clock.h>
#include <google/protobuf/util/json_util.h>

#include <optional>

#include "agent/location/location_actions.h"
#include "agent/work/clean_up.h"
#include "base/io/sha256.h"
#include "base/text.h"
#include "proto/time.h"
#include "salvor/v1/run.pb.h"
#include "strategies/verdicts/verdict.h"

namespace salvor::agent {
namespace {

constexpr int kFormat = 1;
constexpr int kMostNotPassed = 100;
constexpr char kFileName[] = "verification.json";
constexpr char kManifestFileName[] = "manifest.json";

StatusOr<std::string> ToJson(const v1::KeptVerification& kept) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(kept, &json, options);
  if (!status.ok()) return Internal("write the verification as JSON: {}", status.ToString());
  return json;
}

// Names the manifest that the drill is about. One that is not there or damaged is what the drill found, and no error.
Status NameManifest(const v1::VerificationWrite& action, const Restic& restic, v1::KeptVerification* kept) {
  std::string snapshot = action.manifest_snapshot();
  if (snapshot.empty()) {
    ASSIGN_OR_RETURN_IN(const std::vector<ResticSnapshot> manifests,
                        restic.Find({{"salvor", ""}, {"kind", "manifest"}, {"run", action.manifest_run()}}),
                        "look for the manifest");
    if (manifests.empty()) return OkStatus();
    snapshot = manifests.back().id;
  }
  kept->set_manifest_snapshot(snapshot);
  v1::Artifact text;
  text.set_name(kManifestFileName);
  text.set_snapshot(snapshot);
  text.set_path(Restic::StdinPath(kManifestFileName));
  const StatusOr<std::string> manifest = restic.LoadText(text);
  if (manifest.ok()) kept->set_manifest_sha256(ToHex(Sha256::Of(*manifest)));
  if (!manifest.ok() && manifest.status().code() != absl::StatusCode::kDataLoss)
    return WithContext(manifest.status(), "read the manifest");
  return OkStatus();
}

// Those that failed come first: they disprove, and there is not room for all.
void NameWhatDidNotPass(const std::map<std::string, v1::ActionResult>& results, v1::KeptVerification* kept) {
  for (const bool failed : {true, false}) {
    for (const auto& [step, result] : results) {
      for (const v1::Check& check : result.checks()) {
        if (check.verdict() == v1::Check::VERDICT_PASSED) continue;
        if ((check.verdict() == v1::Check::VERDICT_FAILED) != failed) continue;
        if (kept->not_passed_size() < kMostNotPassed) {
          *kept->add_not_passed() = check;
        } else {
          kept->set_not_passed_left_out(kept->not_passed_left_out() + 1);
        }
      }
    }
  }
}

}  // namespace

StatusOr<v1::ActionResult> RunVerificationWrite(const v1::VerificationWrite& action, ActionContext& context) {
  const v1::ArtifactTarget& target = action.target();
  const std::map<std::string, v1::ActionResult> results(context.task.inputs().begin(),
                                                        context.task.inputs().end());
  v1::ActionResult result;
  std::optional<v1::Verification> finding = verdicts::FindingOf(
      verdicts::DrillSoFar(context.task.lease().run(), target.backup(), results), action.not_provable());
  if (!finding.has_value()) {
    result.set_note("the drill found nothing about the backup, so nothing is kept beside it");
    return result;
  }
  *finding->mutable_at() = ToProto(absl::Now());
  const std::string_view word = verdicts::WordOf(finding->verdict());

  RETURN_IF_ERROR(CheckWritable(target.location()));
  const Restic restic = context.Repository(target.location());
  RETURN_IF_ERROR(AwaitExclusiveLocks(restic, context, &result));
  RETURN_IF_ERROR(ForgetEarlierAttempts(context, {target}));
  v1::KeptVerification kept;
  kept.set_format(kFormat);
  *kept.mutable_verification() = *std::move(finding);
  kept.set_application(action.application());
  kept.set_environment(action.environment());
  RETURN_IF_ERROR(NameManifest(action, restic, &kept));
  NameWhatDidNotPass(results, &kept);

  std::map<std::string, std::string> tags = context.Tags(target);
  tags["kind"] = "verification";
  ASSIGN_OR_RETURN(const std::string json, ToJson(kept));
  ASSIGN_OR_RETURN(const std::string stored, restic.StoreText(kFileName, json, tags));
  ASSIGN_OR_RETURN_IN(const std::vector<ResticSnapshot> found, restic.Find(tags), "list the verification");
  const std::optional<std::string> id = Restic::FullId(found, stored);
  if (!id.has_value())
    return DataLoss("restic says that it made snapshot {}, and it is not in the repository", stored);
  result.set_note(fmt::format("{}: kept beside the manifest as snapshot {}", word, id->substr(0, 8)));
  return result;
}

}  // namespace salvor::agent
