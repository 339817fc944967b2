// The purpose of a step of a flow of 0.1, which did not say it.
#pragma once

#include <string_view>

#include "salvor/v1/flow.pb.h"

namespace salvor::flows {

// The purpose by the kind of the step's action, as the field is named in Action. Kinds that came later have none.
v1::Purpose PurposeOf01(std::string_view action_kind);

}  // namespace salvor::flows
