// Whether a component can be where its environment is: on hosts or on a cluster. Pure.
#pragma once

#include <vector>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// All problems of a whole component there, with fields relative to it; those of its strategy, if it has one, are among
// them. `namespace_is_inherited`: the component says no other namespace than its application, which is told itself.
std::vector<FieldProblem> ProblemsWithRuntime(const Strategy* strategy, const v1::Component& component,
                                              v1::Runtime runtime, bool namespace_is_inherited = false);

}  // namespace salvor::strategies
