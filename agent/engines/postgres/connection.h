// One session with a PostgreSQL server, through libpq.
//
// Whatever comes from outside reaches libpq as separate key/values, never as a connection string: a database
// called "host=evil" is a name. Sessions for dumps and comparisons are pinned: what changes the text of a
// value (time zone, date style, …) and every timeout of the server's is set by the client, which wins over
// every ALTER ROLE and ALTER DATABASE SET, and the search path is empty. Every wait ends on a stop request or
// at the deadline, by cancelling on the server.
//
// Texts are UTF-8, whatever the database's encoding is. Only where the server cannot convert (SQL_ASCII, whose
// bytes mean what each application wants them to mean, and MULE_INTERNAL) they are the database's bytes as
// they stand: AsUtf8 makes them printable.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/steady_time.h"
#include "salvor/v1/object.pb.h"

struct pg_conn;
struct pg_result;

namespace salvor::agent {

struct SessionOptions {
  std::string database;  // empty: the connection's maintenance database
  bool pinned = true;    // false: as an application would see it
  std::stop_token stop;
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  // A call that stops is cancelled on the server. False for one that may be hostile, as a drill's: libpq waits without
  // end for what a server says to a cancel, so there the session is left without a word.
  bool cancels_on_server = true;
};

// The answer of one query, as text. Owns it; move-only.
class Rows {
 public:
  explicit Rows(pg_result* result);
  Rows(Rows&& other) noexcept;
  Rows& operator=(Rows&& other) noexcept;
  ~Rows();
  int Count() const;
  int Columns() const;
  bool IsNull(int row, int column) const;
  std::string Text(int row, int column) const;       // "" for NULL
  std::string_view View(int row, int column) const;  // valid as long as this
  int64_t Int(int row, int column) const;            // 0 for NULL or no number
  bool Bool(int row, int column) const;              // 't'
  int64_t Affected() const;

 private:
  pg_result* result_;
};

// Used by one thread at a time.
class Connection {
 public:
  // Unauthenticated, NotFound (no such database), PermissionDenied, Unavailable for anything that may pass.
  // A database is found by its bytes, or by what they mean in the maintenance database's encoding: there is
  // where somebody reads its name.
  static StatusOr<std::unique_ptr<Connection>> Open(const v1::PostgresConnection& where,
                                                    SessionOptions options);
  ~Connection();

  // One statement with text parameters $1 … .
  StatusOr<Rows> Query(const std::string& sql, const std::vector<std::string>& parameters = {});
  // The same with binary results, for bytea.
  StatusOr<Rows> QueryBinary(const std::string& sql, const std::vector<std::string>& parameters = {});
  // First column of the first row; NotFound without a row.
  StatusOr<std::string> Value(const std::string& sql, const std::vector<std::string>& parameters = {});
  StatusOr<int64_t> Number(const std::string& sql, const std::vector<std::string>& parameters = {});
  // One or more statements without parameters or results.
  Status Execute(const std::string& sql);
  // The content of a large object in pieces; needs nothing but SELECT on it.
  Status ReadLargeObject(const std::string& oid, const std::function<void(std::string_view piece)>& piece);

  void SetDeadline(SteadyTime deadline);
  // False once the server is gone; asks the socket, not the server.
  bool Alive();
  int Socket() const;                  // the session's, to ask who is at the other end
  std::string DatabaseBytes() const;   // of the database's name, as the server keeps them
  int ServerVersion() const;           // 150004
  std::string ServerEncoding() const;  // of the database: "LATIN1"
  std::string TextEncoding() const;    // of this session's texts: "UTF8", or ServerEncoding (see above)
  const std::string& Database() const { return options_.database; }  // as it was asked for
  bool SpeaksEnglish() const { return messages_pinned_; }            // so do programs with ToolOptions
  // PGOPTIONS for a program that reaches the same server as the same user: the pins of this session, as far
  // as that server and user allow them in a start-up packet.
  std::string ToolOptions() const;
  // The other pins of this session, which a program has to set itself: statements, joined by ";".
  std::string Pins() const;
  // SQLSTATE of the last error; "" when the last call worked or the error was not the server's.
  const std::string& LastSqlState() const { return sql_state_; }

  std::string Identifier(std::string_view name) const;                      // quoted
  std::string Literal(std::string_view text) const;                         // quoted
  std::string Table(std::string_view schema, std::string_view name) const;  // both quoted

 private:
  static StatusOr<std::unique_ptr<Connection>> OpenByBytes(const v1::PostgresConnection& where,
                                                           const std::string& name, SessionOptions options);
  Connection(pg_conn* connection, SessionOptions options);
  Status AwaitConnection(std::string_view hosts);
  Status Refusal();
  Status Pin();
  Status PinMessages();
  Status ConnectionLost();
  StatusOr<Rows> Run(const std::string& sql, const std::vector<std::string>& parameters, bool binary);
  Status AwaitInput();
  Status Interrupt(Status why);
  Status TakeResults(pg_result** last);
  Status ErrorOf(const pg_result* result);

  pg_conn* connection_;
  SessionOptions options_;  // with the name of the database as it was asked for
  std::string sql_state_;
  bool messages_pinned_ = false;  // the server speaks English to us
};

// The environment that pg_dump, pg_restore and the like need to reach `database`: nothing but the environment, so that
// no name and no secret is ever an argument. With `session`, an open one with the same server and user, its pins and
// its encoding of texts are the program's too, and the name's bytes if it is one with `database`; without, the program
// sees what an application would see.
StatusOr<std::map<std::string, std::string>> ToolEnvironment(const v1::PostgresConnection& where,
                                                             const std::string& database,
                                                             const Connection* session = nullptr);

// "socket /run/postgresql" or "db.example:5432", for messages.
std::string Describe(const v1::PostgresConnection& where);

// Bytes as UTF-8: text that is not valid has its high bytes as \xNN.
std::string AsUtf8(std::string_view bytes);

// Undoes AsUtf8: a name of a database whose bytes are no UTF-8, as its server knows it.
std::string BytesOf(std::string_view text);

}  // namespace salvor::agent
