// PostgreSQL by logical dumps: one consistent dump a database, roles apart. Pure.
#pragma once

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

class PostgresStrategy : public Strategy {
 public:
  std::string_view Name() const override { return "postgres"; }
  bool IsOf(const v1::Component& component) const override { return component.has_postgres(); }
  std::vector<FieldProblem> Validate(const v1::Component& component) const override;
  std::vector<FieldProblem> ValidateWithRuntime(const v1::Component& component,
                                                v1::Runtime runtime) const override;
  void PrepareOverlay(const v1::Component& top, v1::Component* base) const override;
  std::vector<FieldProblem> ValidateOptions(const v1::Component& component,
                                            const v1::RestoreOptions& options) const override;
  v1::RestoreOptions CommonOptions(const v1::CreateRestoreRequest& asked,
                                   const v1::Component& component) const override;
  std::vector<FieldProblem> ValidateCommonOptions(const v1::CreateRestoreRequest& asked,
                                                  const v1::Manifest& manifest) const override;

  // <c>.preflight → <c>.globals, and <c>.dump.<slug> for each database, one at a time per server. On a cluster the
  // server's own claims are kept without their data.
  StatusOr<Fragment> Backup(const v1::Component& component, const BackupRequest& request) const override;

  // <c>.check-target → <c>.restore-roles → <c>.restore.<slug> → <c>.verify.<slug> → <c>.application-checks.
  // A database whose dump or expectations are not in the manifest is missing; without the roles everything
  // is.
  StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const override;
};

}  // namespace salvor::strategies
