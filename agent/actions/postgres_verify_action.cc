#include <algorithm>
#include <map>
#include <set>

#include "agent/actions/postgres_actions.h"
#include "agent/actions/postgres_verify_parts.h"
#include "agent/postgres/globals.h"
#include "agent/postgres/inventory.h"
#include "base/text.h"

namespace salvor::agent {

Status VerifyInventory(Verification& verification) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session,
                   OpenSession(verification.target.connection, verification.database, verification.context));
  RETURN_IF_ERROR(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  ASSIGN_OR_RETURN_IN(const Inventory now, CaptureInventory(*session),
                      "taking stock of the restored database");
  const v1::DatabaseDetails& then = verification.details;
  int64_t lines = 0, rows = 0;
  for (const v1::CatalogSection& section : then.catalog()) lines += section.lines_size();
  for (const v1::MigrationTable& table : then.migrations()) rows += table.rows_size();
  const std::map<std::string, std::string> passed = {
      {"schema", fmt::format("{} facts of the catalogue equal", lines)},
      {"migrations", then.migrations_size() == 0
                         ? "no known migration table"
                         : fmt::format("{} tables, {} rows equal", then.migrations_size(), rows)},
      {"grants", "owners, grants and default grants equal"},
      {"extensions", fmt::format("{} extensions with equal versions", then.extensions_size())}};
  std::map<std::string, Tally> tallies;
  for (const auto& kind : passed) {
    tallies.emplace(kind.first, Tally(verification.checks, kind.first, verification.Subject()));
  }
  for (const Difference& difference : CompareInventories(then, now.details)) {
    const auto tally = tallies.find(difference.check);
    if (tally == tallies.end()) return Internal("no check is called '{}'", difference.check);
    if (difference.uncertain) {
      tally->second.Leave(difference.subject + ": " + difference.text);
    } else {
      tally->second.Fail(verification.Subject(difference.subject), difference.text);
    }
  }
  for (auto& tally : tallies) {
    tally.second.Close(passed.at(tally.first), "printed differently by another major version");
  }
  return OkStatus();
}

namespace {

struct SequenceNow {
  int64_t last_value = 0;
  bool rising = true;
};

StatusOr<SequenceNow> ReadSequence(Connection& session, const v1::SequenceExpectation& then) {
  ASSIGN_OR_RETURN(
      Rows rows,
      session.Query(fmt::format(
          "SELECT s.last_value, q.seqincrement > 0 FROM {} s, pg_sequence q WHERE q.seqrelid = {}::regclass",
          session.Table(then.schema(), then.name()),
          session.Literal(session.Table(then.schema(), then.name())))));
  if (rows.Count() != 1) return NotFound("the sequence is missing");
  return SequenceNow{rows.Int(0, 0), rows.Bool(0, 1)};
}

// "" where the sequence is owned by no column, or its table is empty, or it lies beyond the greatest value.
std::string BehindItsColumn(Connection& session, const v1::SequenceExpectation& then,
                            const SequenceNow& now) {
  if (then.owned_by_table().empty()) return "";
  const auto greatest =
      session.Query(fmt::format("SELECT {}({})::bigint FROM {}", now.rising ? "max" : "min",
                                session.Identifier(then.owned_by_column()), then.owned_by_table()));
  if (!greatest.ok() || greatest->Count() == 0 || greatest->IsNull(0, 0)) return "";
  const int64_t value = greatest->Int(0, 0);
  const bool behind = now.rising ? now.last_value < value : now.last_value > value;
  if (!behind) return "";
  const bool was_behind = now.rising ? then.at_least() < value : then.at_least() > value;
  return was_behind ? "" : fmt::format("stands at {}, its column goes to {}", now.last_value, value);
}

}  // namespace

Status VerifySequences(Verification& verification) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session,
                   OpenSession(verification.target.connection, verification.database, verification.context));
  Tally tally(verification.checks, "sequences", verification.Subject());
  for (const v1::SequenceExpectation& then : verification.details.sequences()) {
    const std::string subject = verification.Subject(then.schema() + "." + then.name());
    const auto now = ReadSequence(*session, then);
    if (now.status().code() == absl::StatusCode::kNotFound) {
      tally.Fail(subject, "the sequence is missing");
      continue;
    }
    RETURN_IF_ERROR(now.status());
    const bool far_enough =
        now->rising ? now->last_value >= then.at_least() : now->last_value <= then.at_least();
    const std::string behind = BehindItsColumn(*session, then, *now);
    if (!far_enough) {
      tally.Fail(subject, fmt::format("stands at {}, was at {}", now->last_value, then.at_least()));
    } else if (!behind.empty()) {
      tally.Fail(subject, behind);
    } else {
      tally.Pass();
    }
  }
  tally.Close(fmt::format("{} sequences at or beyond where they were", tally.PassedCount()), "");
  return OkStatus();
}

Status VerifyRoles(Verification& verification, const v1::GlobalsDetails* globals) {
  if (globals == nullptr) {
    verification.checks.Unverifiable("roles", verification.database,
                                     "the backup holds no roles to compare with");
    return OkStatus();
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session,
                   OpenSession(verification.target.connection, "", verification.context));
  ASSIGN_OR_RETURN(const Globals now, CaptureGlobals(*session));
  std::map<std::string, std::string> found;
  for (const v1::RoleStatements& role : now.details.roles()) found[role.role()] = role.fingerprint();
  Tally tally(verification.checks, "roles", verification.database);
  for (const v1::RoleStatements& role : globals->roles()) {
    const auto at = found.find(role.role());
    if (at == found.end()) {
      tally.Fail(role.role(), "the role is missing");
    } else if (at->second == role.fingerprint()) {
      tally.Pass();
    } else if (verification.target.scratch) {
      tally.Fail(role.role(), fmt::format("expected {}, found {}", role.fingerprint(), at->second));
    } else {
      tally.Leave(fmt::format("{} (was {}, is {})", role.role(), role.fingerprint(), at->second));
    }
  }
  const auto& present = now.details.server_statements();
  for (const std::string& statement : globals->server_statements()) {
    const std::string what = statement.substr(0, statement.find(" TO "));  // without the value
    if (std::find(present.begin(), present.end(), statement) != present.end()) continue;
    if (verification.target.scratch) {
      tally.Fail("all roles", "missing: " + what);
    } else {
      tally.Leave(what);
    }
  }
  tally.Close(fmt::format("{} roles with equal attributes, memberships and settings", tally.PassedCount()),
              "roles that were on the target already stay as they are, and differ");
  return OkStatus();
}

StatusOr<v1::ActionResult> RunPostgresVerify(const v1::Action& action, ActionContext& context) {
  const v1::PostgresVerify& verify = action.postgres_verify();
  ASSIGN_OR_RETURN(const v1::DatabaseDetails details,
                   LoadDetails(context, verify.location(), verify.database().details()));
  ASSIGN_OR_RETURN(const ResolvedTarget target, ResolveTarget(verify.target(), context));
  v1::GlobalsDetails globals;
  const bool have_globals = !verify.globals().snapshot().empty();
  if (have_globals) {
    ASSIGN_OR_RETURN(globals, LoadGlobals(context, verify.location(), verify.globals()));
  }
  v1::ActionResult result;
  CheckList checks(context.task.component(), result);
  Verification verification{context, target, verify.database().name(), details, checks};
  RETURN_IF_ERROR(VerifyInventory(verification));
  RETURN_IF_ERROR(VerifyRoles(verification, have_globals ? &globals : nullptr));
  RETURN_IF_ERROR(VerifySequences(verification));
  RETURN_IF_ERROR(VerifyTables(verification));
  RETURN_IF_ERROR(VerifyLargeObjects(verification));
  RETURN_IF_ERROR(VerifyStructure(verification));
  return result;
}

}  // namespace salvor::agent
