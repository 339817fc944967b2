// What becomes of the objects of a namespace that comes back: what was asked for, and what keeps a copy from doing what the
// original does. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// All problems of what was asked for; their fields are relative to the request: "changes.hosts.shop.example.com".
std::vector<FieldProblem> ValidateChanges(const v1::CreateRestoreRequest& asked,
                                          const v1::Manifest& manifest);

// Whether a restore makes a copy beside the original: into another namespace, or of another application.
bool IsCopy(const v1::Manifest& manifest, const std::string& from_namespace, const std::string& to_namespace,
            const std::string& to_application);

// Nothing where nothing is to be changed. FailedPrecondition where hosts are to be renamed that a copy leaves out.
StatusOr<std::optional<v1::RestoreTransform>> MakeTransform(const v1::RestoreChanges& asked, bool is_copy);

// What the plan says of it.
std::vector<v1::PlannedEffect> DescribeTransform(const v1::RestoreTransform& transform,
                                                 const std::string& to_namespace);

}  // namespace salvor::strategies
