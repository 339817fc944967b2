// Secrets have no business in logs; should a tool print one all the same, it stops here. Pure.
#pragma once

#include <string>
#include <string_view>

namespace salvor::agent {

// One line without passwords in URLs, KEY=value pairs with secret-sounding keys, or SQL passwords; control
// characters become '?', and the line is cut to 4 KiB.
std::string Redact(std::string_view line);

}  // namespace salvor::agent
