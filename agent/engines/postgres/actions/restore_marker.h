// How a database shows that a restore has not finished it.
#pragma once

#include <string>

namespace salvor::agent {

// Its comment until everything is in place.
inline std::string RestoreMarker(const std::string& run) {
  return "salvor restore " + run + ", not finished";
}

}  // namespace salvor::agent
