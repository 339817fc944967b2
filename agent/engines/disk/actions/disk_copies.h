// Restored files, as the checks of an application look at them. Pure.
#pragma once

#include "agent/work/copy_probes.h"

namespace salvor::agent {

// They are only looked at by commands: there is no kind of check of its own.
CopyEngine DiskCopies();

}  // namespace salvor::agent
