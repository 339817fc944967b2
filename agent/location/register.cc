#include "agent/location/register.h"

#include "agent/location/forget_action.h"
#include "agent/location/location_actions.h"
#include "agent/location/manifest_actions.h"
#include "agent/location/verification_actions.h"
#include "agent/work/registry.h"

namespace salvor::agent {

void RegisterLocationActions(ActionRegistry& registry) {
  Register(registry, RunLocationForget);
  Register(registry, RunLocationOpen);
  Register(registry, RunManifestPart, true);
  Register(registry, RunManifestWrite);
  Register(registry, RunManifestCheck);
  Register(registry, RunVerificationWrite);
}

}  // namespace salvor::agent
