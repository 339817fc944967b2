// The toy strategy: what a strategy is that Salvor is not built with. Pure.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::toy {

class ToyStrategy final : public strategies::Strategy {
 public:
  std::string_view Name() const override { return "toy"; }
  bool IsOf(const v1::Component& component) const override;
  std::vector<strategies::FieldProblem> Validate(const v1::Component& component) const override;
  std::vector<strategies::FieldProblem> ValidateOptions(const v1::Component& component,
                                                        const v1::RestoreOptions& options) const override;
  bool NeedsTarget(const strategies::RestoreRequest& request) const override;
  StatusOr<strategies::Fragment> Backup(const v1::Component& component,
                                        const strategies::BackupRequest& request) const override;
  StatusOr<strategies::Fragment> Restore(const v1::Component& component,
                                         const strategies::RestoreRequest& request) const override;
};

}  // namespace salvor::toy
