// Databases of a MariaDB server: one dump of all of them in one transaction, with its details.
//
//   backup:  preflight → dump
//   restore: check-target → restore (accounts, databases, events that stay disabled) → verify (and then the events' state)
//
// Databases go back under their own names: views and routines name them. Pure.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

class MariadbStrategy final : public Strategy {
 public:
  std::string_view Name() const override { return "mariadb"; }
  bool IsOf(const v1::Component& component) const override { return component.has_mariadb(); }
  std::vector<FieldProblem> Validate(const v1::Component& component) const override;
  void PrepareOverlay(const v1::Component& top, v1::Component* base) const override;
  StatusOr<Fragment> Backup(const v1::Component& component, const BackupRequest& request) const override;
  StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const override;
};

}  // namespace salvor::strategies
