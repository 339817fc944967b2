// The protocols between agents and the control plane that this version speaks, on both ends.
#pragma once

namespace salvor {

// 1: of 0.1.  2: a hello says which range is spoken, and of which kind the agent is.
inline constexpr int kOldestProtocol = 1;
inline constexpr int kNewestProtocol = 2;

}  // namespace salvor
