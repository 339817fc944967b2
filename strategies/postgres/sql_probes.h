// The application checks that only a component with databases can be asked: sql, write, permission. Pure.
#pragma once

#include "strategies/interface/declarations.h"

namespace salvor::strategies {

// A ProbeValidator of a component with these databases.
bool ValidateSqlProbe(const std::vector<std::string>& databases, const v1::ApplicationCheck& check,
                      const std::string& field, Problems* problems);

}  // namespace salvor::strategies
