// Steps that do nothing: for demonstrations, benchmarks and tests of the engine. Pure.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

class DummyStrategy : public Strategy {
 public:
  std::string_view Name() const override { return "dummy"; }
  bool IsOf(const v1::Component& component) const override { return component.has_dummy(); }
  std::vector<FieldProblem> Validate(const v1::Component& component) const override;
  std::vector<FieldProblem> ValidateWithRuntime(const v1::Component& component,
                                                v1::Runtime runtime) const override;
  bool NeedsTarget(const RestoreRequest&) const override { return false; }

  // <c>.noop.1 → <c>.noop.2 → …, on the way there and on the way back. It keeps nothing.
  StatusOr<Fragment> Backup(const v1::Component& component, const BackupRequest& request) const override;
  StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const override;
};

}  // namespace salvor::strategies
