#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/work/registry.h"

namespace salvor::velero {
namespace {

template <typename Message>
void RegisterWithOptions(agent::ActionRegistry& registry, const VeleroOptions& options,
                         StatusOr<v1::ActionResult> (*run)(const Message&, agent::ActionContext&,
                                                           const VeleroOptions&)) {
  agent::RegisterFunction<Message>(registry,
                                   [options, run](const Message& action, agent::ActionContext& context) {
                                     return run(action, context, options);
                                   });
}

}  // namespace

void RegisterVeleroActions(agent::ActionRegistry& registry, const VeleroOptions& options) {
  RegisterWithOptions<v1::VeleroPreflight>(registry, options, RunVeleroPreflight);
  RegisterWithOptions<v1::VeleroBackup>(registry, options, RunVeleroBackup);
  RegisterWithOptions<v1::VeleroSlot>(registry, options, RunVeleroSlot);
  RegisterWithOptions<v1::VeleroSnapshot>(registry, options, RunVeleroSnapshot);
  RegisterWithOptions<v1::VeleroRelease>(registry, options, RunVeleroRelease);
  RegisterWithOptions<v1::VeleroRestore>(registry, options, RunVeleroRestore);
  RegisterWithOptions<v1::VeleroRestoreCheck>(registry, options, RunVeleroRestoreCheck);
  RegisterWithOptions<v1::VeleroDelete>(registry, options, RunVeleroDelete);
  RegisterWithOptions<v1::ScratchNamespaceStart>(registry, options, RunScratchNamespaceStart);
  RegisterWithOptions<v1::ScratchNamespaceStop>(registry, options, RunScratchNamespaceStop);
  RegisterWithOptions<v1::Discover>(registry, options, RunDiscover);
}

}  // namespace salvor::velero
