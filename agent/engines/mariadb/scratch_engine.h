// MariaDB in a scratch place (agent/scratch): a server that listens on its unix socket alone, whose event scheduler is off,
// that writes no binary log and follows no other server.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <string_view>
#include <vector>

#include "agent/process/tool_runner.h"
#include "agent/scratch/scratch_engine.h"
#include "agent/scratch/scratch_state.h"
#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// The one account of a new scratch server. Not "root": so that one can be restored, and compared, like any other.
inline constexpr char kMariadbScratchAccount[] = "salvor_scratch";

// The way to the server of a place that runs.
v1::MariadbConnection MariadbConnectionTo(const ScratchState& state);

class MariadbScratch final : public ScratchEngine {
 public:
  // `tools` is borrowed; `folder` has the client's programs; `session_bound` is of our own sessions, which only ask
  // whether it answers.
  MariadbScratch(ToolRunner& tools, std::string folder, absl::Duration session_bound = absl::Seconds(15));

  std::string Kind() const override;
  std::string ProgramFolder() const override;
  int64_t EmptyServerBytes() const override;
  Status CheckVersion(int32_t source_version) const override;  // as in 101119
  ProcessSpec Initializer(const ScratchState& state) const override;
  ProcessSpec Server(const ScratchState& state) const override;
  bool IsFatal(std::string_view line) const override;
  Status OpenDoor(const ScratchState& state) const override;
  ScratchAnswer Ask(const ScratchState& state) const override;
  std::vector<std::string> LeftByDeadServer() const override;

 private:
  ToolRunner& tools_;
  const std::string folder_;
  const absl::Duration session_bound_;
};

// The version of a program of MariaDB's in the server's own notation: 101119 in "mariadbd  Ver 10.11.19-MariaDB-…", and
// behind "Distrib" where it says that. 0 where there is none. Pure.
int MariadbVersionIn(std::string_view text);

// The same of an installed program.
StatusOr<int> MariadbToolVersion(ToolRunner& tools, const std::string& program);

// "10.11.19" for 101119.
std::string MariadbVersionText(int version);

}  // namespace salvor::agent
