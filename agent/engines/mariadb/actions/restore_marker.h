// The comment of a database that is being restored, by which a retry of the same run knows its own.
#pragma once

#include <string>

namespace salvor::agent {

inline std::string MariadbRestoreMarker(const std::string& run) { return "salvor: being restored by " + run; }

}  // namespace salvor::agent
