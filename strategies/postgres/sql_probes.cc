#include "strategies/postgres/sql_probes.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"

namespace salvor::strategies {
namespace {

constexpr size_t kMaxRoleNameBytes = 63;

class SqlProbeValidator {
 public:
  SqlProbeValidator(const std::vector<std::string>& databases, std::string field, Problems* problems)
      : databases_(databases), field_(std::move(field)), problems_(*problems) {}

  void Validate(const v1::SqlCheck& sql) {
    CheckDatabase("sql", sql.database());
    if (Trim(sql.query()).empty()) problems_.Add(field_ + ".sql.query", "is missing");
    CheckRole("sql", sql.role(), false);
  }

  void Validate(const v1::WriteCheck& write) {
    CheckDatabase("write", write.database());
    if (write.statements().empty())
      problems_.Add(field_ + ".write.statements", "needs at least one statement");
    for (int i = 0; i < write.statements_size(); ++i) {
      if (Trim(write.statements(i)).empty()) {
        problems_.Add(fmt::format("{}.write.statements[{}]", field_, i), "is empty");
      }
    }
    CheckRole("write", write.role(), false);
  }

  void Validate(const v1::PermissionCheck& permission) {
    CheckDatabase("permission", permission.database());
    CheckRole("permission", permission.role(), true);
    if (Trim(permission.statement()).empty()) problems_.Add(field_ + ".permission.statement", "is missing");
    if (permission.expect() != v1::PermissionCheck::VERDICT_ALLOWED &&
        permission.expect() != v1::PermissionCheck::VERDICT_DENIED) {
      problems_.Add(field_ + ".permission.expect", "must be Allowed or Denied");
    }
  }

  void CheckDatabase(const std::string& probe, const std::string& database) {
    const std::string field = fmt::format("{}.{}.database", field_, probe);
    if (database.empty()) {
      problems_.Add(field, "is missing");
    } else if (std::find(databases_.begin(), databases_.end(), database) == databases_.end()) {
      problems_.AddIncomplete(
          field, fmt::format("'{}' is not among the component's databases", CleanText(database)));
    }
  }

 private:
  void CheckRole(const std::string& probe, const std::string& role, bool required) {
    const std::string field = fmt::format("{}.{}.role", field_, probe);
    if (role.empty()) {
      if (required) problems_.Add(field, "is missing");
    } else if (role.size() > kMaxRoleNameBytes) {
      problems_.Add(field, fmt::format("is longer than {} bytes", kMaxRoleNameBytes));
    } else if (HasControlCharacters(role)) {
      problems_.Add(field, "must not contain control characters");
    }
  }

  const std::vector<std::string>& databases_;
  const std::string field_;
  Problems& problems_;
};

}  // namespace

bool ValidateSqlProbe(const std::vector<std::string>& databases, const v1::ApplicationCheck& check,
                      const std::string& field, Problems* problems) {
  SqlProbeValidator validator(databases, field, problems);
  switch (check.probe_case()) {
    case v1::ApplicationCheck::kSql:
      validator.Validate(check.sql());
      return true;
    case v1::ApplicationCheck::kWrite:
      validator.Validate(check.write());
      return true;
    case v1::ApplicationCheck::kPermission:
      validator.Validate(check.permission());
      return true;
    case v1::ApplicationCheck::kCommand:
      validator.CheckDatabase("command", check.command().database());
      return true;
    default:
      return false;
  }
}

}  // namespace salvor::strategies
