#include "agent/probes/application_check_actions.h"

#include <optional>
#include <set>

#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/scratch_server.h"
#include "agent/probes/application_check_room.h"
#include "agent/probes/application_http_check.h"
#include "agent/work/check_list.h"
#include "base/io/steady_clock.h"
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
      RETURN_IF_ERROR(CheckAllStillLoaded());
      RETURN_IF_ERROR(ReadLeftEmpty());
    }
    for (const v1::ApplicationCheck& check : action_.checks()) {
      if (context_.stop.stop_requested()) return Cancelled("stopped between checks");
      RETURN_IF_ERROR(RunOne(check));
    }
    RETURN_IF_ERROR(CheckAllStillLoaded());
    if (!skipped_.empty()) notes_.push_back("not asked in a drill: " + Join(skipped_, ", "));
    result_.set_note(Join(notes_, "; "));
    return OkStatus();
  }

 private:
  Status CheckAllStillLoaded() {
    for (const auto& [source, name] : action_.database_names())
      RETURN_IF_ERROR(CheckStillLoaded(action_.postgres(), name, context_));
    return OkStatus();
  }

  // Views that the drill left empty excuse a check that looks at them.
  Status ReadLeftEmpty() {
    if (!target_.scratch) return OkStatus();
    ASSIGN_OR_RETURN(const auto left, context_.scratch->LeftEmpty(action_.postgres().scratch()));
    for (const auto& [database, views] : left) {
      for (const auto& view : views) left_empty_[database].push_back(view.first);
    }
    return OkStatus();
  }

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
      case v1::ApplicationCheck::kExtension:  // a strategy of such checks asks them itself
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
    if (renamed == action_.database_names().end() && !action_.database_names().empty()) {
      checks_.Unverifiable("application", name,
                           fmt::format("database {} is not among what was restored", AsUtf8(database)));
      return std::unique_ptr<Connection>();
    }
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
    if (!IsVerdict(**opened, as_role)) return as_role;
    // That a role is missing is compared by itself, and membership is the restoring user's affair.
    checks_.Unverifiable("application", name,
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
      checks_.Unverifiable("application", name, "the check cannot run: " + how);
    } else if (const auto left = left_empty_.find(session.Database());
               state == "55000" && left != left_empty_.end()) {  // what a view says that was never filled
      checks_.Unverifiable("application", name,
                           fmt::format("{} (left empty in the drill: {})", how, Names(left->second)));
    } else {
      checks_.Failed("application", name, how);
    }
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
      Refused(name, "the query failed: " + MessageOf(rows.status()), *session);
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
      Refused(name, "a statement failed: " + MessageOf(done.status()), *session);
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
      Refused(name, "failed for another reason than permission: " + MessageOf(done.status()), *session);
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
    if (IsBesideTheOriginal(action_)) {
      checks_.Unverifiable("application", name,
                           "it would ask the running application, which does not use this copy");
      return OkStatus();
    }
    const std::string fault = AskHttp(probe, context_.stop);
    if (context_.stop.stop_requested()) return Cancelled("cancelled while asking {}", name);
    if (fault.empty()) {
      checks_.Passed("application", name, "the application answered as expected");
    } else {
      checks_.Failed("application", name, fault);
    }
    return OkStatus();
  }

  Status Command(const std::string& name, const v1::CommandCheck& probe) {
    if (probe.argv().empty()) {
      checks_.Unverifiable("application", name, "no command is given");
      return OkStatus();
    }
    if (!TimeoutOf(probe))
      return InvalidArgument("timeout '{}' of check {} is not a duration; write 90s or 1h30m",
                             Elide(probe.timeout(), 40), name);
    if (const Status permitted = context_.config.policy.PermitCheckProgram(probe.argv(0)); !permitted.ok()) {
      checks_.Unverifiable("application", name, MessageOf(permitted) + ". " + HintOf(permitted));
      return OkStatus();
    }
    if (const std::string miss = WhyItMissesTheCopy(action_, probe); !miss.empty()) {
      checks_.Unverifiable("application", name, miss);
      return OkStatus();
    }
    auto room = CheckRoom::Make(action_, target_.connection, context_);
    if (!room.ok()) {
      checks_.Unverifiable("application", name,
                           "the command cannot be closed in: " + MessageOf(room.status()));
      return OkStatus();
    }
    if (!(*room)->NotIsolated().empty())
      notes_.push_back(fmt::format("not isolated: check {}: {}", name, (*room)->NotIsolated()));
    return RunCommand(name, probe, **room);
  }

  static std::optional<absl::Duration> TimeoutOf(const v1::CommandCheck& probe) {
    return probe.timeout().empty() ? absl::Seconds(60) : ParseDuration(probe.timeout());
  }

  Status RunCommand(const std::string& name, const v1::CommandCheck& probe, const CheckRoom& room) {
    const absl::Duration timeout = *TimeoutOf(probe);
    const SteadyTime deadline = std::min(SteadyNow() + timeout, context_.deadline);
    auto spec = room.Spec(probe);
    if (spec.ok()) {
      spec->on_output_line = spec->on_error_line = [this](std::string_view line) {
        if (context_.log) context_.log("check", line);
      };
    }
    const auto process = spec.ok() ? Process::Start(context_.config.supervisor, *std::move(spec))
                                   : StatusOr<std::unique_ptr<Process>>(spec.status());
    if (!process.ok()) {
      checks_.Unverifiable("application", name,
                           "the command cannot be started: " + MessageOf(process.status()));
      return OkStatus();
    }
    const auto exit = (*process)->Wait(context_.stop, deadline);
    if (exit.status().code() == absl::StatusCode::kDeadlineExceeded && SteadyNow() < context_.deadline) {
      checks_.Unverifiable("application", name, fmt::format("no answer within {}", HumanDuration(timeout)));
      return OkStatus();
    }
    RETURN_IF_ERROR(exit.status());
    Judge(name, *exit, room);
    return OkStatus();
  }

  void Judge(const std::string& name, const ExitStatus& exit, const CheckRoom& room) {
    const std::string words = RootCause(exit.error_tail);
    const std::string how = exit.Describe() + (words.empty() ? "" : ": " + AsUtf8(words));
    if (exit.Ok()) return checks_.Passed("application", name, how);
    if (const std::string never = SandboxFailure(exit); !never.empty())
      return checks_.Unverifiable("application", name, "the command cannot be started: " + AsUtf8(never));
    // Killed (128 + signal, from inside a sandbox), or without a program that it wants: it did not come to a verdict.
    const bool no_verdict = exit.signal != 0 || exit.code > 128 || exit.code == 126 || exit.code == 127;
    if (no_verdict || exit.code == 75) return checks_.Unverifiable("application", name, how);
    // A check without privileges may have failed for want of them, which says nothing about the copy.
    if (const std::string closed = room.FirstClosedFile(); !closed.empty()) {
      return checks_.Unverifiable(
          "application", name,
          fmt::format("{} (the check runs without privileges, and {} is not readable to everybody)", how,
                      PercentEncode(closed)));
    }
    std::vector<std::string> left;  // of all databases: nobody knows what a command looks at
    for (const auto& [database, views] : left_empty_) left.insert(left.end(), views.begin(), views.end());
    if (!left.empty()) {
      return checks_.Unverifiable(
          "application", name,
          fmt::format("{} (it may have looked at what is left empty in the drill: {})", how, Names(left)));
    }
    checks_.Failed("application", name, how);
  }

  const v1::ApplicationChecks& action_;
  ActionContext& context_;
  v1::ActionResult& result_;
  CheckList checks_;
  ResolvedTarget target_;
  std::vector<std::string> skipped_, notes_;
  std::map<std::string, std::vector<std::string>> left_empty_;  // materialized views by database
};

}  // namespace

StatusOr<v1::ActionResult> RunApplicationChecks(const v1::Action& action, ActionContext& context) {
  v1::ActionResult result;
  RETURN_IF_ERROR(Checker(action.application_checks(), context, result).Run());
  return result;
}

}  // namespace salvor::agent
