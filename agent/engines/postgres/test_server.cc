#include "agent/engines/postgres/test_server.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/io/files.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

void Require(const Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "test server: %s: %s\n", what, MessageOf(status).c_str());
  std::abort();
}

template <typename T>
T Require(StatusOr<T> value, const char* what) {
  Require(value.status(), what);
  return *std::move(value);
}

}  // namespace

std::string TestSupervisor() {
  const char* path = std::getenv("SALVOR_SUPERVISE");
  if (path == nullptr) {
    std::fprintf(stderr, "SALVOR_SUPERVISE must name salvor-supervise\n");
    std::abort();
  }
  return path;
}

SupervisedTools& TestTools() {
  static SupervisedTools tools(TestSupervisor());
  return tools;
}

ScratchEngines TestEngines(absl::Duration session_bound) {
  return {std::make_shared<PostgresScratch>(TestTools(), kTestBinDirectory, session_bound)};
}

TestServer::TestServer() {
  char pattern[] = "/tmp/salvor-test-XXXXXX";
  if (mkdtemp(pattern) == nullptr) Require(ErrnoStatus(errno, "mkdtemp"), "directory");
  directory_ = pattern;
  chmod(directory_.c_str(), 0755);
  servers_ = std::make_unique<ScratchPlaces>(
      ScratchOptions{directory_ + "/state", TestTools(), TestSupervisor(), TestEngines(), ""});
  ScratchRequest request;
  request.name = "source";
  request.engine = "postgres";
  state_ = Require(servers_->Start(request), "start");
  // It stands for a server in use: programs of other users connect to it.
  chmod(state_.socket_directory.c_str(), 0755);
  chmod((state_.socket_directory + "/.s.PGSQL.5432").c_str(), 0777);
  auto session = Connection::Open(ConnectionTo(state_), {});
  Require(session.status(), "connect");
  Require((*session)->Execute("CREATE ROLE postgres SUPERUSER LOGIN"), "role");
}

TestServer::~TestServer() {
  Require(servers_->Remove("source"), "remove");
  servers_.reset();
  Require(RemoveTree(directory_), "clean up");
}

v1::PostgresConnection TestServer::Where(const std::string& user) const {
  v1::PostgresConnection where = ConnectionTo(state_);
  where.set_user(user);
  return where;
}

std::unique_ptr<Connection> TestServer::Connect(const std::string& database, const std::string& user,
                                                bool pinned) const {
  SessionOptions options;
  options.database = database;
  options.pinned = pinned;
  return Require(Connection::Open(Where(user), options), "connect");
}

void TestServer::Execute(const std::string& database, const std::string& sql) const {
  Require(Connect(database, "postgres", false)->Execute(sql), sql.c_str());
}

std::string TestServer::Value(const std::string& database, const std::string& sql) const {
  return Require(Connect(database, "postgres", false)->Value(sql), sql.c_str());
}

void TestServer::Reset() const {
  const auto session = Connect("postgres");
  const auto each = [&session](const char* list) {
    const Rows statements = Require(session->Query(list), list);
    for (int i = 0; i < statements.Count(); ++i) Require(session->Execute(statements.Text(i, 0)), "reset");
  };
  each(
      R"(
SELECT format('ALTER DATABASE %I IS_TEMPLATE false', datname)
  FROM pg_database
 WHERE datistemplate AND datname NOT IN ('template0', 'template1'))");
  each("SELECT 'ALTER ROLE ALL RESET ALL'");
  each(
      R"(
SELECT format('DROP DATABASE %I WITH (FORCE)', datname)
  FROM pg_database
 WHERE datname NOT IN ('postgres', 'template0', 'template1'))");
  each("SELECT format('REVOKE ALL ON PARAMETER %I FROM PUBLIC', parname) FROM pg_parameter_acl");
  each(
      R"(
SELECT format('REVOKE ALL ON PARAMETER %I FROM %I', parname, pg_get_userbyid(a.grantee))
  FROM pg_parameter_acl, LATERAL aclexplode(paracl) a
 WHERE a.grantee NOT IN (0, 10))");
  each(
      R"(
SELECT format('DROP ROLE %I', rolname)
  FROM pg_roles
 WHERE rolname !~ '^pg_' AND rolname NOT IN ('postgres', 'salvor_scratch'))");
}

std::string TestServer::Dump(const std::string& database, const std::vector<std::string>& more) const {
  ProcessSpec spec;
  spec.argv = {std::string(kTestBinDirectory) + "/pg_dump", "-Fc", "-Z0"};
  spec.argv.insert(spec.argv.end(), more.begin(), more.end());
  spec.environment = Require(ToolEnvironment(Where(), database, Connect(database).get()), "environment");
  spec.keep_output = size_t{256} << 20;
  return Require(TestTools().Run(std::move(spec), {}, SteadyNow() + absl::Minutes(5)), "pg_dump").output;
}

}  // namespace salvor::agent
