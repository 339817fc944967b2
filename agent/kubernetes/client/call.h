// A call's limits while it waits.
#pragma once

#include <string_view>

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

// kCancelled when the call was stopped, kDeadlineExceeded when its time is over.
Status CheckCall(const Call& call, std::string_view what);

// Waits that long, or until one of the two; then says which.
Status Pause(const Call& call, absl::Duration duration, std::string_view what);

// 0..1, from the system's random source.
double Jitter();

}  // namespace salvor::kubernetes
