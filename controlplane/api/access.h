// Who may do what: one table, from every operation to the class of token that it needs. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "controlplane/api/principal.h"

namespace salvor::controlplane {

struct AccessRule {
  std::string_view operation;  // as the method of ControlService is named
  v1::TokenClass needed;       // this class, and every one above it
};

// All of them, by the name of the operation. A test holds it to the methods that there are.
const std::vector<AccessRule>& AccessRules();

// PermissionDenied says which class is missing and who can give it. An operation that is not in the table is nobody's.
Status CheckAccess(const Principal& who, std::string_view operation);

}  // namespace salvor::controlplane
