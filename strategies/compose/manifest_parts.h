// A manifest that is too large for the action that writes it. Pure.
#pragma once

#include <vector>

#include "salvor/v1/flow.pb.h"

namespace salvor::strategies {

// Moves what grows with the application out of the step that writes the manifest and into steps of their own, whose
// results that step goes on from: so it is as small however many components there are. None when it fits as it is.
std::vector<v1::Step> SplitManifest(v1::Step* write);

}  // namespace salvor::strategies
