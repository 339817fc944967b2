#include "strategies/interface/strategy.h"

#include <algorithm>

#include "base/text.h"

namespace salvor::strategies {

std::vector<std::string> IdsOfPurposes(const std::vector<v1::Step>& steps,
                                       std::initializer_list<v1::Purpose> purposes) {
  std::vector<std::string> ids;
  for (const v1::Step& step : steps) {
    if (std::find(purposes.begin(), purposes.end(), step.purpose()) != purposes.end())
      ids.push_back(step.id());
  }
  return ids;
}

std::vector<FieldProblem> Strategy::ValidateWithLocation(const v1::Component&, const std::string&,
                                                         const v1::LocationSpec&) const {
  return {};
}

std::vector<FieldProblem> Strategy::ValidateWithRuntime(const v1::Component& component,
                                                        v1::Runtime runtime) const {
  if (runtime != v1::RUNTIME_KUBERNETES) return {};
  return {
      {component.has_extension() ? "extension" : std::string(Name()),
       "cannot be backed up in an environment that is a cluster by this version; declare it in one of hosts"}};
}

void Strategy::PrepareOverlay(const v1::Component&, v1::Component*) const {}

std::vector<FieldProblem> Strategy::ValidateOptions(const v1::Component&, const v1::RestoreOptions&) const {
  return {{"", "a component of this kind has no options"}};
}

v1::RestoreOptions Strategy::CommonOptions(const v1::CreateRestoreRequest&, const v1::Component&) const {
  return {};
}

std::vector<FieldProblem> Strategy::ValidateCommonOptions(const v1::CreateRestoreRequest&,
                                                          const v1::Manifest&) const {
  return {};
}

bool Strategy::NeedsTarget(const RestoreRequest& request) const { return !request.drill; }

const Strategy* StrategyRegistry::Find(const v1::Component& component) const {
  for (const std::unique_ptr<const Strategy>& strategy : strategies_) {
    if (strategy->IsOf(component)) return strategy.get();
  }
  return nullptr;
}

std::string StrategyRegistry::Names() const {
  std::vector<std::string> names;
  for (const std::unique_ptr<const Strategy>& strategy : strategies_) names.emplace_back(strategy->Name());
  return Join(names, ", ");
}

}  // namespace salvor::strategies
