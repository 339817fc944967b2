// The options that a person gives to the restore of each component. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

using OptionsByComponent = std::map<std::string, v1::RestoreOptions>;

// The options of each component of `manifest` that is restored, which are those in `chosen` (empty: all): what `asked`
// has for all components of its kind, and laid over that what it has for the component by name. They are valid; else
// InvalidArgument with all problems, each at its place: "options.files.disk.root: …".
StatusOr<OptionsByComponent> ResolveRestoreOptions(const StrategyRegistry& strategies,
                                                   const v1::CreateRestoreRequest& asked,
                                                   const v1::Manifest& manifest,
                                                   const std::vector<std::string>& chosen);

}  // namespace salvor::strategies
