// Label and field selectors as an API server reads them. Pure.
#pragma once

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

// Whether the object is selected; kInvalidArgument for a selector that a server would refuse: one that it cannot
// read, or a field by which objects of this kind cannot be selected.
StatusOr<bool> IsSelected(const Selection& selection, const std::string& kind, const Json& object);

}  // namespace salvor::kubernetes
