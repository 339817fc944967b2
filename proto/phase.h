// The phases that are the last of a run. Header-only and pure.
#pragma once

#include "salvor/v1/run.pb.h"

namespace salvor {

inline bool IsOver(v1::RunPhase phase) {
  return phase == v1::RUN_PHASE_SUCCEEDED || phase == v1::RUN_PHASE_FAILED ||
         phase == v1::RUN_PHASE_CANCELLED;
}

// Nothing of it goes on: it is over, or a person has to give it up.
inline bool IsAtRest(v1::RunPhase phase) { return IsOver(phase) || phase == v1::RUN_PHASE_QUARANTINED; }

}  // namespace salvor
