// How large what is planned may be. An action is stored, sent and written into an agent's journal as one piece; what would
// not fit is refused before anything is stored, in words that say what to make smaller. Pure.
#pragma once

#include <cstddef>
#include <optional>

#include "base/status.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/object.pb.h"
#include "strategies/interface/strategy.h"

namespace salvor::strategies {

inline constexpr size_t kMostActionBytes = 64 << 10;  // of one step

// ManifestCheck.manifest has at most this of a manifest; a larger one is given by its essentials (essentials_only).
inline constexpr size_t kMostManifestBytesToCheck = 48 << 10;

// ActionResult.manifest, which the control plane keeps, is one result and at most as large as those may be (4 MiB); some of
// it is left for what is only known when it is written: warnings, and files that could not be covered.
inline constexpr size_t kMostManifestBytes = 3 << 20;
inline constexpr size_t kManifestRoomPerArtifact = 512;

// InvalidArgument when the manifest that a backup would write is larger.
Status CheckManifestSize(const v1::ManifestWrite& write);

// InvalidArgument names every step whose action is too large, whose component it is, and what takes the room.
Status CheckSizes(const v1::Flow& flow);

// Whether the component could be backed up and then not be restored: each of its paths stands in a DiskRestore three times
// (where it was, and where it goes to), and all its checks in one ApplicationChecks. The field is what takes the room.
std::optional<FieldProblem> FindTooLarge(const v1::Component& component);

}  // namespace salvor::strategies
