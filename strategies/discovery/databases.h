// Database servers, known by the names of their images and by their ports. Pure.
#pragma once

#include <string>
#include <vector>

#include "salvor/v1/discovery.pb.h"

namespace salvor::strategies {

struct DatabaseGuess {
  std::string engine;  // "PostgreSQL"; empty: the container looks like no database
  bool by_image = false;
  int port = 0;  // by which it was known, where it was not by its image
};

// `ports` are those that Services send to the container, beside its own. A tool beside a database, as an exporter is,
// is none itself, whatever its ports.
DatabaseGuess GuessDatabase(const v1::DiscoveredContainer& container, const std::vector<int>& ports);

}  // namespace salvor::strategies
