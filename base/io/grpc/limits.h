// How much the control plane takes from whom it does not know yet: gRPC reads all of a message before a token, or even the
// message's size, is looked at.
#pragma once

#include <cstddef>

namespace salvor {

// Of one message, from people and agents. The largest declarations that are read have 4 MiB, the largest result 4 MiB.
inline constexpr int kMostMessageBytes = 8 << 20;

// Of all that is on its way to the control plane at once. Who sends beyond it loses the connection, and comes again.
inline constexpr size_t kMostBytesOnTheWay = size_t{128} << 20;

}  // namespace salvor
