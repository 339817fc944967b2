// Looks up, on this host, what a drill's isolation has to keep away, and reads what the probe inside says of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace salvor::agent {

// Arguments of `salvor-supervise --probe`: every listening socket of this host, addresses and a route, homes,
// folders that processes work in, the agent's own state, places to write, and our namespaces. What lies below
// `own_directory` is the drill's own and left out. Bounded; the same thing is tried once.
std::vector<std::string> ProbeArguments(const std::string& state_directory, const std::string& own_directory);

struct ProbeReport {
  int tried = 0;
  std::vector<std::string> reached;  // "socket /run/postgresql/.s.PGSQL.5432", "a route to 192.0.2.1"
};

// Reads what the probe wrote to its stdout. Internal when it did not come to its end.
StatusOr<ProbeReport> ParseProbe(std::string_view output);

}  // namespace salvor::agent
