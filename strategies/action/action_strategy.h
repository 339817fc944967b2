// Whatever a driver's own program captures, restores and compares, by the action contract. Pure.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

class ActionStrategy final : public Strategy {
 public:
  std::string_view Name() const override { return "action"; }
  bool IsOf(const v1::Component& component) const override { return component.has_action(); }
  std::vector<FieldProblem> Validate(const v1::Component& component) const override;

  // <c>.preflight → <c>.backup. The plan promises the record: which artifacts there are only the program knows.
  StatusOr<Fragment> Backup(const v1::Component& component, const BackupRequest& request) const override;

  // <c>.check-target → <c>.restore → <c>.verify; a drill, which goes to an empty place, has no check of its target.
  // Without the record everything is missing.
  StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const override;
};

}  // namespace salvor::strategies
