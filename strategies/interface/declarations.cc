#include "strategies/interface/declarations.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "base/names.h"
#include "base/text.h"

namespace salvor::strategies {
namespace {

constexpr size_t kMaxRoleNameBytes = 63;

bool HasControlCharacters(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

class CheckValidator {
 public:
  CheckValidator(const v1::ApplicationCheck& check, std::string field,
                 const std::vector<std::string>* databases, Problems* problems)
      : check_(check), field_(std::move(field)), databases_(databases), problems_(*problems) {}

  void Validate() {
    problems_.Check(field_ + ".name", CheckObjectName(check_.name()));
    switch (check_.probe_case()) {
      case v1::ApplicationCheck::kSql:
        return ValidateSql();
      case v1::ApplicationCheck::kWrite:
        return ValidateWrite();
      case v1::ApplicationCheck::kPermission:
        return ValidatePermission();
      case v1::ApplicationCheck::kHttp:
        return ValidateHttp();
      case v1::ApplicationCheck::kCommand:
        return ValidateCommand();
      case v1::ApplicationCheck::PROBE_NOT_SET:
        break;
    }
    problems_.Add(field_, "needs a probe: one of sql, write, permission, http, command");
  }

 private:
  void ValidateSql() {
    const v1::SqlCheck& sql = check_.sql();
    CheckDatabase("sql", sql.database());
    if (Trim(sql.query()).empty()) problems_.Add(field_ + ".sql.query", "is missing");
    CheckRole("sql", sql.role(), false);
  }

  void ValidateWrite() {
    const v1::WriteCheck& write = check_.write();
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

  void ValidatePermission() {
    const v1::PermissionCheck& permission = check_.permission();
    CheckDatabase("permission", permission.database());
    CheckRole("permission", permission.role(), true);
    if (Trim(permission.statement()).empty()) problems_.Add(field_ + ".permission.statement", "is missing");
    if (permission.expect() != v1::PermissionCheck::VERDICT_ALLOWED &&
        permission.expect() != v1::PermissionCheck::VERDICT_DENIED) {
      problems_.Add(field_ + ".permission.expect", "must be Allowed or Denied");
    }
  }

  void ValidateHttp() {
    const v1::HttpCheck& http = check_.http();
    const bool has_scheme = http.url().rfind("http://", 0) == 0 || http.url().rfind("https://", 0) == 0;
    if (!has_scheme) {
      problems_.Add(field_ + ".http.url", "must start with http:// or https://");
    } else if (HasControlCharacters(http.url()) || http.url().find(' ') != std::string::npos) {
      problems_.Add(field_ + ".http.url", "must not contain spaces or control characters");
    }
    if (http.expect_status() != 0 && (http.expect_status() < 100 || http.expect_status() > 599)) {
      problems_.Add(field_ + ".http.expectStatus", "must be from 100 to 599");
    }
  }

  void ValidateCommand() {
    const v1::CommandCheck& command = check_.command();
    const std::string field = field_ + ".command.argv";
    if (command.argv().empty()) {
      problems_.Add(field, "is missing");
    } else if (command.argv(0).empty()) {
      problems_.Add(field + "[0]", "is empty");
    } else {
      problems_.CheckPath(field + "[0]", command.argv(0));
    }
    for (int i = 0; i < command.argv_size(); ++i) {
      if (command.argv(i).find('\0') != std::string::npos) {
        problems_.Add(fmt::format("{}[{}]", field, i), "contains a NUL byte");
      }
    }
    problems_.CheckDuration(field_ + ".command.timeout", command.timeout(), false);
    if (!command.database().empty()) CheckDatabase("command", command.database());
  }

  void CheckDatabase(const std::string& probe, const std::string& database) {
    const std::string field = fmt::format("{}.{}.database", field_, probe);
    if (databases_ == nullptr) {
      problems_.Add(fmt::format("{}.{}", field_, probe),
                    "needs a component with databases; use command or http");
    } else if (database.empty()) {
      problems_.Add(field, "is missing");
    } else if (std::find(databases_->begin(), databases_->end(), database) == databases_->end()) {
      problems_.AddIncomplete(
          field, fmt::format("'{}' is not among the component's databases", CleanText(database)));
    }
  }

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

  const v1::ApplicationCheck& check_;
  const std::string field_;
  const std::vector<std::string>* const databases_;
  Problems& problems_;
};

}  // namespace

bool IsWithin(const std::string& inner, const std::string& outer) {
  if (outer == "/") return true;
  return inner.rfind(outer, 0) == 0 && (inner.size() == outer.size() || inner[outer.size()] == '/');
}

void Problems::Check(const std::string& field, const Status& status) {
  if (!status.ok()) Add(field, MessageOf(status));
}

void Problems::CheckDuration(const std::string& field, const std::string& text, bool zero_is_allowed) {
  if (text.empty()) return;
  const std::optional<absl::Duration> duration = ParseDuration(text);
  if (!duration || *duration == absl::InfiniteDuration()) {
    Add(field,
        fmt::format("'{}' is not a duration; write it like 90s, 5m or 1h30m", CleanText(text.substr(0, 40))));
  } else if (!zero_is_allowed && *duration == absl::ZeroDuration()) {
    Add(field, "must be longer than 0s");
  }
}

void Problems::CheckPath(const std::string& field, const std::string& path) {
  if (!path.empty()) Check(field, CheckAbsolutePath(path));
}

void Problems::CheckSecretFile(const std::string& field, const std::string& path) {
  if (path.empty() || CheckAbsolutePath(path).ok()) return;
  Add(field, "must be the absolute path of a file on the agent's host; the secret itself is never declared");
}

void Problems::CheckWord(const std::string& field, const std::string& text, const std::string& what) {
  if (text.empty()) {
    AddIncomplete(field, "is missing");
  } else if (text.front() == '-' || HasControlCharacters(text)) {
    Add(field, fmt::format("'{}' is no {}: it must not start with '-' or contain control characters",
                           CleanText(text.substr(0, 80)), what));
  }
}

void ValidateChecks(const v1::Component& component, const std::vector<std::string>* databases,
                    Problems* problems) {
  std::set<std::string> names;
  for (int i = 0; i < component.checks_size(); ++i) {
    const v1::ApplicationCheck& check = component.checks(i);
    const std::string field = fmt::format("checks[{}]", i);
    CheckValidator(check, field, databases, problems).Validate();
    if (!check.name().empty() && !names.insert(check.name()).second) {
      problems->Add(field + ".name", fmt::format("'{}' is the name of an earlier check", check.name()));
    }
  }
}

}  // namespace salvor::strategies
