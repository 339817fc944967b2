#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/dump_file.h"

namespace salvor::agent {

Status CleanUpPostgresDump(const v1::PostgresDump& action, ActionContext& context) {
  const v1::PostgresComponent& component = action.component();
  if (component.capture() != v1::CAPTURE_VOLUME) return OkStatus();
  const std::string& run = context.task.lease().run();
  return DumpFile(component.dump_directory(), run, DumpFile::NameOf(action.target())).Remove();
}

}  // namespace salvor::agent
