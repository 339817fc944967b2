// A session with a MariaDB server. Values are text, always UTF-8; the session's own settings are pinned, so that what the
// server prints does not depend on the account or the server's configuration.
//
// A server may be a drill's, which may be hostile: a session never reads a file of this host for it (LOCAL INFILE is off).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/steady_time.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// One row; nothing for NULL.
using MariadbRow = std::vector<std::optional<std::string>>;
using MariadbRows = std::vector<MariadbRow>;

// The text of a value; "" for NULL.
const std::string& TextOf(const std::optional<std::string>& value);

struct MariadbSessionOptions {
  std::stop_token stop;
  SteadyTime deadline = SteadyTime::InfiniteFuture();
};

// Used by one thread. A stop request or a passed deadline ends the session: its call answers Cancelled or
// DeadlineExceeded.
class MariadbSession {
 public:
  // Unavailable when nobody answers; FailedPrecondition for a wrong password or a server that is no MariaDB.
  static StatusOr<std::unique_ptr<MariadbSession>> Open(const v1::MariadbConnection& where,
                                                        const MariadbSessionOptions& options);
  ~MariadbSession();
  MariadbSession(const MariadbSession&) = delete;
  MariadbSession& operator=(const MariadbSession&) = delete;

  // Errors: Unavailable and Aborted for the server's surroundings (it went away, a lock was not had in time),
  // PermissionDenied for want of rights, NotFound for what is not there, ResourceExhausted, else Internal.
  StatusOr<MariadbRows> Query(const std::string& sql);
  Status Execute(const std::string& sql);
  // The first column of the first row, "" when there is none.
  StatusOr<std::string> Value(const std::string& sql);
  StatusOr<int64_t> Number(const std::string& sql);

  int ServerVersion() const;  // 101119
  const std::string& ServerText() const { return server_text_; }
  uint64_t Id() const;             // by which the server's process list has it
  int Socket() const;              // borrowed
  unsigned int LastError() const;  // of the last call, by the server's or the client's number; 0 for none

  std::string Literal(std::string_view text) const;      // quoted
  static std::string Identifier(std::string_view name);  // in backticks
  std::string Account(std::string_view user,
                      std::string_view host) const;  // 'user'@'host'; a role without a host

 private:
  struct State;
  explicit MariadbSession(std::unique_ptr<State> state);
  Status Refusal(const char* what) const;

  std::unique_ptr<State> state_;
  std::string server_text_;
};

// "/run/mysqld/mysqld.sock" or "db.example.com:3306", for people.
std::string Describe(const v1::MariadbConnection& where);

// The kind of an error of a server or client library by its number.
absl::StatusCode CodeOfMariadbError(unsigned int number);

// A server's message without the values of rows that it quotes ("Duplicate entry 'x' for key 'y'").
std::string WithoutRowValues(unsigned int number, std::string_view message);

}  // namespace salvor::agent
