// Application checks by SQL, against a restored copy. They leave nothing behind.
#pragma once

#include <string>
#include <string_view>

#include "agent/work/copy_probes.h"

namespace salvor::agent {

CopyEngine PostgresCopies();

// The first word of a statement in lower case, past white space and comments. Pure.
std::string FirstKeyword(std::string_view statement);

}  // namespace salvor::agent
