#include "agent/engines/postgres/actions/copy_probes.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "agent/engines/postgres/actions/common.h"
#include "agent/scratch/scratch_places.h"
#include "base/text.h"

namespace salvor::agent {

std::string FirstKeyword(std::string_view statement) {
  while (true) {
    statement = Trim(statement);
    if (statement.substr(0, 2) == "--") {
      const size_t end = statement.find('\n');
      if (end == std::string_view::npos) return "";
      statement.remove_prefix(end);
    } else if (statement.substr(0, 2) == "/*") {  // comments nest
      int depth = 0;
      size_t i = 0;
      do {
        if (i + 1 >= statement.size()) return "";
        const std::string_view two = statement.substr(i, 2);
        if (two == "/*") ++depth;
        if (two == "*/") --depth;
        i += two == "/*" || two == "*/" ? 2 : 1;
      } while (depth > 0);
      statement.remove_prefix(i);
    } else if (!statement.empty() && statement.front() == ';') {
      statement.remove_prefix(1);
    } else {
      break;
    }
  }
  std::string word;
  for (const char c : statement) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (lower < 'a' || lower > 'z') break;
    word += lower;
  }
  return word;
}

namespace {

// Statements that would end the transaction we roll back.
bool EndsTransaction(std::string_view statement) {
  static const std::set<std::string> kWords = {"commit", "end",     "rollback",  "abort",   "begin",
                                               "start",  "prepare", "savepoint", "release", "set"};
  const std::string word = FirstKeyword(statement);
  return word.empty() || kWords.count(word) > 0;
}

class PostgresCopy final : public CopyProbes {
 public:
  PostgresCopy(const v1::ApplicationChecks& action, ActionContext& context)
      : action_(action), context_(context) {}

  Status Open() {
    ASSIGN_OR_RETURN(target_, ResolveTarget(action_.postgres(), context_));
    RETURN_IF_ERROR(CheckStillLoaded());
    return ReadLeftEmpty();
  }

  Status CheckStillLoaded() override {
    for (const auto& [source, name] : action_.database_names())
      RETURN_IF_ERROR(agent::CheckStillLoaded(action_.postgres(), name, context_));
    return OkStatus();
  }

  StatusOr<bool> Run(const v1::ApplicationCheck& check, CheckList& checks) override {
    checks_ = &checks;
    switch (check.probe_case()) {
      case v1::ApplicationCheck::kSql:
        RETURN_IF_ERROR(Sql(check.name(), check.sql()));
        return true;
      case v1::ApplicationCheck::kWrite:
        RETURN_IF_ERROR(Write(check.name(), check.write()));
        return true;
      case v1::ApplicationCheck::kPermission:
        RETURN_IF_ERROR(Permission(check.name(), check.permission()));
        return true;
      default:
        return false;
    }
  }

  std::vector<std::string> LeftEmpty() const override {
    std::vector<std::string> left;
    for (const auto& [database, views] : left_empty_) left.insert(left.end(), views.begin(), views.end());
    return left;
  }

  std::string SocketDirectory() const override { return target_.connection.socket_directory(); }
  std::string PasswordFile() const override { return target_.connection.passfile(); }

  StatusOr<std::map<std::string, std::string>> EnvironmentOf(
      const v1::CommandCheck& check, const std::string& socket_directory,
      const std::string& password_file) const override {
    const auto& names = action_.database_names();
    const auto named = names.find(check.database());
    const std::string database = named != names.end() ? named->second
                                 : names.empty()      ? ""
                                                      : names.begin()->second;
    v1::PostgresConnection inside = target_.connection;
    inside.set_socket_directory(socket_directory);
    ASSIGN_OR_RETURN(auto environment, ToolEnvironment(inside, database));
    if (!password_file.empty()) environment["PGPASSFILE"] = password_file;
    return environment;
  }

 private:
  // Views that the drill left empty excuse a check that looks at them.
  Status ReadLeftEmpty() {
    if (!target_.scratch) return OkStatus();
    ASSIGN_OR_RETURN(const auto left, context_.scratch->LeftEmpty(action_.postgres().scratch()));
    for (const auto& [database, views] : left) {
      for (const auto& view : views) left_empty_[database].push_back(view.first);
    }
    return OkStatus();
  }

  // A session as the application would have it, inside a transaction, as `role`. Null after a verdict was
  // given.
  StatusOr<std::unique_ptr<Connection>> Open(const std::string& name, const std::string& database,
                                             const std::string& role, bool read_only) {
    const auto renamed = action_.database_names().find(database);
    if (renamed == action_.database_names().end() && !action_.database_names().empty()) {
      checks_->Unverifiable("application", name,
                            fmt::format("database {} is not among what was restored", AsUtf8(database)));
      return std::unique_ptr<Connection>();
    }
    const std::string& real = renamed == action_.database_names().end() ? database : renamed->second;
    auto opened = OpenSession(target_.connection, real, context_, /*pinned=*/false);
    if (opened.status().code() == absl::StatusCode::kNotFound) {
      checks_->Failed("application", name, fmt::format("database {} is not there", AsUtf8(real)));
      return std::unique_ptr<Connection>();
    }
    RETURN_IF_ERROR(opened.status());
    RETURN_IF_ERROR((*opened)->Execute(read_only ? "BEGIN READ ONLY" : "BEGIN READ WRITE"));
    if (role.empty()) return opened;
    const Status as_role = (*opened)->Execute("SET LOCAL ROLE " + (*opened)->Identifier(role));
    if (as_role.ok()) return opened;
    if (!IsVerdict(**opened, as_role)) return as_role;
    // That a role is missing is compared by itself, and membership is the restoring user's affair.
    checks_->Unverifiable("application", name,
                          fmt::format("cannot act as role {}: {}", role, MessageOf(as_role)));
    return std::unique_ptr<Connection>();
  }

  // An error of the server's is about the probe; without a SQLSTATE the session itself is lost.
  static bool IsVerdict(const Connection& session, const Status& status) {
    return !session.LastSqlState().empty() && !IsOfSurroundings(status) &&
           status.code() != absl::StatusCode::kCancelled &&
           status.code() != absl::StatusCode::kDeadlineExceeded;
  }

  // A statement that the server does not understand says nothing about the copy: whether what it names is there is
  // compared by itself. Class 42 of the SQLSTATEs, but for the lack of a right (42501), which an application would meet.
  void Refused(const std::string& name, const std::string& how, const Connection& session) {
    const std::string& state = session.LastSqlState();
    if (state.rfind("42", 0) == 0 && state != "42501") {
      checks_->Unverifiable("application", name, "the check cannot run: " + how);
    } else if (const auto left = left_empty_.find(session.Database());
               state == "55000" && left != left_empty_.end()) {  // what a view says that was never filled
      checks_->Unverifiable("application", name,
                            fmt::format("{} (left empty in the drill: {})", how, Names(left->second)));
    } else {
      checks_->Failed("application", name, how);
    }
  }

  Status Sql(const std::string& name, const v1::SqlCheck& probe) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, Open(name, probe.database(), probe.role(), true));
    if (!session) return OkStatus();
    if (EndsTransaction(probe.query())) {
      checks_->Unverifiable("application", name, "the query would change or end its own transaction");
      return OkStatus();
    }
    const auto rows = session->Query(probe.query());
    if (!rows.ok()) {
      if (!IsVerdict(*session, rows.status())) return rows.status();
      Refused(name, "the query failed: " + MessageOf(rows.status()), *session);
      return OkStatus();
    }
    const std::string found = rows->Count() == 0 || rows->Columns() == 0 ? "no row"
                              : rows->IsNull(0, 0)                       ? "NULL"
                                                   : fmt::format("'{}'", AsUtf8(rows->View(0, 0)));
    const std::string expected = fmt::format("'{}'", probe.expect());
    if (found == expected) {
      checks_->Passed("application", name, "the query answered " + expected);
    } else {
      checks_->Failed("application", name,
                      fmt::format("the query answered {} instead of {}", found, expected));
    }
    return OkStatus();
  }

  Status Write(const std::string& name, const v1::WriteCheck& probe) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, Open(name, probe.database(), probe.role(), false));
    if (!session) return OkStatus();
    for (const std::string& statement : probe.statements()) {
      if (EndsTransaction(statement)) {
        checks_->Unverifiable("application", name, "a statement would change or end its own transaction");
        return OkStatus();
      }
      const auto done = session->Query(statement);
      if (done.ok()) continue;
      if (!IsVerdict(*session, done.status())) return done.status();
      Refused(name, "a statement failed: " + MessageOf(done.status()), *session);
      return OkStatus();
    }
    // Constraints that wait for the end of the transaction count too.
    Status constraints = session->Execute("SET CONSTRAINTS ALL IMMEDIATE");
    if (!constraints.ok()) {
      if (!IsVerdict(*session, constraints)) return constraints;
      checks_->Failed("application", name, "a deferred constraint failed: " + MessageOf(constraints));
      return OkStatus();
    }
    RETURN_IF_ERROR(session->Execute("ROLLBACK"));
    checks_->Passed("application", name,
                    fmt::format("{} statements worked, and were rolled back", probe.statements_size()));
    return OkStatus();
  }

  Status Permission(const std::string& name, const v1::PermissionCheck& probe) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, Open(name, probe.database(), probe.role(), false));
    if (!session) return OkStatus();
    if (EndsTransaction(probe.statement())) {
      checks_->Unverifiable("application", name, "the statement would change or end its own transaction");
      return OkStatus();
    }
    const auto done = session->Query(probe.statement());
    if (!done.ok() && !IsVerdict(*session, done.status())) return done.status();
    const bool denied = session->LastSqlState() == "42501";
    const std::string who = "role " + (probe.role().empty() ? std::string("of the restore") : probe.role());
    if (!done.ok() && !denied) {
      Refused(name, "failed for another reason than permission: " + MessageOf(done.status()), *session);
      return OkStatus();
    }
    const std::string found = who + (denied ? " is denied it" : " may do it");
    const bool as_expected = denied == (probe.expect() == v1::PermissionCheck::VERDICT_DENIED);
    if (as_expected) {
      checks_->Passed("application", name, found + ", as expected");
    } else {
      checks_->Failed("application", name, found + ", which was not expected");
    }
    return OkStatus();
  }

  const v1::ApplicationChecks& action_;
  ActionContext& context_;
  CheckList* checks_ = nullptr;  // of the check that runs
  ResolvedTarget target_;
  std::map<std::string, std::vector<std::string>> left_empty_;  // materialized views by database
};

std::optional<CopyPlace> FindPostgresCopy(const v1::ApplicationChecks& action) {
  if (!action.has_postgres()) return std::nullopt;
  CopyPlace place;
  place.scratch = action.postgres().scratch();
  return place;
}

StatusOr<std::unique_ptr<CopyProbes>> OpenPostgresCopy(const v1::ApplicationChecks& action,
                                                       ActionContext& context) {
  auto copy = std::make_unique<PostgresCopy>(action, context);
  RETURN_IF_ERROR(copy->Open());
  return std::unique_ptr<CopyProbes>(std::move(copy));
}

}  // namespace

CopyEngine PostgresCopies() { return {FindPostgresCopy, OpenPostgresCopy}; }

}  // namespace salvor::agent
