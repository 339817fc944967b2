#include "strategies/compose/manifest_check.h"

#include <utility>

#include "strategies/compose/sizes.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kCheckTimeout_s = 600;

// Keeps what the manifest says of itself and of as many artifacts as fit.
void KeepEssentials(v1::ManifestCheck* check) {
  const v1::Manifest whole = check->manifest();
  check->set_essentials_only(true);
  v1::Manifest* lean = check->mutable_manifest();
  lean->clear_components();
  lean->clear_missing();
  lean->clear_warnings();
  lean->clear_artifacts();
  size_t bytes = lean->ByteSizeLong();
  for (const v1::Artifact& artifact : whole.artifacts()) {
    v1::Artifact one = ForAction(artifact);
    bytes += one.ByteSizeLong() + 8;
    if (bytes > kMostManifestBytesToCheck) break;
    *lean->add_artifacts() = std::move(one);
  }
  check->set_artifacts_left_out(whole.artifacts_size() - lean->artifacts_size());
}

}  // namespace

v1::Step CheckManifest(const RestoreRequest& request, const std::vector<std::string>& components) {
  v1::Step step = MakeStep(kManifestCheck, v1::PURPOSE_VERIFY, "", "check manifest");
  v1::ManifestCheck* check = step.mutable_action()->mutable_manifest_check();
  *check->mutable_location() = request.location;
  *check->mutable_manifest() = request.recorded != nullptr ? *request.recorded : *request.manifest;
  for (const std::string& component : components) check->add_components(component);
  if (check->manifest().ByteSizeLong() > kMostManifestBytesToCheck) KeepEssentials(check);
  After(&step, kLocationOpen);
  UseLocation(&step, request.location);
  Retry(&step, 3, 2, 30);
  SetAttemptTimeout(&step, kCheckTimeout_s);
  return step;
}

}  // namespace salvor::strategies
