#include "agent/engines/mariadb/session.h"

#include <fmt/core.h>
#include <mysql.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int kDefaultPort = 3306;
constexpr unsigned int kConnectTimeout_s = 20;
constexpr int64_t kLongestSilence_s = int64_t{24} * 3600;
constexpr unsigned long kMostBytes = 1UL << 30;  // of one packet, the most that a server has

// The numbers of the server's and the client library's errors that are told apart.
enum : unsigned int {
  kDiskFull = 1021,
  kOutOfMemory = 1037,
  kTooManyConnections = 1040,
  kDatabaseAccessDenied = 1044,
  kAccessDenied = 1045,
  kUnknownDatabase = 1049,
  kShutdown = 1053,
  kDuplicateEntry = 1062,
  kTableFull = 1114,
  kTableAccessDenied = 1142,
  kColumnAccessDenied = 1143,
  kNoSuchTable = 1146,
  kLockWaitTimeout = 1205,
  kDeadlock = 1213,
  kSpecificAccessDenied = 1227,
  kOptionPrevents = 1290,
  kRoutineAccessDenied = 1370,
  kQueryInterrupted = 1317,
  kStatementTimeout = 1969,
  kClientFirst = 2000,
  kClientLast = 2999,
};

// Values that are quoted by these come from rows.
const std::set<unsigned int>& QuotesRows() {
  static const std::set<unsigned int> numbers = {1062, 1264, 1265, 1292, 1366, 1406,
                                                 1411, 1451, 1452, 1526, 1586, 4025};
  return numbers;
}

}  // namespace

const std::string& TextOf(const std::optional<std::string>& value) {
  static const std::string empty;
  return value.has_value() ? *value : empty;
}

absl::StatusCode CodeOfMariadbError(unsigned int number) {
  switch (number) {
    case kDiskFull:
    case kOutOfMemory:
    case kTableFull:
      return absl::StatusCode::kResourceExhausted;
    case kTooManyConnections:
    case kShutdown:
      return absl::StatusCode::kUnavailable;
    case kLockWaitTimeout:
    case kDeadlock:
    case kQueryInterrupted:
    case kStatementTimeout:
      return absl::StatusCode::kAborted;
    case kDatabaseAccessDenied:
    case kTableAccessDenied:
    case kColumnAccessDenied:
    case kSpecificAccessDenied:
    case kRoutineAccessDenied:
      return absl::StatusCode::kPermissionDenied;
    case kAccessDenied:
    case kOptionPrevents:
      return absl::StatusCode::kFailedPrecondition;
    case kUnknownDatabase:
    case kNoSuchTable:
      return absl::StatusCode::kNotFound;
    default:
      return number >= kClientFirst && number <= kClientLast ? absl::StatusCode::kUnavailable
                                                             : absl::StatusCode::kInternal;
  }
}

std::string WithoutRowValues(unsigned int number, std::string_view message) {
  if (QuotesRows().count(number) == 0) return std::string(message);
  const size_t quote = message.find('\'');
  return quote == std::string_view::npos
             ? std::string(message)
             : std::string(Trim(message.substr(0, quote))) + " … (values left out)";
}

std::string Describe(const v1::MariadbConnection& where) {
  if (!where.socket().empty()) return where.socket();
  return fmt::format("{}:{}", where.host(), where.port() == 0 ? kDefaultPort : where.port());
}

struct MariadbSession::State {
  MYSQL* handle = nullptr;
  MariadbSessionOptions options;
  std::string where;
  unsigned int last_error = 0;
  std::unique_ptr<std::stop_callback<std::function<void()>>> on_stop;

  ~State() {
    on_stop.reset();  // before the socket is closed, and its number is another's
    if (handle != nullptr) mysql_close(handle);
  }
};

MariadbSession::MariadbSession(std::unique_ptr<State> state) : state_(std::move(state)) {}
MariadbSession::~MariadbSession() = default;

namespace {

Status SetTls(const v1::MariadbConnection& where, MYSQL* handle) {
  const std::string tls =
      where.tls().empty() ? (where.socket().empty() ? "require" : "disable") : where.tls();
  my_bool enforce = tls == "disable" ? 0 : 1, verify = tls == "verify" ? 1 : 0;
  if (tls != "disable" && tls != "require" && tls != "verify")
    return InvalidArgument("tls must be disable, require or verify");
  mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &enforce);
  mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
  if (!where.tls_ca().empty())
    mysql_ssl_set(handle, nullptr, nullptr, where.tls_ca().c_str(), nullptr, nullptr);
  return OkStatus();
}

StatusOr<std::string> PasswordOf(const v1::MariadbConnection& where) {
  if (where.password_file().empty()) return std::string();
  ASSIGN_OR_RETURN_IN(const std::string text, ReadSecretFile(where.password_file()), "reading the password");
  return text.substr(0, text.find_first_of("\r\n"));
}

unsigned int SecondsUntil(SteadyTime deadline) {
  if (deadline == SteadyTime::InfiniteFuture()) return kLongestSilence_s;
  const int64_t left = absl::ToInt64Seconds(deadline - SteadyNow()) + 1;
  return static_cast<unsigned int>(std::clamp<int64_t>(left, 1, kLongestSilence_s));
}

}  // namespace

StatusOr<std::unique_ptr<MariadbSession>> MariadbSession::Open(const v1::MariadbConnection& where,
                                                               const MariadbSessionOptions& options) {
  if (where.socket().empty() == where.host().empty())
    return InvalidArgument("needs either a socket or a host");
  auto state = std::make_unique<State>();
  state->options = options;
  state->where = Describe(where);
  state->handle = mysql_init(nullptr);
  if (state->handle == nullptr) return ResourceExhausted("no memory for a session");
  MYSQL* handle = state->handle;
  const unsigned int left = SecondsUntil(options.deadline), connect = std::min(left, kConnectTimeout_s);
  mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
  mysql_options(handle, MYSQL_OPT_READ_TIMEOUT, &left);
  mysql_options(handle, MYSQL_OPT_WRITE_TIMEOUT, &left);
  const unsigned int no = 0;
  mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &no);
  const unsigned long most = kMostBytes;
  mysql_options(handle, MYSQL_OPT_MAX_ALLOWED_PACKET, &most);
  mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  RETURN_IF_ERROR(SetTls(where, handle));
  ASSIGN_OR_RETURN(const std::string password, PasswordOf(where));
  const char* host = where.host().empty() ? "localhost" : where.host().c_str();
  const char* socket = where.socket().empty() ? nullptr : where.socket().c_str();
  const auto port = static_cast<unsigned int>(where.port() == 0 ? kDefaultPort : where.port());
  auto session = std::unique_ptr<MariadbSession>(new MariadbSession(std::move(state)));
  if (mysql_real_connect(handle, host, where.user().c_str(), password.c_str(), nullptr, port, socket, 0) ==
      nullptr)
    return session->Refusal("connect");
  session->state_->on_stop = std::make_unique<std::stop_callback<std::function<void()>>>(
      options.stop, [socket_number = mysql_get_socket(handle)] { ::shutdown(socket_number, SHUT_RDWR); });
  ASSIGN_OR_RETURN(session->server_text_, session->Value("SELECT VERSION()"));
  if (session->server_text_.find("MariaDB") == std::string::npos) {
    return WithHint(FailedPrecondition("the server is {}, not MariaDB", Elide(session->server_text_, 60)),
                    "MySQL is another server by now: strategies/mariadb/README.md says what differs.");
  }
  RETURN_IF_ERROR(session->Execute(
      "SET SESSION sql_mode='', time_zone='+00:00', sql_quote_show_create=1, lc_messages='en_US', max_statement_time=0,"
      " lock_wait_timeout=60, character_set_results='utf8mb4'"));
  return session;
}

Status MariadbSession::Refusal(const char* what) const {
  const unsigned int number = mysql_errno(state_->handle);
  state_->last_error = number;
  if (state_->options.stop.stop_requested()) return Cancelled("{}: stopped", state_->where);
  if (SteadyNow() > state_->options.deadline) return DeadlineExceeded("{}: its time was over", state_->where);
  const std::string message = WithoutRowValues(number, ValidUtf8(mysql_error(state_->handle)));
  return MakeStatus(CodeOfMariadbError(number), fmt::format("{}: {} (error {})", what, message, number));
}

StatusOr<MariadbRows> MariadbSession::Query(const std::string& sql) {
  MYSQL* handle = state_->handle;
  state_->last_error = 0;
  if (mysql_real_query(handle, sql.data(), sql.size()) != 0) return Refusal("the server refused");
  MariadbRows rows;
  MYSQL_RES* result = mysql_use_result(handle);
  if (result == nullptr) {
    if (mysql_field_count(handle) != 0) return Refusal("the server did not answer");
    return rows;
  }
  const unsigned int columns = mysql_num_fields(result);
  while (const MYSQL_ROW row = mysql_fetch_row(result)) {
    const unsigned long* lengths = mysql_fetch_lengths(result);
    MariadbRow& values = rows.emplace_back(columns);
    for (unsigned int i = 0; i < columns; ++i) {
      if (row[i] != nullptr) values[i].emplace(row[i], lengths[i]);
    }
  }
  const bool failed = mysql_errno(handle) != 0;
  Status refusal = failed ? Refusal("the server stopped answering") : OkStatus();
  mysql_free_result(result);
  // A call of a procedure answers with its status besides.
  while (!failed && mysql_more_results(handle) != 0 && mysql_next_result(handle) == 0) {
    if (MYSQL_RES* more = mysql_store_result(handle)) mysql_free_result(more);
  }
  if (failed) return refusal;
  return rows;
}

Status MariadbSession::Execute(const std::string& sql) { return Query(sql).status(); }

StatusOr<std::string> MariadbSession::Value(const std::string& sql) {
  ASSIGN_OR_RETURN(const MariadbRows rows, Query(sql));
  return rows.empty() || rows[0].empty() ? std::string() : TextOf(rows[0][0]);
}

StatusOr<int64_t> MariadbSession::Number(const std::string& sql) {
  ASSIGN_OR_RETURN(const std::string text, Value(sql));
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

int MariadbSession::ServerVersion() const {
  return static_cast<int>(mysql_get_server_version(state_->handle));
}
uint64_t MariadbSession::Id() const { return mysql_thread_id(state_->handle); }
int MariadbSession::Socket() const { return static_cast<int>(mysql_get_socket(state_->handle)); }
unsigned int MariadbSession::LastError() const { return state_->last_error; }

std::string MariadbSession::Literal(std::string_view text) const {
  std::string escaped(text.size() * 2 + 1, '\0');
  escaped.resize(mysql_real_escape_string(state_->handle, escaped.data(), text.data(), text.size()));
  return "'" + escaped + "'";
}

std::string MariadbSession::Identifier(std::string_view name) {
  std::string quoted = "`";
  for (const char c : name) {
    if (c == '`') quoted += c;
    quoted += c;
  }
  return quoted + "`";
}

std::string MariadbSession::Account(std::string_view user, std::string_view host) const {
  return host.empty() ? Literal(user) : Literal(user) + "@" + Literal(host);
}

}  // namespace salvor::agent
