// Runs an exec's command on this machine, so that tests of Exec have real processes behind them. Tests only.
#pragma once

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

// For FakeKubernetes::OnExec. The container's name is of no meaning.
StatusOr<int> RunLocally(const ExecCommand& command, const Call& call);

}  // namespace salvor::kubernetes
