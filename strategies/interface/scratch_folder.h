// The places that a drill has on the agent's host: its folder, and servers. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// The folder alone.
ScratchPlace ScratchFolder(const RestoreRequest& request, int64_t bytes);

// The server of this kind ("mariadb") that the drill needs as its `number`th, from 1. Each is a place of its own, with its
// own folder, but for the first server of the one engine that version 0.1 knew: that one is in the drill's folder, where
// 0.1 had it. Needs of the same kind and number are one place, with the newest version that one of them asks for.
// `version` is of the server that was backed up, as its engine writes it; `of` says to people which one that is: empty
// where there is only one.
ScratchPlace ScratchServer(const RestoreRequest& request, const std::string& engine, int number,
                           const std::string& of, int32_t version, int64_t bytes);

// The name by which steps reach what ScratchServer makes.
std::string ScratchServerName(const RestoreRequest& request, const std::string& engine, int number);

}  // namespace salvor::strategies
