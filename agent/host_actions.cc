#include "agent/host_actions.h"

#include <memory>

#include "agent/engines/action/actions/actions.h"
#include "agent/engines/disk/actions/actions.h"
#include "agent/engines/disk/actions/disk_copies.h"
#include "agent/engines/mariadb/actions/actions.h"
#include "agent/engines/mariadb/actions/copy_probes.h"
#include "agent/engines/mariadb/scratch_engine.h"
#include "agent/engines/mariadb/tools.h"
#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/copy_probes.h"
#include "agent/engines/postgres/scratch_engine.h"
#include "agent/location/register.h"
#include "agent/probes/application_check_actions.h"
#include "agent/scratch/actions/scratch_actions.h"
#include "agent/work/noop_action.h"

namespace salvor::agent {

ActionRegistry HostActions() {
  ActionRegistry registry;
  RegisterNoop(registry);
  RegisterLocationActions(registry);
  RegisterMariadbActions(registry);
  RegisterPostgresActions(registry);
  RegisterDiskActions(registry);
  RegisterProgramActions(registry);
  RegisterScratchActions(registry);
  RegisterApplicationChecks(registry, {PostgresCopies(), DiskCopies(), MariadbCopies()});
  return registry;
}

std::map<std::string, std::string> HostProgramFolders() {
  return {{kMariadbKind, kMariadbPrograms}, {kPostgresKind, kPostgresPrograms}};
}

ScratchEngines HostScratchEngines(const AgentConfig& config, ToolRunner& tools) {
  return {std::make_shared<MariadbScratch>(tools, MariadbProgramFolder(config)),
          std::make_shared<PostgresScratch>(tools, PostgresProgramFolder(config))};
}

}  // namespace salvor::agent
