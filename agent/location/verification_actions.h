// The verification by a drill is kept beside the manifest: proof that survives the control plane.
#pragma once

#include "agent/work/action.h"

namespace salvor::agent {

// Judges the drill by the results of its steps, as the control plane will, and stores that as a snapshot of its own (tags
// salvor, kind=verification, backup=…, run=… and artifact=verification; one file, /verification.json, of
// KeptVerification), with the digest of the manifest that it is about. Keeps nothing, and says so in its note, where the
// drill found nothing: it could not be made. What an earlier attempt kept is replaced.
StatusOr<v1::ActionResult> RunVerificationWrite(const v1::VerificationWrite& action, ActionContext& context);

}  // namespace salvor::agent
