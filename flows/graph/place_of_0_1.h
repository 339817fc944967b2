// The place of a step in a flow of 0.1, which named none.
#pragma once

#include "salvor/v1/flow.pb.h"

namespace salvor::flows {

// Its environment is empty: the run's. Steps that move share one place, and those that do not another.
v1::Place PlaceOf01(const v1::Step& step);

}  // namespace salvor::flows
