#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/dump_file.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

Status RemoveDumpFile(const v1::PostgresDump& dump, const std::string& run) {
  const v1::PostgresComponent& component = dump.component();
  if (component.capture() != v1::CAPTURE_VOLUME) return OkStatus();
  return DumpFile(component.dump_directory(), run, DumpFile::NameOf(dump.target())).Remove();
}

}  // namespace

Status CleanUpAfterPostgres(const v1::Task& task, const AgentConfig& config, ToolRunner& tools,
                            absl::Duration patience) {
  const v1::Action& action = task.action();
  if (action.has_postgres_dump()) return RemoveDumpFile(action.postgres_dump(), task.lease().run());
  // A drill's server goes as a whole.
  if (!action.has_postgres_restore() || !action.postgres_restore().target().has_connection())
    return OkStatus();
  ActionContext context{config, tools, task, {}, SteadyNow() + patience, nullptr, nullptr};
  return CleanUpPostgresRestore(action.postgres_restore(), context);
}

}  // namespace salvor::agent
