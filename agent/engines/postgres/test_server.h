// A throw-away PostgreSQL for tests: a scratch server in a directory of its own, with the superuser
// "postgres" besides the scratch one, and everything deleted at the end.
#pragma once

#include <memory>
#include <string>

#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/scratch_engine.h"
#include "agent/process/process.h"
#include "agent/scratch/scratch_places.h"

namespace salvor::agent {

class TestServer {
 public:
  // Aborts the test program when the machine cannot have one: there is nothing to test then.
  TestServer();
  ~TestServer();

  v1::PostgresConnection Where(const std::string& user = "postgres") const;
  std::unique_ptr<Connection> Connect(const std::string& database, const std::string& user = "postgres",
                                      bool pinned = true) const;
  // Statements must succeed.
  void Execute(const std::string& database, const std::string& sql) const;
  std::string Value(const std::string& database, const std::string& sql) const;

  // Drops every database and role that a test made.
  void Reset() const;

  // A pg_dump of this server (-Fc -Z0 and what is given), as bytes.
  std::string Dump(const std::string& database, const std::vector<std::string>& more = {}) const;

  const std::string& Directory() const { return directory_; }  // for anything else of the test
  ScratchPlaces& Servers() { return *servers_; }

 private:
  std::string directory_;
  std::unique_ptr<ScratchPlaces> servers_;
  ScratchState state_;
};

// Path of salvor-supervise, from the environment of the test.
std::string TestSupervisor();
SupervisedTools& TestTools();  // of this host, by that supervisor
// PostgreSQL alone.
ScratchEngines TestEngines(absl::Duration session_bound = absl::Seconds(15));

// The folder of PostgreSQL's programs on the test machine.
inline constexpr char kTestBinDirectory[] = "/usr/lib/postgresql/15/bin";

}  // namespace salvor::agent
