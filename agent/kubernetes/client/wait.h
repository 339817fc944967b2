// Waiting for a state of one object, whatever watches do meanwhile. Works on any Kubernetes.
#pragma once

#include <functional>

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

// Asks `is_done` of the object as it is, and after each change, until it answers true, and returns that object.
// nullptr: the object is not there. Decides by state alone, so that a dropped watch, a doubled event or 410 change
// nothing. The answer of is_done may be an error, which ends the wait and is returned. Returns a null JSON when is_done
// was satisfied by the absence.
StatusOr<Json> WaitUntil(Kubernetes& kubernetes, const ObjectKey& key,
                         const std::function<StatusOr<bool>(const Json* object)>& is_done, const Call& call);

// Until the object is not there, or another one of that name is: one whose metadata.uid is not `uid`. uid "": any.
Status WaitUntilGone(Kubernetes& kubernetes, const ObjectKey& key, const std::string& uid, const Call& call);

}  // namespace salvor::kubernetes
