#include "strategies/dummy/dummy_strategy.h"

#include <fmt/core.h>

#include <algorithm>

#include "strategies/interface/declarations.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kMaxSteps = 100'000;

Fragment Chain(const v1::Component& component, v1::Purpose purpose) {
  Fragment fragment;
  const int count = std::max(1, component.dummy().steps());
  for (int i = 1; i <= count; ++i) {
    v1::Step step = MakeStep(fmt::format("{}.noop.{}", component.name(), i), purpose, component.name(),
                             fmt::format("do nothing, {}", i));
    step.mutable_action()->mutable_noop();
    if (i > 1) After(&step, fmt::format("{}.noop.{}", component.name(), i - 1));
    fragment.steps.push_back(std::move(step));
  }
  return fragment;
}

}  // namespace

std::vector<FieldProblem> DummyStrategy::Validate(const v1::Component& component) const {
  Problems problems;
  if (component.dummy().steps() < 0 || component.dummy().steps() > kMaxSteps) {
    problems.Add("dummy.steps", fmt::format("must be from 1 to {}", kMaxSteps));
  }
  if (!component.checks().empty())
    problems.Add("checks", "has no meaning for a component that keeps nothing");
  return problems.Take();
}

// It does nothing anywhere.
std::vector<FieldProblem> DummyStrategy::ValidateWithRuntime(const v1::Component&, v1::Runtime) const {
  return {};
}

StatusOr<Fragment> DummyStrategy::Backup(const v1::Component& component, const BackupRequest&) const {
  return Chain(component, v1::PURPOSE_CAPTURE);
}

StatusOr<Fragment> DummyStrategy::Restore(const v1::Component& component, const RestoreRequest&) const {
  return Chain(component, v1::PURPOSE_RESTORE);
}

}  // namespace salvor::strategies
