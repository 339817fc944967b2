// The options of a restore on a cluster that say what becomes of objects on their way.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/restore.pb.h"
#include "tools/cli/commands/command.h"

namespace salvor::cli {

struct RestoreChangeOptions {
  bool keep_schedules = false, keep_load_balancers = false, keep_node_ports = false, with_ingress = false;
  std::vector<std::string> storage_classes, image_prefixes, hosts;  // "OLD=NEW"
};

void AddRestoreChangeOptions(CLI::App& command, RestoreChangeOptions& options);

// Adds them to the request; nothing where none was given. InvalidArgument for what is no OLD=NEW, or names an OLD twice. The
// control plane looks at the names themselves.
Status AddRestoreChanges(const RestoreChangeOptions& options, v1::CreateRestoreRequest& request);

}  // namespace salvor::cli
