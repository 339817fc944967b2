#include "agent/engines/postgres/table_copies.h"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <memory>
#include <optional>
#include <utility>

#include "agent/engines/postgres/server_errors.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kScriptBytes = 1 << 20;  // about as many for one psql: the script is held in memory
constexpr char kSayEnd[] = "SELECT E'\\\\.'";
constexpr int kScriptFailed = 3;  // psql's exit code for an error in a script with ON_ERROR_STOP

// "00000004-0000002B-1"; goes into the script as it stands.
bool IsSnapshot(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isdigit(c) || (c >= 'A' && c <= 'F') || c == '-';
  });
}

std::string Begin(const Connection& session, const std::string& snapshot) {
  return fmt::format(
      "{};\nBEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSET TRANSACTION SNAPSHOT '{}';\n{};\n",
      session.Pins(), snapshot, kSayEnd);
}

// The statement holds names and conditions out of a backup, or of a copy whose owner may be anybody, and psql would
// run "\! …" in it as a command of this host. So psql gets digits, which the server turns into the statement, and
// \gexec sends that back as it stands.
//
// psql may take a COPY that broke off for one that ended, but in a transaction that failed no SELECT answers.
std::string Read(const Connection& session, const TableCopy& table) {
  return fmt::format(
      "SAVEPOINT before_table;\nSELECT pg_catalog.convert_from('\\x{}', '{}') \\gexec\n{};\n"
      "ROLLBACK TO before_table;\nRELEASE before_table;\n",
      ToHex(table.sql), session.TextEncoding(), kSayEnd);
}

void Complete(ProcessSpec& psql, UniqueFd script) {
  for (const char* argument : {"--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password",
                               "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose"}) {
    psql.argv.emplace_back(argument);
  }
  std::string& options = psql.environment["PGOPTIONS"];
  options += options.empty() ? "" : " ";
  options += "-c client_min_messages=error";
  psql.input = std::move(script);
  psql.stop_signal = SIGINT;  // cancels on the server as well
  psql.on_error_line = nullptr;
}

// The server's error about a table, if it was one that ended psql.
std::optional<Status> ErrorOfTable(const ExitStatus& exit) {
  if (exit.signal != 0 || exit.code != kScriptFailed) return std::nullopt;
  const auto error = FirstServerError(exit.error_tail);
  if (!error.has_value()) return std::nullopt;
  return MakeStatus(CodeOfSqlState(error->state), AsUtf8(error->message));
}

// Reads as many of the tables from `first` on as one psql is asked for. Gives the next one.
StatusOr<size_t> ReadSome(const TableReading& reading, const std::string& snapshot,
                          const std::vector<TableCopy>& tables, size_t first, const OnTable& on_table) {
  std::string script = Begin(reading.session, snapshot);
  size_t end = first;
  while (end < tables.size() && script.size() < kScriptBytes) script += Read(reading.session, tables[end++]);
  ASSIGN_OR_RETURN(ProcessSpec psql, reading.psql());
  ASSIGN_OR_RETURN(UniqueFd input, MemoryFile(script));
  Complete(psql, std::move(input));

  Status verdict = OkStatus();
  CopyAnswers answers(tables, first, end,
                      [&verdict, &on_table](size_t table, const StatusOr<RowDigest>& digest) {
                        return verdict = on_table(table, digest);
                      });
  psql.on_output = [&answers](std::string_view bytes) { return answers.Feed(bytes); };
  ASSIGN_OR_RETURN(const std::unique_ptr<RunningTool> process, reading.tools.Start(std::move(psql)));
  const StatusOr<ExitStatus> exit = process->Wait(reading.stop, reading.deadline);
  RETURN_IF_ERROR(verdict);
  RETURN_IF_ERROR(exit.status());
  if (exit->Ok()) {
    if (answers.Next() == end) return end;
    return Aborted("psql ended before it had read {} of {} tables", end - answers.Next(), end - first);
  }
  const std::optional<Status> error = ErrorOfTable(*exit);
  if (!error.has_value() || !answers.Begun() || answers.Next() == end) return process->ErrorOf(*exit);
  RETURN_IF_ERROR(on_table(answers.Next(), *error));
  return answers.Next() + 1;
}

}  // namespace

CopyAnswers::CopyAnswers(const std::vector<TableCopy>& tables, size_t first, size_t end, OnTable on_table)
    : tables_(tables), next_(first), end_(end), on_table_(std::move(on_table)) {}

Status CopyAnswers::Feed(std::string_view bytes) {
  while (!bytes.empty()) {
    if (begun_ && next_ == end_) return Internal("psql wrote more than it was asked for");
    bytes.remove_prefix(rows_.FeedToEnd(bytes.data(), bytes.size()));
    if (!rows_.Ended()) break;
    const StatusOr<RowDigest> whole = std::move(rows_);
    if (begun_) RETURN_IF_ERROR(on_table_(next_++, whole));
    begun_ = true;
    rows_ = RowDigest(next_ < end_ ? tables_[next_].mode : RowDigest::Mode::kHash);
  }
  return OkStatus();
}

Status ReadTables(const TableReading& reading, const std::vector<TableCopy>& tables,
                  const OnTable& on_table) {
  if (tables.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const std::string snapshot, reading.session.Value("SELECT pg_export_snapshot()"));
  if (!IsSnapshot(snapshot)) return Internal("the server exported a snapshot of an unknown form");
  for (size_t next = 0; next < tables.size();) {
    ASSIGN_OR_RETURN(next, ReadSome(reading, snapshot, tables, next, on_table));
  }
  return OkStatus();
}

}  // namespace salvor::agent
