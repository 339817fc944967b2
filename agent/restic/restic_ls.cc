#include <nlohmann/json.hpp>

#include "agent/restic/restic.h"
#include "agent/restic/restic_errors.h"

namespace salvor::agent {

Status Restic::ListPaths(const std::string& snapshot, const SnapshotPathSink& each) const {
  ProcessSpec spec = Spec({"ls", "--json", "--no-lock", "--", snapshot});
  bool complete = true, found = false;
  spec.on_output_line = [&](std::string_view line) {
    const nlohmann::json node = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!node.is_object() || node.contains("paths")) {  // the first line is the snapshot itself
      complete = complete && node.is_object();
      found = found || node.is_object();
      return;
    }
    const auto path = node.find("path"), type = node.find("type");
    if (path == node.end() || !path->is_string() || type == node.end() || !type->is_string()) {
      complete = false;
      return;
    }
    each(path->get_ref<const std::string&>(), type->get_ref<const std::string&>());
  };
  const StatusOr<ExitStatus> status = RunSpec(std::move(spec));
  if (!status.ok()) return LookAgain(status.status(), snapshot, "/");
  // restic 0.14 ignores a snapshot that it does not find, and says so on stderr only.
  if (!found) return LookAgain(ResticError(status->error_tail, 1, location_), snapshot, "/");
  return complete ? OkStatus() : Internal("restic's list of snapshot {} cannot be read", snapshot);
}

}  // namespace salvor::agent
