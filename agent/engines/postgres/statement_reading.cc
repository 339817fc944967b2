#include "agent/engines/postgres/statement_reading.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace salvor::agent {
namespace {

// How often a text is read again at most: measured on PostgreSQL 15, the second printing stays as it is.
constexpr int kReadings = 2;

// "orders" of app.orders, "Odd.one" of app."Odd.one": the second of two names as format('%I.%I') wrote them.
std::string SecondName(const std::string& qualified) {
  size_t i = 0;
  bool quoted = false;
  for (; i < qualified.size(); ++i) {
    if (qualified[i] == '"') quoted = !quoted;
    if (qualified[i] == '.' && !quoted) return qualified.substr(i + 1);
  }
  return qualified;
}

// The first `from` in `text` becomes `to`; false without any.
bool ReplaceFirst(const std::string& from, const std::string& to, std::string& text) {
  const size_t at = text.find(from);
  if (at == std::string::npos) return false;
  text.replace(at, from.size(), to);
  return true;
}

class StatementReader {
 public:
  StatementReader(Connection& session, Reading reading, const std::string& name)
      : session_(session), reading_(reading), name_(name), second_name_(SecondName(name)) {}

  // The statement as it prints after it was read. An error with an SQLSTATE is about the statement.
  StatusOr<std::string> Read(const std::string& statement) {
    RETURN_IF_ERROR(session_.Execute("SAVEPOINT before_reading"));
    StatusOr<std::string> printed = Make(statement);
    const std::string state = session_.LastSqlState();
    about_statement_ = !printed.ok() && (!state.empty() || printed.status().code() == kNoPlace) &&
                       session_.Alive() && printed.status().code() != absl::StatusCode::kCancelled &&
                       printed.status().code() != absl::StatusCode::kDeadlineExceeded;
    if (printed.ok() || about_statement_) {
      RETURN_IF_ERROR(session_.Execute("ROLLBACK TO before_reading; RELEASE before_reading"));
    }
    return printed;
  }

  // Whether the last error was one of the statement, not of the session.
  bool AboutStatement() const { return about_statement_; }

 private:
  static constexpr absl::StatusCode kNoPlace = absl::StatusCode::kOutOfRange;

  StatusOr<std::string> Make(const std::string& statement) {
    if (reading_ == Reading::kRule) return MakeRule(statement);
    if (reading_ == Reading::kFunction) return MakeFunction(statement);
    // Query takes one statement only, whatever the text holds.
    RETURN_IF_ERROR(session_.Query("CREATE TEMPORARY VIEW salvor_reading AS " + statement).status());
    ASSIGN_OR_RETURN(std::string printed,
                     session_.Value("SELECT pg_get_viewdef('pg_temp.salvor_reading'::regclass)"));
    if (printed.ends_with(';')) printed.pop_back();
    return printed;
  }

  // The rule is made on an empty table with the columns and the name of the real one, so that its own name means the
  // same.
  StatusOr<std::string> MakeRule(std::string statement) {
    RETURN_IF_ERROR(
        session_.Query(fmt::format("CREATE TEMPORARY TABLE {} (LIKE {})", second_name_, name_)).status());
    ASSIGN_OR_RETURN(const std::string schema, TemporarySchema());
    if (!ReplaceFirst(" TO " + name_, fmt::format(" TO {}.{}", schema, second_name_), statement)) {
      return Status(kNoPlace, "the rule does not name its relation");
    }
    RETURN_IF_ERROR(session_.Query(statement).status());
    ASSIGN_OR_RETURN(std::string printed, session_.Value(R"sql(
SELECT pg_get_ruledef(r.oid)
FROM pg_rewrite r
  JOIN pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace = pg_my_temp_schema()
ORDER BY r.oid DESC
LIMIT 1
)sql"));
    Restore(" TO ", schema, "", printed);
    return printed;
  }

  StatusOr<std::string> MakeFunction(std::string statement) {
    // The temporary schema comes into being with the first thing in it.
    RETURN_IF_ERROR(session_.Query("CREATE TEMPORARY VIEW salvor_reading AS SELECT 1 AS one").status());
    ASSIGN_OR_RETURN(const std::string schema, TemporarySchema());
    if (!ReplaceFirst(" " + name_ + "(", fmt::format(" {}.{}(", schema, second_name_), statement)) {
      return Status(kNoPlace, "the statement does not name its function");
    }
    RETURN_IF_ERROR(session_.Query(statement).status());
    ASSIGN_OR_RETURN(std::string printed, session_.Value(R"sql(
SELECT pg_get_functiondef(p.oid)
FROM pg_proc p
WHERE p.pronamespace = pg_my_temp_schema()
ORDER BY p.oid DESC
LIMIT 1
)sql"));
    Restore(" ", schema, "(", printed);
    return printed;
  }

  StatusOr<std::string> TemporarySchema() {
    return session_.Value("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()");
  }

  // Newer servers print pg_temp for the session's own temporary schema.
  void Restore(const std::string& before, const std::string& schema, const std::string& after,
               std::string& printed) {
    const std::string place = before + name_ + after;
    for (const std::string& where : {schema, std::string("pg_temp")}) {
      if (ReplaceFirst(fmt::format("{}{}.{}{}", before, where, second_name_, after), place, printed)) return;
    }
  }

  Connection& session_;
  Reading reading_;
  std::string name_, second_name_;
  bool about_statement_ = false;
};

struct Readings {
  std::vector<std::string> texts;
  std::string why;  // it could not be read
};

StatusOr<Readings> ReadAgain(StatementReader& reader, const std::string& statement) {
  Readings readings;
  for (int i = 0; i < kReadings; ++i) {
    auto text = reader.Read(readings.texts.empty() ? statement : readings.texts.back());
    if (!text.ok() && !reader.AboutStatement()) return text.status();
    if (!text.ok()) {
      readings.why = MessageOf(text.status());
      break;
    }
    readings.texts.push_back(*std::move(text));
  }
  return readings;
}

}  // namespace

Status PrepareForReading(Connection& session) {
  RETURN_IF_ERROR(session.Execute("SAVEPOINT quiet"));
  // Event triggers of the application must not act on what we do; only a superuser can see to that.
  if (Status quiet = session.Execute("SET LOCAL session_replication_role = replica"); !quiet.ok()) {
    RETURN_IF_ERROR(session.Execute("ROLLBACK TO quiet"));
  }
  RETURN_IF_ERROR(session.Execute("RELEASE quiet"));
  return session.Execute("SET LOCAL check_function_bodies = off; SET LOCAL lock_timeout = '10s'");
}

StatusOr<ReadComparison> SameOnceRead(Connection& session, const Difference& difference) {
  // Texts of a database without an encoding were kept with their bytes written out, which its server would take
  // for other names.
  const auto as_said = [&session](const std::string& kept) {
    return session.TextEncoding() == "UTF8" ? kept : BytesOf(kept);
  };
  StatementReader reader(session, difference.reading, as_said(difference.name));
  ASSIGN_OR_RETURN(const Readings expected, ReadAgain(reader, as_said(difference.expected)));
  if (expected.texts.empty()) {
    return ReadComparison{Sameness::kUnknown, "the expected text cannot be read here: " + expected.why};
  }
  ASSIGN_OR_RETURN(const Readings found, ReadAgain(reader, as_said(difference.found)));
  if (found.texts.empty()) {
    return ReadComparison{Sameness::kUnknown, "the text that was found cannot be read again: " + found.why};
  }
  const bool same = std::any_of(expected.texts.begin(), expected.texts.end(), [&found](const auto& text) {
    return std::find(found.texts.begin(), found.texts.end(), text) != found.texts.end();
  });
  return ReadComparison{same ? Sameness::kSame : Sameness::kDifferent, ""};
}

}  // namespace salvor::agent
