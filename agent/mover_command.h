// "salvor-agent mover": the program of a mover's pod. Its options are those of the pod template (deploy/kubernetes/mover.yaml)
// and, last, the executor's: whose Job it is, and what to do.
#pragma once

#include <string>

namespace salvor::agent {

// argv[0] is "mover". The exit code: 0 when the action succeeded.
int MoverCommand(int argc, char** argv, const std::string& supervisor);

}  // namespace salvor::agent
