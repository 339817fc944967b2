#include "tests/simulation/seeds.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/io/files.h"
#include "base/io/log.h"

namespace salvor::simulation {
namespace {

class Folder {
 public:
  Folder() : path_(::access("/dev/shm", W_OK) == 0 ? "/dev/shm/simulationXXXXXX" : "/tmp/simulationXXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) std::abort();
    InitLog("simulation", "off");
  }
  ~Folder() { (void)RemoveTree(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& Path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

Outcome SimulateSeed(uint64_t seed, bool traces) {
  static const Folder folder;  // the same for all, since errors name it
  SimulationOptions options;
  options.seed = seed;
  options.traces = traces;
  options.directory = folder.Path() + "/seed";
  Outcome outcome = Simulate(options);
  if (!RemoveTree(options.directory).ok()) std::abort();
  return outcome;
}

std::string DescribeBroken(uint64_t seed, const Outcome& outcome, size_t most_lines) {
  std::string text = fmt::format("seed {} breaks:\n", seed);
  for (const std::string& broken : outcome.broken) text += broken + "\n";
  const Outcome again = SimulateSeed(seed, true);
  if (again.broken != outcome.broken) text += "(and not the same way when it is repeated!)\n";
  const size_t first = again.trace.size() > most_lines ? again.trace.size() - most_lines : 0;
  text += fmt::format("the last {} of the {} things that happened until then:\n", again.trace.size() - first,
                      again.trace.size());
  for (size_t i = first; i < again.trace.size(); ++i) text += again.trace[i] + "\n";
  return text + fmt::format(
                    "repeat it, with all of them: SALVOR_SIMULATION_SEED={} build/dev/bin/simulation_test "
                    "--gtest_filter='*OneSeed*'\n",
                    seed);
}

}  // namespace salvor::simulation
