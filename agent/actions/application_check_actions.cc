#include "agent/actions/application_check_actions.h"

#include <absl/time/clock.h>

#include <set>

#include "agent/actions/application_http_check.h"
#include "agent/actions/check_list.h"
#include "agent/actions/postgres_common.h"
#include "agent/postgres/scratch_server.h"
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

class Checker {
 public:
  Checker(const v1::ApplicationChecks& action, ActionContext& context, v1::ActionResult& result)
      : action_(action), context_(context), result_(result), checks_(action.component(), result) {}

  Status Run() {
    if (action_.has_postgres()) {
      ASSIGN_OR_RETURN(target_, ResolveTarget(action_.postgres(), context_));
    }
    for (const v1::ApplicationCheck& check : action_.checks()) {
      if (context_.stop.stop_requested()) return Cancelled("stopped between checks");
      RETURN_IF_ERROR(RunOne(check));
    }
    if (!skipped_.empty()) notes_.push_back("not asked in a drill: " + Join(skipped_, ", "));
    result_.set_note(Join(notes_, "; "));
    return OkStatus();
  }

 private:
  Status RunOne(const v1::ApplicationCheck& check) {
    switch (check.probe_case()) {
      case v1::ApplicationCheck::kSql:
        return Sql(check.name(), check.sql());
      case v1::ApplicationCheck::kWrite:
        return Write(check.name(), check.write());
      case v1::ApplicationCheck::kPermission:
        return Permission(check.name(), check.permission());
      case v1::ApplicationCheck::kHttp:
        return Http(check.name(), check.http());
      case v1::ApplicationCheck::kCommand:
        return Command(check.name(), check.command());
      case v1::ApplicationCheck::PROBE_NOT_SET:
        break;
    }
    checks_.Unverifiable("application", check.name(), "this agent does not know the kind of probe");
    return OkStatus();
  }

  // A session as the application would have it, inside a transaction, as `role`. Null after a verdict was
  // given.
  StatusOr<std::unique_ptr<Connection>> Open(const std::string& name, const std::string& database,
                                             const std::string& role, bool read_only) {
    const auto renamed = action_.database_names().find(database);
    const std::string& real = renamed == action_.database_names().end() ? database : renamed->second;
    auto opened = OpenSession(target_.connection, real, context_, /*pinned=*/false);
    if (opened.status().code() == absl::StatusCode::kNotFound) {
      checks_.Failed("application", name, fmt::format("database {} is not there", AsUtf8(real)));
      return std::unique_ptr<Connection>();
    }
    RETURN_IF_ERROR(opened.status());
    RETURN_IF_ERROR((*opened)->Execute(read_only ? "BEGIN READ ONLY" : "BEGIN READ WRITE"));
    if (role.empty()) return opened;
    const Status as_role = (*opened)->Execute("SET LOCAL ROLE " + (*opened)->Identifier(role));
    if (as_role.ok()) return opened;
    checks_.Failed("application", name, fmt::format("cannot act as role {}: {}", role, MessageOf(as_role)));
    return std::unique_ptr<Connection>();
  }

  // An error of the server's is about the probe; without a SQLSTATE the session itself is lost.
  static bool IsVerdict(const Connection& session, const Status& status) {
    return !session.LastSqlState().empty() && status.code() != absl::StatusCode::kUnavailable &&
           status.code() != absl::StatusCode::kCancelled;
  }

  Status Sql(const std::string& name, const v1::SqlCheck& probe) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, Open(name, probe.database(), probe.role(), true));
    if (!session) return OkStatus();
    if (EndsTransaction(probe.query())) {
      checks_.Unverifiable("application", name, "the query would change or end its own transaction");
      return OkStatus();
    }
    const auto rows = session->Query(probe.query());
    if (!rows.ok()) {
      if (!IsVerdict(*session, rows.status())) return rows.status();
      checks_.Failed("application", name, "the query failed: " + MessageOf(rows.status()));
      return OkStatus();
    }
    const std::string found = rows->Count() == 0 || rows->Columns() == 0 ? "no row"
                              : rows->IsNull(0, 0)                       ? "NULL"
                                                   : fmt::format("'{}'", AsUtf8(rows->View(0, 0)));
    const std::string expected = fmt::format("'{}'", probe.expect());
    if (found == expected) {
      checks_.Passed("application", name, "the query answered " + expected);
    } else {
      checks_.Failed("application", name,
                     fmt::format("the query answered {} instead of {}", found, expected));
    }
    return OkStatus();
  }

  Status Write(const std::string& name, const v1::WriteCheck& probe) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, Open(name, probe.database(), probe.role(), false));
    if (!session) return OkStatus();
    for (const std::string& statement : probe.statements()) {
      if (EndsTransaction(statement)) {
        checks_.Unverifiable("application", name, "a statement would change or end its own transaction");
        return OkStatus();
      }
      const auto done = session->Query(statement);
      if (done.ok()) continue;
      if (!IsVerdict(*session, done.status())) return done.status();
      checks_.Failed("application", name, "a statement failed: " + MessageOf(done.status()));
      return OkStatus();
    }
    // Constraints that wait for the end of the transaction count too.
    const Status constraints = session->Execute("SET CONSTRAINTS ALL IMMEDIATE");
    if (!constraints.ok()) {
      if (!IsVerdict(*session, constraints)) return constraints;
      checks_.Failed("application", name, "a deferred constraint failed: " + MessageOf(constraints));
      return OkStatus();
    }
    RETURN_IF_ERROR(session->Execute("ROLLBACK"));
    checks_.Passed("application", name,
                   fmt::format("{} statements worked, and were rolled back", probe.statements_size()));
    return OkStatus();
  }

  Status Permission(const std::string& name, const v1::PermissionCheck& probe) {
    ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, Open(name, probe.database(), probe.role(), false));
    if (!session) return OkStatus();
    if (EndsTransaction(probe.statement())) {
      checks_.Unverifiable("application", name, "the statement would change or end its own transaction");
      return OkStatus();
    }
    const auto done = session->Query(probe.statement());
    if (!done.ok() && !IsVerdict(*session, done.status())) return done.status();
    const bool denied = session->LastSqlState() == "42501";
    const std::string who = "role " + (probe.role().empty() ? std::string("of the restore") : probe.role());
    if (!done.ok() && !denied) {
      checks_.Failed("application", name,
                     "failed for another reason than permission: " + MessageOf(done.status()));
      return OkStatus();
    }
    const std::string found = who + (denied ? " is denied it" : " may do it");
    const bool as_expected = denied == (probe.expect() == v1::PermissionCheck::VERDICT_DENIED);
    if (as_expected) {
      checks_.Passed("application", name, found + ", as expected");
    } else {
      checks_.Failed("application", name, found + ", which was not expected");
    }
    return OkStatus();
  }

  Status Http(const std::string& name, const v1::HttpCheck& probe) {
    if (action_.drill()) {
      skipped_.push_back(name);
      return OkStatus();
    }
    const std::string fault = AskHttp(probe, context_.stop);
    if (context_.stop.stop_requested()) return Cancelled("stopped while asking {}", name);
    if (fault.empty()) {
      checks_.Passed("application", name, "the application answered as expected");
    } else {
      checks_.Failed("application", name, fault);
    }
    return OkStatus();
  }

  StatusOr<ProcessSpec> CommandSpec(const v1::CommandCheck& probe) {
    ProcessSpec spec;
    spec.argv.assign(probe.argv().begin(), probe.argv().end());
    if (action_.has_postgres()) {
      const std::string database =
          action_.database_names().empty() ? "" : action_.database_names().begin()->second;
      ASSIGN_OR_RETURN(spec.environment, ToolEnvironment(target_.connection, database));
    }
    if (action_.has_disk()) {
      spec.environment["SALVOR_PATH"] =
          action_.disk().scratch().empty()
              ? action_.disk().root()
              : ScratchServers::FilesDirectory(context_.config.state_directory, action_.disk().scratch());
    }
    spec.on_output_line = spec.on_error_line = [this](std::string_view line) {
      if (context_.log) context_.log("check", line);
    };
    return spec;
  }

  // In a drill without a network: the copy is reached by its socket, and nothing else shall be.
  StatusOr<std::unique_ptr<Process>> StartCommand(const v1::CommandCheck& probe, const std::string& name) {
    ASSIGN_OR_RETURN(ProcessSpec spec, CommandSpec(probe));
    if (!action_.drill()) return Process::Start(context_.config.supervisor, std::move(spec));
    spec.new_network = true;
    auto isolated = Process::Start(context_.config.supervisor, std::move(spec));
    if (isolated.ok() || isolated.status().code() == absl::StatusCode::kNotFound) return isolated;
    ASSIGN_OR_RETURN(ProcessSpec again, CommandSpec(probe));
    auto started = Process::Start(context_.config.supervisor, std::move(again));
    if (started.ok()) {
      notes_.push_back(fmt::format("not isolated: check {} ran with the host's network ({})", name,
                                   MessageOf(isolated.status())));
    }
    return started;
  }

  Status Command(const std::string& name, const v1::CommandCheck& probe) {
    if (probe.argv().empty()) {
      checks_.Unverifiable("application", name, "no command is given");
      return OkStatus();
    }
    const auto timeout = probe.timeout().empty() ? absl::Seconds(60) : ParseDuration(probe.timeout());
    if (!timeout)
      return InvalidArgument("timeout '{}' of check {} is no duration", Elide(probe.timeout(), 40), name);
    const absl::Time deadline = std::min(absl::Now() + *timeout, context_.deadline);
    const auto process = StartCommand(probe, name);
    if (!process.ok()) {
      checks_.Unverifiable("application", name,
                           "the command cannot be started: " + MessageOf(process.status()));
      return OkStatus();
    }
    const auto exit = (*process)->Wait(context_.stop, deadline);
    if (exit.status().code() == absl::StatusCode::kDeadlineExceeded && absl::Now() < context_.deadline) {
      checks_.Failed("application", name, fmt::format("no answer within {}", HumanDuration(*timeout)));
      return OkStatus();
    }
    RETURN_IF_ERROR(exit.status());
    const std::string words = RootCause(exit->error_tail);
    const std::string how = exit->Describe() + (words.empty() ? "" : ": " + AsUtf8(words));
    if (exit->Ok()) {
      checks_.Passed("application", name, how);
    } else if (exit->signal == 0 && exit->code == 75) {
      checks_.Unverifiable("application", name, how);
    } else {
      checks_.Failed("application", name, how);
    }
    return OkStatus();
  }

  const v1::ApplicationChecks& action_;
  ActionContext& context_;
  v1::ActionResult& result_;
  CheckList checks_;
  ResolvedTarget target_;
  std::vector<std::string> skipped_, notes_;
};

}  // namespace

StatusOr<v1::ActionResult> RunApplicationChecks(const v1::Action& action, ActionContext& context) {
  v1::ActionResult result;
  RETURN_IF_ERROR(Checker(action.application_checks(), context, result).Run());
  return result;
}

}  // namespace salvor::agent
