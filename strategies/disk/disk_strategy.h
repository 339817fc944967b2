// Paths of a host: files as they are, with what a restored copy must equal. Or volumes of a cluster, which Velero keeps: they
// are wanted of the composer, and there are no steps. Pure.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

class DiskStrategy : public Strategy {
 public:
  std::string_view Name() const override { return "disk"; }
  bool IsOf(const v1::Component& component) const override { return component.has_disk(); }
  std::vector<FieldProblem> Validate(const v1::Component& component) const override;
  std::vector<FieldProblem> ValidateWithLocation(const v1::Component& component,
                                                 const std::string& location_name,
                                                 const v1::LocationSpec& location) const override;
  std::vector<FieldProblem> ValidateWithRuntime(const v1::Component& component,
                                                v1::Runtime runtime) const override;
  void PrepareOverlay(const v1::Component& top, v1::Component* base) const override;
  std::vector<FieldProblem> ValidateOptions(const v1::Component& component,
                                            const v1::RestoreOptions& options) const override;
  std::vector<FieldProblem> ValidateCommonOptions(const v1::CreateRestoreRequest& asked,
                                                  const v1::Manifest& manifest) const override;
  v1::RestoreOptions CommonOptions(const v1::CreateRestoreRequest& asked,
                                   const v1::Component& component) const override;
  bool NeedsTarget(const RestoreRequest& request) const override;

  // <c>.backup
  StatusOr<Fragment> Backup(const v1::Component& component, const BackupRequest& request) const override;

  // <c>.check-target → <c>.restore → <c>.verify → <c>.application-checks
  StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const override;
};

}  // namespace salvor::strategies
