// The manifest: written last, names everything a run kept, and makes it a backup.
#pragma once

#include <string>

#include "agent/work/action.h"

namespace salvor::agent {

// Collects the artifacts of the input steps, looks in the repository whether each is really there, and stores
// the manifest as a snapshot of its own (tags salvor, kind=manifest, backup=…, run=…; one file,
// /manifest.json). Whatever was planned and is not there, or only in part, stands in `missing` with the
// reason. The result's manifest has its snapshot's id; manifests of earlier attempts of the run go.
StatusOr<v1::ActionResult> RunManifestWrite(const v1::ManifestWrite& action, ActionContext& context);

// Answers with its part, for the step that writes the manifest.
StatusOr<v1::ActionResult> RunManifestPart(const v1::ManifestPart& action, ActionContext& context);

// Reads the manifest from the Location, as who has nothing else would, and compares it with the control
// plane's copy; looks for each snapshot that it names. Checks of kind "manifest": failed for a manifest that is
// not there, is none, or differs, and for each artifact whose snapshot is not there or cannot be read; passed
// once when all is well. An error is about the way there (the repository does not answer), never a finding.
StatusOr<v1::ActionResult> RunManifestCheck(const v1::ManifestCheck& action, ActionContext& context);

// Reads a manifest back. DataLoss when it is none, or of a format we do not know.
StatusOr<v1::Manifest> ParseManifest(const std::string& json);

}  // namespace salvor::agent
