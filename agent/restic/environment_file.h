// Files of KEY=value lines, as systemd's EnvironmentFile has them: credentials of a storage backend.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor::agent {

// Blank lines and lines that begin with '#' say nothing; one pair of quotes around a value goes. Errors name
// the line's number, never its text.
StatusOr<std::map<std::string, std::string>> ParseEnvironment(std::string_view text);

// The same from a file that only its owner may read.
StatusOr<std::map<std::string, std::string>> ReadEnvironmentFile(const std::string& path);

}  // namespace salvor::agent
