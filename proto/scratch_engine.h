// The server that a throw-away place is to have, whichever version asked for it. Header-only and pure.
#pragma once

#include <string>

#include "salvor/v1/action.pb.h"

namespace salvor {

// Version 0.1 knew one engine, and said in flows and state files by a flag of this name whether its server is wanted.
inline constexpr char kOnlyEngineOf0_1[] = "postgres";

// The kind of server; empty: the folder alone.
inline std::string EngineOf(const v1::ScratchStart& start) {
  if (!start.engine().empty()) return start.engine();
  return start.postgres() ? kOnlyEngineOf0_1 : "";
}

// Names the engine, and raises the flag for an agent that reads nothing else.
inline void AskForEngine(const std::string& engine, v1::ScratchStart* start) {
  start->set_engine(engine);
  start->set_postgres(engine == kOnlyEngineOf0_1);
}

}  // namespace salvor
