// What a restore on a cluster would do with objects, as a run that only looked found it. Pure.
#pragma once

#include <string>

#include "salvor/v1/manifest.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

// Lines below the step that looked: what is created by its kind, each change from what to what, and what is left out, in the
// way or not restored, by name. A page has the first of them; "wide" has all that are known.
std::string RenderPreview(const v1::VeleroRestorePreview& preview, const Style& style);

}  // namespace salvor::cli
