#include <nlohmann/json.hpp>

#include "agent/restic/restic.h"

namespace salvor::agent {

Status Restic::ListPaths(const std::string& snapshot, const SnapshotPathSink& each) const {
  ProcessSpec spec = Spec({"ls", "--json", "--no-lock", "--", snapshot});
  bool complete = true;
  spec.on_output_line = [&](std::string_view line) {
    const nlohmann::json node = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!node.is_object() || node.contains("paths")) {  // the first line is the snapshot itself
      complete = complete && node.is_object();
      return;
    }
    const auto path = node.find("path"), type = node.find("type");
    if (path == node.end() || !path->is_string() || type == node.end() || !type->is_string()) {
      complete = false;
      return;
    }
    each(path->get_ref<const std::string&>(), type->get_ref<const std::string&>());
  };
  RETURN_IF_ERROR(RunSpec(std::move(spec)).status());
  return complete ? OkStatus() : DataLoss("restic's list of snapshot {} cannot be read", snapshot);
}

}  // namespace salvor::agent
