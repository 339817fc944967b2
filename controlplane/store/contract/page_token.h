// Page tokens: opaque to those who carry them, and refused when they are damaged or of another list. A token is a
// place in a list and not a count of items, so that it stays right while items are added. It is no secret and no right.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "controlplane/store/contract/records.h"

namespace salvor::controlplane {

// `list` names the list together with its filter; `place` is the last item that was looked at.
std::string MakePageToken(std::string_view list, std::string_view place);
// The place. InvalidArgument.
StatusOr<std::string> ReadPageToken(std::string_view list, std::string_view token);

// A token of a list whose items have a number: the number of the last item that was looked at, nothing for the first
// page.
StatusOr<std::optional<int64_t>> ReadNumberToken(std::string_view list, std::string_view token);

// The name of a list of runs tells it apart from those with another filter.
std::string NameOfList(const RunFilter& filter);

}  // namespace salvor::controlplane
