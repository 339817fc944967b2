// Declarations from files, directories and standard input.
#pragma once

#include <string>
#include <vector>

#include "base/io/yaml/yaml_objects.h"
#include "base/status.h"
#include "tools/cli/client/environment.h"

namespace salvor::cli {

struct LoadedObjects {
  std::vector<ParsedObject> objects;
  std::vector<YamlProblem> problems;  // of all files
};

// Every source is a file, a directory (its *.yaml and *.yml, in order of names, not below) or "-". Fails when
// one cannot be read or a directory holds none; what is wrong inside a file is a problem.
StatusOr<LoadedObjects> LoadObjects(Environment& environment, const std::vector<std::string>& sources);

// The objects themselves, in order.
std::vector<v1::Object> ObjectsOf(const LoadedObjects& loaded);

}  // namespace salvor::cli
