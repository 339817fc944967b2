// How much the control plane takes from whom it does not know yet: gRPC reads all of a message before a token, or even the
// message's size, is looked at.
#pragma once

#include <cstddef>

namespace salvor {

// One message, from people or agents, has at most this. The largest declarations that are read have 4 MiB.
inline constexpr int kMostMessageBytes = 8 << 20;

// The journals take results of at most this, far above any honest one: what is larger lies in the Location.
inline constexpr size_t kLargestResult = size_t{4} << 20;
static_assert(kLargestResult < kMostMessageBytes);

// Agents and people take so much from the control plane, which they trust. Several tasks travel in one message, each with
// the results that it goes on from.
inline constexpr int kMostAnswerBytes = 64 << 20;

// All messages on their way to the control plane together have at most this. Who sends beyond it loses the connection, and
// comes again.
inline constexpr size_t kMostBytesOnTheWay = size_t{128} << 20;

}  // namespace salvor
