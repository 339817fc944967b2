// Options of one component's restore, as they are written on a command line.
#pragma once

#include <string>

#include "base/status.h"
#include "salvor/v1/restore.pb.h"

namespace salvor::cli {

// Adds one to the request: "files.disk.root=/srv/copy" is the component, its kind, the option and its value. The names
// are those by which the control plane says what is wrong with an option; a new one needs nothing here. InvalidArgument
// names what may stand where something else stands. Pure.
Status AddRestoreOption(const std::string& text, v1::CreateRestoreRequest& request);

}  // namespace salvor::cli
