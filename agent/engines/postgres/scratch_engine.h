// PostgreSQL in a scratch place (agent/scratch): a server that archives nothing, replicates nothing and listens on its
// unix socket alone.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/postgres/connection.h"
#include "agent/process/tool_runner.h"
#include "agent/scratch/scratch_engine.h"
#include "agent/scratch/scratch_state.h"
#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// The superuser of scratch servers. Not "postgres": so that role can be restored, and compared, like any
// other.
inline constexpr char kScratchSuperuser[] = "salvor_scratch";

// The kind of server that flows and state files name.
inline constexpr char kPostgresKind[] = "postgres";

// The way to the server of a place that runs, as its superuser.
v1::PostgresConnection ConnectionTo(const ScratchState& state);
// Whether this is one that the above gave, and so of a server that may be hostile.
inline bool IsConnectionToScratch(const v1::PostgresConnection& where) {
  return where.user() == kScratchSuperuser;
}

class PostgresScratch final : public ScratchEngine {
 public:
  // `tools` is borrowed; `bin_directory` has initdb and postgres; `session_bound` is of our own sessions, which only
  // ask whether it answers.
  PostgresScratch(ToolRunner& tools, std::string bin_directory,
                  absl::Duration session_bound = absl::Seconds(15));

  std::string Kind() const override;
  std::string ProgramFolder() const override;
  int64_t EmptyServerBytes() const override;
  Status CheckVersion(int32_t source_version) const override;  // as in 150018
  ProcessSpec Initializer(const ScratchState& state) const override;
  ProcessSpec Server(const ScratchState& state) const override;
  bool IsFatal(std::string_view line) const override;
  Status OpenDoor(const ScratchState& state) const override;
  ScratchAnswer Ask(const ScratchState& state) const override;
  std::vector<std::string> LeftByDeadServer() const override;

 private:
  ToolRunner& tools_;
  const std::string bin_directory_;
  const absl::Duration session_bound_;
};

// The version of a PostgreSQL program in the server's own notation: 150018 for "pg_dump (PostgreSQL) 15.18".
StatusOr<int> ToolVersion(ToolRunner& tools, const std::string& program);

}  // namespace salvor::agent
