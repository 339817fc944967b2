#include "strategies/compose/validate_runtime.h"

#include "base/names.h"
#include "strategies/interface/declarations.h"

namespace salvor::strategies {

std::vector<FieldProblem> ProblemsWithRuntime(const Strategy* strategy, const v1::Component& component,
                                              v1::Runtime runtime, bool namespace_is_inherited) {
  Problems problems;
  if (runtime == v1::RUNTIME_KUBERNETES) {
    if (!component.host().empty())
      problems.Add("host", "is of an environment of hosts, and this one is a cluster; leave it out");
  } else if (!component.namespace_().empty() && !namespace_is_inherited) {
    problems.Add("namespace", "is of a cluster, and this environment is a set of hosts; leave it out");
  }
  if (runtime != v1::RUNTIME_KUBERNETES) {
    if (component.has_quiesce())
      problems.Add("quiesce",
                   "is for pods of a cluster, and this environment is a set of hosts; leave it out");
    if (!component.hooks().empty())
      problems.Add("hooks",
                   "are of Velero on a cluster, and this environment is a set of hosts; leave it out");
  }
  std::vector<FieldProblem> found = problems.Take();
  if (strategy == nullptr) return found;
  const std::vector<FieldProblem> own = strategy->ValidateWithRuntime(component, runtime);
  found.insert(found.end(), own.begin(), own.end());
  return found;
}

}  // namespace salvor::strategies
