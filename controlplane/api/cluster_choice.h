// Which environment is meant by a question about a cluster. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::controlplane {

// The environment of that name; where none is named, the only one that is a cluster. NotFound where there is none of
// the name, FailedPrecondition where it is no cluster or none is, InvalidArgument where it could be several.
StatusOr<v1::Object> ChooseCluster(const std::vector<v1::Object>& environments, const std::string& name);

}  // namespace salvor::controlplane
