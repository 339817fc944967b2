// restic's JSON lines as values. Pure; the JSON library stays behind this header. Unknown fields and lines
// are nothing special: newer versions have more of both.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/restic/restic.h"
#include "base/status.h"

namespace salvor::agent {

// One line of `restic backup --json`, on stdout or stderr.
struct ResticMessage {
  enum class Kind { kOther, kStatus, kError, kSummary };
  Kind kind = Kind::kOther;
  int64_t bytes_done = 0, bytes_total = 0;  // status
  std::string error;                        // error: "path: reason"
  ResticBackupSummary summary;              // summary; the snapshot's id is short in restic 0.14
};
ResticMessage ParseResticMessage(std::string_view line);

// `restic snapshots --json`, oldest first. Internal when it is no such list.
StatusOr<std::vector<ResticSnapshot>> ParseResticSnapshots(std::string_view json);

// A tag's value may hold anything but what separates tags.
std::string ResticTag(const std::string& name, const std::string& value);

}  // namespace salvor::agent
