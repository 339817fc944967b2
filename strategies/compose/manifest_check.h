// The step with which every restore and drill begins. Pure.
#pragma once

#include <string>
#include <vector>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

inline constexpr char kLocationOpen[] = "location.open";  // it comes after that
inline constexpr char kManifestCheck[] = "manifest.check";

// Whatever is restored, be it to look or to use: it begins with what a stranger would begin with. `components`: whose
// snapshots are looked for; all when empty.
v1::Step CheckManifest(const RestoreRequest& request, const std::vector<std::string>& components);

}  // namespace salvor::strategies
