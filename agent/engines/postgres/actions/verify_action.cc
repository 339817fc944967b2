#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/lock_watch.h"
#include "agent/engines/postgres/actions/refresh.h"
#include "agent/engines/postgres/actions/verify_parts.h"
#include "agent/engines/postgres/globals.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/statement_reading.h"
#include "agent/scratch/scratch_places.h"
#include "base/text.h"

namespace salvor::agent {

namespace {

// Whether a difference that text alone shows is one: looked into on the copy, in a transaction that is rolled
// back. Begun when first needed.
class SecondLook {
 public:
  explicit SecondLook(Verification& verification) : verification_(verification) {}

  // The difference as it stands after the look; false when it is none.
  StatusOr<bool> Stands(Difference& difference) {
    if (difference.check == "extensions" && !difference.found.empty()) return IsOtherVersion(difference);
    if (difference.reading == Reading::kNone) return true;
    RETURN_IF_ERROR(Begin());
    if (!why_not_.empty()) {
      Doubt(why_not_, difference);
      return true;
    }
    ASSIGN_OR_RETURN(const ReadComparison comparison, SameOnceRead(*session_, difference));
    if (comparison.sameness == Sameness::kUnknown) Doubt(comparison.why, difference);
    return comparison.sameness != Sameness::kSame;
  }

 private:
  static void Doubt(const std::string& why, Difference& difference) {
    difference.uncertain = true;
    difference.text += "; whether this means the same cannot be told: " + why;
  }

  Status Begin() {
    if (session_ != nullptr || !why_not_.empty()) return OkStatus();
    ASSIGN_OR_RETURN(session_, OpenSession(verification_.target.connection, verification_.database,
                                           verification_.context));
    Status ready = session_->Execute("BEGIN READ WRITE");
    if (ready.ok()) ready = PrepareForReading(*session_);
    if (ready.ok()) return OkStatus();
    if (session_->LastSqlState().empty() || !session_->Alive()) return ready;
    why_not_ = MessageOf(ready);
    return OkStatus();
  }

  // A dump names no version of an extension: where a restore could not make that of the backup, it gets the one that
  // the server installs by itself.
  StatusOr<bool> IsOtherVersion(Difference& difference) {
    ASSIGN_OR_RETURN(
        std::unique_ptr<Connection> session,
        OpenSession(verification_.target.connection, verification_.database, verification_.context));
    ASSIGN_OR_RETURN(
        Rows rows,
        session->Query("SELECT FROM pg_available_extensions WHERE name = $1 AND default_version = $2",
                       {difference.name, difference.found}));
    if (rows.Count() == 0) return true;
    difference.uncertain = true;
    difference.text += ", which is what this server installs; a dump names no version";
    return true;
  }

  Verification& verification_;
  std::unique_ptr<Connection> session_;  // its end rolls back
  std::string why_not_;
};

int64_t CountFacts(const v1::DatabaseDetails& details) {
  int64_t facts = 0;
  for (const v1::CatalogSection& section : details.catalog()) {
    facts += section.lines_size() + section.statements_size();
  }
  return facts;
}

}  // namespace

Status VerifyInventory(Verification& verification) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session,
                   OpenSession(verification.target.connection, verification.database, verification.context));
  RETURN_IF_ERROR(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  ASSIGN_OR_RETURN_IN(const Inventory now, CaptureInventory(*session),
                      "reading the catalogue of the restored database");
  session.reset();
  const v1::DatabaseDetails& then = verification.details;
  int64_t rows = 0;
  for (const v1::MigrationTable& table : then.migrations()) rows += table.rows_size();
  const std::map<std::string, std::string> passed = {
      {"schema", fmt::format("{} facts of the catalogue equal", CountFacts(then))},
      {"migrations", then.migrations_size() == 0
                         ? "no known migration table"
                         : fmt::format("{} tables, {} rows equal", then.migrations_size(), rows)},
      {"grants", "owners, grants and default grants equal"},
      {"extensions", fmt::format("{} extensions with equal versions", then.extensions_size())}};
  std::map<std::string, Tally> tallies;
  for (const auto& kind : passed) {
    tallies.emplace(kind.first, Tally(verification.checks, kind.first, verification.Subject()));
  }
  std::map<std::string, int64_t> left_out;
  const auto follows = [&](const std::string& check, const std::string& line) {
    const bool explained = verification.not_built.Explains(check, line);
    if (explained) ++left_out[check];
    return explained;
  };
  SecondLook second_look(verification);
  for (Difference& difference : CompareInventories(then, now.details, follows)) {
    const auto tally = tallies.find(difference.check);
    if (tally == tallies.end()) return Internal("no check is called '{}'", difference.check);
    ASSIGN_OR_RETURN_IN(const bool stands, second_look.Stands(difference), "reading definitions once more");
    if (!stands) continue;
    if (difference.uncertain) {
      tally->second.Leave(difference.subject + ": " + difference.text);
    } else {
      tally->second.Fail(verification.Subject(difference.subject), difference.text);
    }
  }
  for (auto& [check, tally] : tallies) {
    const int64_t lines = left_out[check];
    tally.Close(
        passed.at(check) + (lines == 0 ? "" : fmt::format(", but for {} of what could not be built", lines)),
        "not compared");
  }
  return OkStatus();
}

namespace {

struct SequenceNow {
  int64_t last_value = 0;
  bool rising = true;
  bool is_called = false;  // last_value was given out; else it comes next
  bool cycles = false;
  int64_t least = 0, greatest = 0;
};

// A name as this session wants it: those of a database without an encoding were kept with their bytes written out.
std::string NameFor(const Connection& session, const std::string& kept) {
  return session.TextEncoding() == "UTF8" ? kept : BytesOf(kept);
}

StatusOr<SequenceNow> ReadSequence(Connection& session, const v1::SequenceExpectation& then) {
  const std::string table = session.Table(NameFor(session, then.schema()), NameFor(session, then.name()));
  ASSIGN_OR_RETURN(Rows rows, session.Query(fmt::format(R"sql(
SELECT s.last_value, q.seqincrement > 0, s.is_called, q.seqcycle, q.seqmin, q.seqmax
FROM {} s, pg_sequence q
WHERE q.seqrelid = {}::regclass
)sql",
                                                        table, session.Literal(table))));
  if (rows.Count() != 1) return NotFound("the sequence is missing");
  return SequenceNow{rows.Int(0, 0),  rows.Bool(0, 1), rows.Bool(0, 2),
                     rows.Bool(0, 3), rows.Int(0, 4),  rows.Int(0, 5)};
}

std::string Position(int64_t value, bool is_called) {
  return fmt::format("{}{}", value, is_called ? "" : " (not given out yet)");
}

// "" where the sequence stands at or beyond where it was. One that cycles, and was in use, may be anywhere.
std::string BehindThen(const v1::SequenceExpectation& then, const SequenceNow& now) {
  if (now.cycles) {
    if (now.last_value >= now.least && now.last_value <= now.greatest) return "";
    return fmt::format("stands at {}, outside of {} to {}", now.last_value, now.least, now.greatest);
  }
  const bool was_called = then.has_is_called() ? then.is_called() : now.is_called;
  const bool far_enough = now.last_value == then.at_least()
                              ? now.is_called || !was_called
                              : (now.last_value > then.at_least()) == now.rising;
  if (far_enough) return "";
  return fmt::format("stands at {}, was at {}", Position(now.last_value, now.is_called),
                     Position(then.at_least(), was_called));
}

// "" where the sequence is owned by no column, or its table is empty, or it lies beyond the greatest value.
std::string BehindItsColumn(Connection& session, const v1::SequenceExpectation& then,
                            const SequenceNow& now) {
  if (then.owned_by_table().empty() || now.cycles) return "";
  const auto greatest = session.Query(fmt::format(
      "SELECT {}({})::bigint FROM {}", now.rising ? "max" : "min",
      session.Identifier(NameFor(session, then.owned_by_column())), NameFor(session, then.owned_by_table())));
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
    if (verification.not_built.ExplainsSequence(then.schema(), then.name())) continue;
    const std::string subject = verification.Subject(then.schema() + "." + then.name());
    const auto now = ReadSequence(*session, then);
    if (now.status().code() == absl::StatusCode::kNotFound) {
      tally.Fail(subject, "the sequence is missing");
      continue;
    }
    RETURN_IF_ERROR(now.status());
    const std::string behind_then = BehindThen(then, *now);
    const std::string behind = BehindItsColumn(*session, then, *now);
    if (!behind_then.empty()) {
      tally.Fail(subject, behind_then);
    } else if (!behind.empty()) {
      tally.Fail(subject, behind);
    } else {
      tally.Pass();
    }
  }
  tally.Close(fmt::format("{} sequences at or beyond where they were", tally.PassedCount()), "");
  return OkStatus();
}

namespace {

// "" where the role is as it was. Statements hold the password's hash, which is compared and never shown.
std::string RoleDifference(const v1::RoleStatements& then, const v1::RoleStatements& now,
                           bool passwords_readable) {
  if (then.fingerprint() != now.fingerprint()) {
    return fmt::format("expected {}, found {}", then.fingerprint(), now.fingerprint());
  }
  if (passwords_readable && then.create() != now.create()) return "its password is another one";
  return "";
}

}  // namespace

Status VerifyRoles(Verification& verification, const v1::GlobalsDetails* globals) {
  if (globals == nullptr) {
    verification.checks.Unverifiable("roles", verification.database,
                                     "the backup holds no roles to compare with");
    return OkStatus();
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session,
                   OpenSession(verification.target.connection, "", verification.context));
  ASSIGN_OR_RETURN(const std::string self, session->Value("SELECT session_user"));
  ASSIGN_OR_RETURN(const Globals now, CaptureGlobals(*session));
  std::map<std::string, const v1::RoleStatements*> then, found;
  for (const v1::RoleStatements& role : globals->roles()) then[role.role()] = &role;
  for (const v1::RoleStatements& role : now.details.roles()) found[role.role()] = &role;
  Tally tally(verification.checks, "roles", verification.database);
  for (const v1::RoleStatements& role : globals->roles()) {
    const auto at = found.find(role.role());
    if (at == found.end()) {
      tally.Fail(role.role(), "the role is missing");
      continue;
    }
    const std::string difference = RoleDifference(role, *at->second, now.passwords_readable);
    if (difference.empty()) {
      tally.Pass();
    } else if (verification.target.scratch) {
      tally.Fail(role.role(), difference);
    } else {
      tally.Leave(fmt::format("{} ({})", role.role(), difference));
    }
  }
  // A server that was there before may well have others; a drill's has none but its own.
  for (const auto& [name, role] : found) {
    if (!verification.target.scratch || then.count(name) > 0 || name == AsUtf8(self)) continue;
    if (role->fingerprint().starts_with("SUPERUSER ")) {
      tally.Fail(name, "a superuser that the backup does not hold");
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

namespace {

// A view that a drill could not fill is not compared, by name; that it is empty is then as expected.
Status NameViewsLeftEmpty(const std::string& drill, const Verification& verification,
                          v1::DatabaseDetails& details) {
  constexpr size_t kMostNamed = 50;
  ASSIGN_OR_RETURN(auto of_databases, verification.context.scratch->LeftEmpty(drill));
  const ViewsLeftEmpty& left = of_databases[verification.database];
  size_t named = 0;
  for (const auto& [view, why] : left) {
    if (++named > kMostNamed) break;
    verification.checks.Unverifiable(
        "materialized views", verification.Subject(view),
        fmt::format("left empty in the drill: {}. A restore runs its query, and stops if that fails", why));
  }
  if (left.size() > kMostNamed) {
    verification.checks.Unverifiable(
        "materialized views", verification.Subject(),
        fmt::format("{} more were left empty like these", left.size() - kMostNamed));
  }
  ExpectLeftEmpty(left, &details);
  return OkStatus();
}

}  // namespace

StatusOr<v1::ActionResult> RunPostgresVerify(const v1::PostgresVerify& verify, ActionContext& context) {
  ASSIGN_OR_RETURN(v1::DatabaseDetails details,
                   LoadDetails(context, verify.location(), verify.database().details()));
  ASSIGN_OR_RETURN(const ResolvedTarget target, ResolveTarget(verify.target(), context));
  v1::GlobalsDetails globals;
  const bool have_globals = !verify.globals().snapshot().empty();
  if (have_globals) {
    ASSIGN_OR_RETURN(globals, LoadGlobals(context, verify.location(), verify.globals()));
  }
  std::optional<LockWatch> watch;  // on a scratch server nobody but us works
  if (!target.scratch) watch.emplace(context, target.connection, verify.database().name());
  v1::ActionResult result;
  CheckList checks(context.task.component(), result);
  const NotBuiltThings not_built(context.task, AsUtf8(verify.database().name()));
  Verification verification{context, target, verify.database().name(), details, checks, not_built};
  RETURN_IF_ERROR(CheckStillLoaded(verify.target(), verification.database, context));
  not_built.Report(checks);
  if (target.scratch) RETURN_IF_ERROR(NameViewsLeftEmpty(verify.target().scratch(), verification, details));
  RETURN_IF_ERROR(VerifyInventory(verification));
  RETURN_IF_ERROR(VerifyRoles(verification, have_globals ? &globals : nullptr));
  RETURN_IF_ERROR(VerifySequences(verification));
  RETURN_IF_ERROR(VerifyTables(verification));
  RETURN_IF_ERROR(VerifyLargeObjects(verification));
  RETURN_IF_ERROR(VerifyStructure(verification));
  RETURN_IF_ERROR(CheckStillLoaded(verify.target(), verification.database, context));
  return result;
}

}  // namespace salvor::agent
