#include "agent/engines/mariadb/actions/copy_probes.h"

#include <algorithm>
#include <set>

#include "agent/engines/mariadb/actions/common.h"
#include "agent/scratch/scratch_places.h"
#include "base/text.h"

namespace salvor::agent {

bool CanBeRolledBack(std::string_view statement) {
  static const std::set<std::string> words = {"select",  "insert", "update", "delete",
                                              "replace", "with",   "values", "("};
  statement = Trim(statement);
  if (statement.empty()) return false;
  if (statement.front() == '(') return true;
  std::string word;
  for (const char c : statement) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower < 'a' || lower > 'z') break;
    word += lower;
  }
  return words.count(word) > 0;
}

namespace {

constexpr unsigned int kUnknownColumn = 1054, kUnknownTable = 1146, kSyntaxError = 1064,
                       kUnknownFunction = 1305, kRoleNotGranted = 1959, kReadOnly = 1792;

class MariadbCopy final : public CopyProbes {
 public:
  MariadbCopy(const v1::ApplicationChecks& action, ActionContext& context)
      : action_(action), context_(context) {}

  Status Open() {
    ASSIGN_OR_RETURN(target_, ResolveMariadbTarget(action_.mariadb(), context_));
    return OkStatus();
  }

  Status CheckStillLoaded() override {
    if (!target_.scratch) return OkStatus();
    ASSIGN_OR_RETURN(const bool restarted,
                     context_.scratch->RestartedSinceLoaded(action_.mariadb().scratch(), "databases"));
    return restarted ? Unavailable("the scratch server restarted after it was loaded") : OkStatus();
  }

  StatusOr<bool> Run(const v1::ApplicationCheck& check, CheckList& checks) override {
    switch (check.probe_case()) {
      case v1::ApplicationCheck::kSql:
        RETURN_IF_ERROR(Sql(check.name(), check.sql(), checks));
        return true;
      case v1::ApplicationCheck::kWrite:
        RETURN_IF_ERROR(Write(check.name(), check.write(), checks));
        return true;
      default:
        return false;
    }
  }

  std::vector<std::string> LeftEmpty() const override { return {}; }

  std::string SocketDirectory() const override {
    const std::string& socket = target_.connection.socket();
    return socket.substr(0, socket.rfind('/'));
  }
  std::string PasswordFile() const override { return target_.connection.password_file(); }

  // By the names that clients know; the password is in the file that it names.
  StatusOr<std::map<std::string, std::string>> EnvironmentOf(
      const v1::CommandCheck& check, const std::string& socket_directory,
      const std::string& password_file) const override {
    std::map<std::string, std::string> environment;
    const v1::MariadbConnection& where = target_.connection;
    if (where.host().empty()) {
      environment["MYSQL_UNIX_PORT"] = socket_directory + where.socket().substr(where.socket().rfind('/'));
    } else {
      environment["MYSQL_HOST"] = where.host();
      environment["MYSQL_TCP_PORT"] = fmt::format("{}", where.port() == 0 ? 3306 : where.port());
    }
    environment["SALVOR_DATABASE_USER"] = where.user();
    environment["SALVOR_DATABASE"] = check.database();
    if (!password_file.empty()) environment["SALVOR_DATABASE_PASSWORD_FILE"] = password_file;
    return environment;
  }

 private:
  // A session inside of a transaction. Null after a verdict was given.
  StatusOr<std::unique_ptr<MariadbSession>> Begin(const std::string& name, const std::string& database,
                                                  const std::string& role, bool read_only,
                                                  CheckList& checks) {
    ASSIGN_OR_RETURN(std::unique_ptr<MariadbSession> session, OpenMariadb(target_.connection, context_));
    const Status used = session->Execute("USE " + MariadbSession::Identifier(database));
    if (used.code() == absl::StatusCode::kNotFound) {
      checks.Failed("application", name, fmt::format("database {} is not there", database));
      return std::unique_ptr<MariadbSession>();
    }
    RETURN_IF_ERROR(used);
    if (!role.empty()) {
      const Status as_role = session->Execute("SET ROLE " + session->Literal(role));
      if (!as_role.ok() && session->LastError() != kRoleNotGranted) return as_role;
      if (!as_role.ok()) {
        checks.Unverifiable("application", name, "cannot act with role " + role + ": " + MessageOf(as_role));
        return std::unique_ptr<MariadbSession>();
      }
    }
    RETURN_IF_ERROR(session->Execute(read_only ? "START TRANSACTION READ ONLY" : "START TRANSACTION"));
    return session;
  }

  // A statement that the server does not understand says nothing about the copy: whether what it names is there is
  // compared by itself. OK after a verdict was given.
  static Status Refused(const std::string& name, const Status& status, const MariadbSession& session,
                        CheckList& checks) {
    const unsigned int number = session.LastError();
    if (number == 0 || number >= 2000 || status.code() == absl::StatusCode::kCancelled ||
        status.code() == absl::StatusCode::kDeadlineExceeded ||
        status.code() == absl::StatusCode::kResourceExhausted)
      return status;
    static const std::set<unsigned int> unclear = {kUnknownColumn, kUnknownTable, kSyntaxError,
                                                   kUnknownFunction, kReadOnly};
    if (unclear.count(number) > 0) {
      checks.Unverifiable("application", name, "the check cannot run: " + MessageOf(status));
    } else {
      checks.Failed("application", name, "a statement failed: " + MessageOf(status));
    }
    return OkStatus();
  }

  Status Sql(const std::string& name, const v1::SqlCheck& probe, CheckList& checks) {
    ASSIGN_OR_RETURN(const auto session, Begin(name, probe.database(), probe.role(), true, checks));
    if (session == nullptr) return OkStatus();
    const auto rows = session->Query(probe.query());
    if (!rows.ok()) return Refused(name, rows.status(), *session, checks);
    std::string found = "no row";
    if (!rows->empty() && !(*rows)[0].empty())
      found = (*rows)[0][0].has_value() ? fmt::format("'{}'", ValidUtf8(*(*rows)[0][0])) : "NULL";
    const std::string expected = fmt::format("'{}'", probe.expect());
    if (found == expected) {
      checks.Passed("application", name, "the query answered " + expected);
    } else {
      checks.Failed("application", name, fmt::format("the query answered {} instead of {}", found, expected));
    }
    return OkStatus();
  }

  Status Write(const std::string& name, const v1::WriteCheck& probe, CheckList& checks) {
    ASSIGN_OR_RETURN(const auto session, Begin(name, probe.database(), probe.role(), false, checks));
    if (session == nullptr) return OkStatus();
    ASSIGN_OR_RETURN(
        const int64_t unsafe,
        session->Number("SELECT COUNT(*) FROM information_schema.TABLES t LEFT JOIN"
                        " information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE t.TABLE_TYPE <> 'VIEW'"
                        " AND t.TABLE_SCHEMA = DATABASE() AND IFNULL(e.TRANSACTIONS, 'NO') <> 'YES'"));
    if (unsafe > 0 && !target_.scratch) {
      checks.Unverifiable("application", name,
                          "the database has tables that know no transactions: nothing is tried there");
      return OkStatus();
    }
    for (const std::string& statement : probe.statements()) {
      if (!CanBeRolledBack(statement)) {
        checks.Unverifiable("application", name, "a statement can't be rolled back in MariaDB");
        return OkStatus();
      }
      const Status done = session->Execute(statement);
      if (!done.ok()) return Refused(name, done, *session, checks);
    }
    RETURN_IF_ERROR(session->Execute("ROLLBACK"));
    checks.Passed("application", name,
                  fmt::format("{} statements worked, and were rolled back", probe.statements_size()));
    return OkStatus();
  }

  const v1::ApplicationChecks& action_;
  ActionContext& context_;
  ResolvedMariadbTarget target_;
};

std::optional<CopyPlace> FindMariadbCopy(const v1::ApplicationChecks& action) {
  if (!action.has_mariadb()) return std::nullopt;
  CopyPlace place;
  place.scratch = action.mariadb().scratch();
  return place;
}

StatusOr<std::unique_ptr<CopyProbes>> OpenMariadbCopy(const v1::ApplicationChecks& action,
                                                      ActionContext& context) {
  auto copy = std::make_unique<MariadbCopy>(action, context);
  RETURN_IF_ERROR(copy->Open());
  return std::unique_ptr<CopyProbes>(std::move(copy));
}

}  // namespace

CopyEngine MariadbCopies() { return {FindMariadbCopy, OpenMariadbCopy}; }

}  // namespace salvor::agent
