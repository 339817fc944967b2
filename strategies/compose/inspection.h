// The inspection is the part of a plan that only looks: it can be asked beforehand, and changes nothing. Pure.
#pragma once

#include "base/status.h"
#include "salvor/v1/flow.pb.h"

namespace salvor::strategies {

// Whether a step for this purpose may be in a run that only looks.
bool OnlyLooks(v1::Purpose purpose);

// The steps of the flow that look and need nothing that others make: the guardrails that it would ask first, and whether
// its manifest is there. Nobody waits long for the answer: a run of it is begun at once or given up. FailedPrecondition
// when there is nothing to look at.
StatusOr<v1::Flow> WhatOnlyLooks(const v1::Flow& flow);

}  // namespace salvor::strategies
