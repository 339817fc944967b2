// The last step of a drill: what it found is kept beside the manifest. Pure.
#pragma once

#include "salvor/v1/flow.pb.h"
#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// verification.write, for a flow that has all other steps of the drill, clean-up included. It runs whatever became of them
// once the Location could be opened, and goes on from all their results: what it keeps says what the control plane will.
v1::Step WriteVerification(const RestoreRequest& drill, const v1::Flow& flow);

}  // namespace salvor::strategies
