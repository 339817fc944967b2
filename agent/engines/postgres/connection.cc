#include "agent/engines/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "agent/engines/postgres/server_errors.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kNoPassfile[] = "/nonexistent/none";  // so that libpq does not fall back to ~/.pgpass
// Understood by every server that is supported, from every user.
constexpr char kPinnedOptions[] =
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=3 "
    "-c lc_monetary=C -c quote_all_identifiers=off -c array_nulls=on -c transform_null_equals=off "
    "-c default_transaction_read_only=off -c default_transaction_isolation=read\\ committed "
    "-c default_transaction_deferrable=off -c statement_timeout=0 -c lock_timeout=0 "
    "-c idle_in_transaction_session_timeout=0";
constexpr absl::Duration kConnectTimeout = absl::Seconds(15);  // for each host that is named
constexpr int kPollMs = 100;  // how late a stop request or a deadline may be seen
constexpr absl::Duration kCancelGrace = absl::Seconds(10);

struct Parameters {
  std::vector<std::pair<std::string, std::string>> pairs;
  void Add(std::string key, std::string value) { pairs.emplace_back(std::move(key), std::move(value)); }
};

std::string HostOf(const v1::PostgresConnection& where) {
  return where.socket_directory().empty() ? where.host() : where.socket_directory();
}

std::string PortOf(const v1::PostgresConnection& where) {
  return std::to_string(where.port() == 0 ? 5432 : where.port());
}

std::string DatabaseOf(const v1::PostgresConnection& where, const std::string& database) {
  if (!database.empty()) return database;
  return where.maintenance_database().empty() ? "postgres" : where.maintenance_database();
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (const std::string& part : Split(Trim(text), '\n')) {
    if (!line.empty()) line += "; ";
    line += std::string(Trim(part));
  }
  return line;
}

// Pins that only newer servers know: an older one would refuse the connection.
std::vector<std::string> NewerPins(int server_version) {
  std::vector<std::string> names;
  if (server_version >= 120000) names.emplace_back("tcp_user_timeout");
  if (server_version >= 140000) names.emplace_back("idle_session_timeout");
  if (server_version >= 170000) names.emplace_back("transaction_timeout");
  return names;
}

Status CheckPassfile(const v1::PostgresConnection& where) {
  // libpq would ignore a file that others can read, and fail later with a less helpful message.
  return where.passfile().empty() ? OkStatus() : CheckSecretFile(where.passfile());
}

}  // namespace

std::string Describe(const v1::PostgresConnection& where) {
  if (!where.socket_directory().empty()) return fmt::format("socket {}", where.socket_directory());
  return fmt::format("{}:{}", where.host().empty() ? "localhost" : where.host(), PortOf(where));
}

std::string AsUtf8(std::string_view bytes) {
  const auto valid_at = [bytes](size_t at) -> size_t {  // length of the sequence, 0 when it is none
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned char first = byte(at);
    const size_t length = first < 0x80                    ? 1
                          : first >= 0xC2 && first < 0xE0 ? 2
                          : first >= 0xE0 && first < 0xF0 ? 3
                          : first >= 0xF0 && first < 0xF5 ? 4
                                                          : 0;
    if (length == 0 || at + length > bytes.size()) return 0;
    for (size_t i = 1; i < length; ++i) {
      if ((byte(at + i) & 0xC0) != 0x80) return 0;
    }
    if (first == 0xE0 && byte(at + 1) < 0xA0) return 0;
    if (first == 0xED && byte(at + 1) >= 0xA0) return 0;
    if (first == 0xF0 && byte(at + 1) < 0x90) return 0;
    if (first == 0xF4 && byte(at + 1) >= 0x90) return 0;
    return length;
  };
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = valid_at(at);
    if (length == 0) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(bytes[at++]));
    } else {
      text += bytes.substr(at, length);
      at += length;
    }
  }
  return text;
}

std::string BytesOf(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string bytes;
  for (size_t at = 0; at < text.size(); ++at) {
    const bool escape = text.compare(at, 2, "\\x") == 0 && at + 3 < text.size() && digit(text[at + 2]) >= 8 &&
                        digit(text[at + 3]) >= 0;
    if (!escape) {
      bytes += text[at];
      continue;
    }
    bytes += static_cast<char>(digit(text[at + 2]) * 16 + digit(text[at + 3]));
    at += 3;
  }
  return bytes;
}

Rows::Rows(pg_result* result) : result_(result) {}
Rows::Rows(Rows&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
Rows& Rows::operator=(Rows&& other) noexcept {
  std::swap(result_, other.result_);
  return *this;
}
Rows::~Rows() { PQclear(result_); }
int Rows::Count() const { return PQntuples(result_); }
int Rows::Columns() const { return PQnfields(result_); }
bool Rows::IsNull(int row, int column) const { return PQgetisnull(result_, row, column) != 0; }
std::string Rows::Text(int row, int column) const { return std::string(View(row, column)); }
std::string_view Rows::View(int row, int column) const {
  return {PQgetvalue(result_, row, column), static_cast<size_t>(PQgetlength(result_, row, column))};
}
bool Rows::Bool(int row, int column) const { return View(row, column) == "t"; }
int64_t Rows::Int(int row, int column) const {
  const std::string_view text = View(row, column);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}
int64_t Rows::Affected() const {
  const std::string_view text = PQcmdTuples(result_);
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Connection::Connection(pg_conn* connection, SessionOptions options)
    : connection_(connection), options_(std::move(options)) {}

Connection::~Connection() { PQfinish(connection_); }

StatusOr<std::unique_ptr<Connection>> Connection::Open(const v1::PostgresConnection& where,
                                                       SessionOptions options) {
  RETURN_IF_ERROR(CheckPassfile(where));
  const std::string name = DatabaseOf(where, options.database);
  auto opened = OpenByBytes(where, name, options);
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return (c & 0x80) == 0; });
  if (opened.status().code() != absl::StatusCode::kNotFound || ascii || options.database.empty())
    return opened;
  SessionOptions of_maintenance = options;
  of_maintenance.database.clear();
  auto session = OpenByBytes(where, DatabaseOf(where, ""), std::move(of_maintenance));
  if (!session.ok()) return opened;
  const auto rows = (*session)->QueryBinary(
      "SELECT convert_to(datname::text, getdatabaseencoding()) FROM pg_database WHERE datname = $1", {name});
  if (!rows.ok() || rows->Count() == 0 || rows->View(0, 0) == name) return opened;
  return OpenByBytes(where, rows->Text(0, 0), std::move(options));
}

StatusOr<std::unique_ptr<Connection>> Connection::OpenByBytes(const v1::PostgresConnection& where,
                                                              const std::string& name,
                                                              SessionOptions options) {
  Parameters parameters;
  parameters.Add("host", HostOf(where));
  parameters.Add("port", PortOf(where));
  parameters.Add("user", where.user());
  parameters.Add("dbname", name);
  parameters.Add("passfile", where.passfile().empty() ? kNoPassfile : where.passfile());
  parameters.Add("sslmode", where.sslmode().empty() ? "prefer" : where.sslmode());
  parameters.Add("application_name", "salvor");
  parameters.Add("client_encoding", "UTF8");
  parameters.Add("options", options.pinned ? kPinnedOptions : "");
  parameters.Add("keepalives_idle", "60");  // a session that only holds a snapshot is silent for hours
  parameters.Add("tcp_user_timeout", "0");
  std::vector<const char*> keys, values;
  for (const auto& pair : parameters.pairs) {
    keys.push_back(pair.first.c_str());
    values.push_back(pair.second.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  // The last argument: never read dbname as a connection string.
  std::unique_ptr<Connection> opened(new Connection(
      PQconnectStartParams(keys.data(), values.data(), /*expand_dbname=*/0), std::move(options)));
  RETURN_IF_ERROR(opened->AwaitConnection(HostOf(where)));
  PQsetNoticeProcessor(
      opened->connection_, [](void*, const char*) {}, nullptr);
  if (opened->TextEncoding() != "UTF8") {
    RETURN_IF_ERROR(opened->Execute("SET client_encoding TO " + opened->Literal(opened->TextEncoding())));
  }
  if (opened->options_.pinned) RETURN_IF_ERROR(opened->Pin());
  return opened;
}

Status Connection::AwaitConnection(std::string_view hosts) {
  if (connection_ == nullptr) return ResourceExhausted("no memory for a connection");
  PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);
  const SteadyTime begin = SteadyNow();
  const SteadyTime until = begin + kConnectTimeout * (1 + std::count(hosts.begin(), hosts.end(), ','));
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (PQstatus(connection_) != CONNECTION_BAD) {
    if (options_.stop.stop_requested()) return Cancelled("stopped while connecting");
    const SteadyTime now = SteadyNow();
    if (now >= options_.deadline) return DeadlineExceeded("out of time while connecting");
    if (now >= until) return Unavailable("no answer within {}", absl::FormatDuration(until - begin));
    pollfd ready{PQsocket(connection_), static_cast<short>(state == PGRES_POLLING_READING ? POLLIN : POLLOUT),
                 0};
    const int got = poll(&ready, 1, kPollMs);
    if (got < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (got <= 0) continue;
    state = PQconnectPoll(connection_);
    if (state == PGRES_POLLING_FAILED) break;
    if (state == PGRES_POLLING_OK) {
      PQsetErrorVerbosity(connection_, PQERRORS_DEFAULT);
      return OkStatus();
    }
  }
  return Refusal();
}

// The refusal is told by the SQLSTATE where the server said one, for its text may be in any language.
Status Connection::Refusal() {
  // Several, where several hosts or TLS and plain connections were tried: the last state counts.
  std::string said;
  for (std::string line : Split(PQerrorMessage(connection_), '\n')) {
    if (line.rfind("LOCATION:  ", 0) == 0) continue;  // in the server's source
    const std::string state = TakeSqlState(line);
    if (!state.empty()) sql_state_ = state;
    said += line + "\n";
  }
  const std::string text = AsUtf8(OneLine(said));
  absl::StatusCode code = CodeOfRefusal(text);
  if (code == absl::StatusCode::kUnavailable && !sql_state_.empty()) {
    // 55000: the database takes no connections.
    code = sql_state_ == "55000" ? absl::StatusCode::kPermissionDenied : CodeOfSqlState(sql_state_);
    if (code == absl::StatusCode::kInternal) code = absl::StatusCode::kUnavailable;
  }
  return MakeStatus(code, text);
}

Status Connection::Pin() {
  RETURN_IF_ERROR(Execute(Pins()));
  return PinMessages();
}

// Settings that cannot, or need not, travel in the start-up packet: an empty search path, no timeouts of the server's,
// and an error rather than silently fewer rows where row-level security would filter.
std::string Connection::Pins() const {
  std::string sql =
      "SET search_path TO ''; SET row_security TO off; SET standard_conforming_strings TO on; "
      "SET synchronize_seqscans TO off; SET xmlbinary TO base64; SET xmloption TO content";
  for (const std::string& name : NewerPins(ServerVersion())) sql += "; SET " + name + " TO 0";
  return sql;
}

// English where this user may choose: superusers, and whom they allowed to. Nothing is decided by these
// texts alone, but hints are better with them.
Status Connection::PinMessages() {
  const Status pinned = Execute("SET lc_messages TO 'C'");
  messages_pinned_ = pinned.ok();
  return pinned.ok() || sql_state_ == "42501" ? OkStatus() : pinned;
}

std::string Connection::DatabaseBytes() const {
  const char* name = PQdb(connection_);
  return name == nullptr ? "" : name;
}

std::string Connection::ServerEncoding() const {
  const char* encoding = PQparameterStatus(connection_, "server_encoding");
  return encoding == nullptr ? "UTF8" : encoding;
}

std::string Connection::TextEncoding() const {
  const std::string encoding = ServerEncoding();
  return encoding == "SQL_ASCII" || encoding == "MULE_INTERNAL" ? encoding : "UTF8";
}

std::string Connection::ToolOptions() const {
  std::string options = kPinnedOptions;
  for (const std::string& name : NewerPins(ServerVersion())) options += " -c " + name + "=0";
  if (messages_pinned_) options += " -c lc_messages=C";
  return options;
}

Status Connection::ConnectionLost() {
  return MakeStatus(absl::StatusCode::kUnavailable, AsUtf8(OneLine(PQerrorMessage(connection_))));
}

Status Connection::ErrorOf(const pg_result* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  sql_state_ = state == nullptr ? "" : state;
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
  std::string text = OneLine(primary == nullptr ? PQresultErrorMessage(result) : primary);
  // Integrity errors carry values of rows, which have no place in a message.
  if (detail != nullptr && sql_state_.substr(0, 2) != "23") text += fmt::format(" ({})", OneLine(detail));
  if (sql_state_.empty()) {
    return MakeStatus(
        PQstatus(connection_) == CONNECTION_OK ? absl::StatusCode::kInternal : absl::StatusCode::kUnavailable,
        AsUtf8(text));
  }
  return MakeStatus(CodeOfSqlState(sql_state_), AsUtf8(text));
}

// Asks the server to stop what runs and eats what still comes; the session stays usable where it can.
Status Connection::Interrupt(Status why) {
  if (!options_.cancels_on_server) {
    ::shutdown(PQsocket(connection_), SHUT_RDWR);
    return why;
  }
  if (PGcancel* cancel = PQgetCancel(connection_)) {
    std::array<char, 256> error{};
    PQcancel(cancel, error.data(), static_cast<int>(error.size()));
    PQfreeCancel(cancel);
  }
  const SteadyTime until = SteadyNow() + kCancelGrace;
  while (SteadyNow() < until && PQconsumeInput(connection_) == 1) {
    if (!PQisBusy(connection_)) {
      pg_result* result = PQgetResult(connection_);
      if (result == nullptr) return why;
      const bool copying = PQresultStatus(result) == PGRES_COPY_OUT;
      PQclear(result);
      if (copying) {
        char* row = nullptr;
        while (PQgetCopyData(connection_, &row, 1) > 0) PQfreemem(row);
      }
      continue;
    }
    pollfd ready{PQsocket(connection_), POLLIN, 0};
    poll(&ready, 1, kPollMs);
  }
  return why;
}

Status Connection::AwaitInput() {
  while (true) {
    if (options_.stop.stop_requested()) return Interrupt(Cancelled("cancelled while the database worked"));
    if (SteadyNow() >= options_.deadline) {
      return Interrupt(DeadlineExceeded("out of time while the database worked"));
    }
    pollfd ready{PQsocket(connection_), POLLIN, 0};
    const int got = poll(&ready, 1, kPollMs);
    if (got < 0 && errno != EINTR) return ErrnoStatus(errno, "poll");
    if (got <= 0) continue;
    if (PQconsumeInput(connection_) == 0) return ConnectionLost();
    return OkStatus();
  }
}

// All results of what was sent; the last one that is no error is handed out.
Status Connection::TakeResults(pg_result** last) {
  Status status;
  while (true) {
    while (PQisBusy(connection_)) RETURN_IF_ERROR(AwaitInput());
    pg_result* result = PQgetResult(connection_);
    if (result == nullptr) return status;
    const ExecStatusType kind = PQresultStatus(result);
    if (kind == PGRES_COMMAND_OK || kind == PGRES_TUPLES_OK || kind == PGRES_EMPTY_QUERY) {
      std::swap(*last, result);
    } else if (kind == PGRES_COPY_OUT || kind == PGRES_COPY_IN || kind == PGRES_COPY_BOTH) {
      PQclear(result);
      return Interrupt(InvalidArgument("COPY is not possible here"));
    } else if (status.ok()) {
      status = ErrorOf(result);
    }
    PQclear(result);
  }
}

StatusOr<Rows> Connection::Run(const std::string& sql, const std::vector<std::string>& parameters,
                               bool binary) {
  sql_state_.clear();
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  if (PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                        nullptr, nullptr, binary ? 1 : 0) == 0) {
    return ConnectionLost();
  }
  pg_result* result = nullptr;
  Status status = TakeResults(&result);
  Rows rows(result);
  RETURN_IF_ERROR(status);
  return rows;
}

StatusOr<Rows> Connection::Query(const std::string& sql, const std::vector<std::string>& parameters) {
  return Run(sql, parameters, /*binary=*/false);
}

StatusOr<Rows> Connection::QueryBinary(const std::string& sql, const std::vector<std::string>& parameters) {
  return Run(sql, parameters, /*binary=*/true);
}

StatusOr<std::string> Connection::Value(const std::string& sql, const std::vector<std::string>& parameters) {
  ASSIGN_OR_RETURN(Rows rows, Query(sql, parameters));
  if (rows.Count() == 0 || rows.Columns() == 0) return NotFound("the query gave no row");
  return rows.Text(0, 0);
}

StatusOr<int64_t> Connection::Number(const std::string& sql, const std::vector<std::string>& parameters) {
  ASSIGN_OR_RETURN(Rows rows, Query(sql, parameters));
  if (rows.Count() == 0 || rows.Columns() == 0) return NotFound("the query gave no row");
  return rows.Int(0, 0);
}

Status Connection::Execute(const std::string& sql) {
  sql_state_.clear();
  if (PQsendQuery(connection_, sql.c_str()) == 0) {
    return ConnectionLost();
  }
  pg_result* result = nullptr;
  Status status = TakeResults(&result);
  PQclear(result);
  return status;
}

Status Connection::ReadLargeObject(const std::string& oid,
                                   const std::function<void(std::string_view)>& piece) {
  constexpr int kPieceBytes = 4 << 20;
  for (int64_t at = 0;; at += kPieceBytes) {
    ASSIGN_OR_RETURN(Rows rows, QueryBinary("SELECT lo_get($1::oid, $2::bigint, $3::int)",
                                            {oid, std::to_string(at), std::to_string(kPieceBytes)}));
    const std::string_view bytes = rows.View(0, 0);
    if (!bytes.empty()) piece(bytes);
    if (bytes.size() < static_cast<size_t>(kPieceBytes)) return OkStatus();
  }
}

void Connection::SetDeadline(SteadyTime deadline) { options_.deadline = deadline; }

bool Connection::Alive() {
  pollfd ready{PQsocket(connection_), POLLIN, 0};
  if (PQstatus(connection_) != CONNECTION_OK) return false;
  if (poll(&ready, 1, 0) > 0 && PQconsumeInput(connection_) == 0) return false;
  return PQstatus(connection_) == CONNECTION_OK;
}

int Connection::Socket() const { return PQsocket(connection_); }

int Connection::ServerVersion() const { return PQserverVersion(connection_); }

namespace {

std::string Owned(char* text) {
  std::string copy = text == nullptr ? "" : text;
  PQfreemem(text);
  return copy;
}

}  // namespace

std::string Connection::Identifier(std::string_view name) const {
  return Owned(PQescapeIdentifier(connection_, name.data(), name.size()));
}

std::string Connection::Literal(std::string_view text) const {
  return Owned(PQescapeLiteral(connection_, text.data(), text.size()));
}

std::string Connection::Table(std::string_view schema, std::string_view name) const {
  return Identifier(schema) + "." + Identifier(name);
}

StatusOr<std::map<std::string, std::string>> ToolEnvironment(const v1::PostgresConnection& where,
                                                             const std::string& database,
                                                             const Connection* session) {
  RETURN_IF_ERROR(CheckPassfile(where));
  std::map<std::string, std::string> environment = {
      {"PGPORT", PortOf(where)},
      {"PGUSER", where.user()},
      {"PGDATABASE", DatabaseOf(where, database)},
      {"PGPASSFILE", where.passfile().empty() ? kNoPassfile : where.passfile()},
      {"PGSSLMODE", where.sslmode().empty() ? "prefer" : where.sslmode()},
      {"PGAPPNAME", "salvor"},
      {"PGCONNECT_TIMEOUT", "15"},
  };
  if (!HostOf(where).empty()) environment["PGHOST"] = HostOf(where);
  if (session != nullptr) {
    environment["PGOPTIONS"] = session->ToolOptions();
    environment["PGCLIENTENCODING"] = session->TextEncoding();
    if (session->Database() == database) environment["PGDATABASE"] = session->DatabaseBytes();
  }
  return environment;
}

}  // namespace salvor::agent
