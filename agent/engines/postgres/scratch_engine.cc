#include "agent/engines/postgres/scratch_engine.h"

#include <signal.h>

#include <charconv>
#include <utility>

#include "agent/scratch/socket_door.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kSocket[] = ".s.PGSQL.5432";
constexpr int64_t kServerBytes = int64_t{256} << 20;  // an empty cluster, its WAL and room to breathe

std::string DataSeenBy(const ScratchState& state) {
  return state.sandboxed ? kScratchData : state.directory + "/data";
}

// Nothing here may act on the world, and nothing needs to outlive the machine. It has to outlive the process,
// though: with synchronous_commit off, a restore that was reported as done could be gone after a restart.
//
// A server that lost a backend ends rather than starting itself anew: its unlogged tables would be empty then,
// and nobody would know. Each large object takes a lock, and a restore is one transaction.
std::vector<std::string> ServerSettings(const std::string& socket_directory) {
  return {"listen_addresses=",
          "unix_socket_directories=" + socket_directory,
          "unix_socket_permissions=0700",
          "port=5432",
          "archive_mode=off",
          "wal_level=minimal",
          "max_wal_senders=0",
          "fsync=off",
          "full_page_writes=off",
          "max_wal_size=4GB",
          "checkpoint_timeout=1h",
          "shared_preload_libraries=",
          "session_preload_libraries=",
          "local_preload_libraries=",
          "max_logical_replication_workers=0",
          "max_prepared_transactions=0",
          "logging_collector=off",
          "log_destination=stderr",
          "max_locks_per_transaction=8192",
          "max_connections=30",
          "restart_after_crash=off",
          "cluster_name=salvor-scratch",
          "jit=off"};
}

}  // namespace

StatusOr<int> ToolVersion(ToolRunner& tools, const std::string& program) {
  ProcessSpec spec;
  spec.argv = {program, "--version"};
  ASSIGN_OR_RETURN(ExitStatus exit, tools.Run(std::move(spec), {}, SteadyNow() + absl::Seconds(30)));
  const size_t space = exit.output.find(") ");
  int major = 0, minor = 0;
  if (space != std::string::npos) {
    const char* const end = exit.output.data() + exit.output.size();
    const auto first = std::from_chars(exit.output.data() + space + 2, end, major);
    if (first.ptr != end && *first.ptr == '.')
      std::from_chars(first.ptr + 1, end, minor);  // "17beta1" has none
  }
  if (major <= 0) return Internal("{} --version says '{}'", program, Elide(Trim(exit.output), 80));
  return major * 10000 + minor;
}

v1::PostgresConnection ConnectionTo(const ScratchState& state) {
  v1::PostgresConnection connection;
  connection.set_socket_directory(state.socket_directory);
  connection.set_user(kScratchSuperuser);
  return connection;
}

PostgresScratch::PostgresScratch(ToolRunner& tools, std::string bin_directory, absl::Duration session_bound)
    : tools_(tools), bin_directory_(std::move(bin_directory)), session_bound_(session_bound) {}

std::string PostgresScratch::Kind() const { return kPostgresKind; }

// An own build of PostgreSQL has its libraries beside its programs.
std::string PostgresScratch::ProgramFolder() const {
  const size_t slash = bin_directory_.rfind('/');
  if (bin_directory_.rfind("/usr/", 0) == 0 || slash == std::string::npos || slash == 0) return "";
  return bin_directory_.substr(0, slash);
}

int64_t PostgresScratch::EmptyServerBytes() const { return kServerBytes; }

Status PostgresScratch::CheckVersion(int32_t source_version) const {
  ASSIGN_OR_RETURN(const int local, ToolVersion(tools_, bin_directory_ + "/postgres"));
  if (local / 10000 >= source_version / 10000) return OkStatus();
  return WithHint(FailedPrecondition("the backup is of PostgreSQL {}, the agent's is {}",
                                     source_version / 10000, local / 10000),
                  "Install the newer PostgreSQL and set --postgres-bin-directory to it.");
}

ProcessSpec PostgresScratch::Initializer(const ScratchState& state) const {
  ProcessSpec initdb;
  initdb.argv = {bin_directory_ + "/initdb",
                 "--pgdata=" + DataSeenBy(state),
                 std::string("--username=") + kScratchSuperuser,
                 "--auth=trust",
                 "--encoding=UTF8",
                 "--locale=C.UTF-8",
                 "--no-sync",
                 "--no-instructions"};
  return initdb;
}

ProcessSpec PostgresScratch::Server(const ScratchState& state) const {
  ProcessSpec server;
  server.argv = {bin_directory_ + "/postgres", "-D", DataSeenBy(state)};
  // The server works in its data directory: seen from there the path is short, however long it is from here.
  for (const std::string& setting : ServerSettings(state.sandboxed ? kScratchSocket : "../socket")) {
    server.argv.push_back("-c");
    server.argv.push_back(setting);
  }
  // The server is stopped at once, for what is thrown away needs no shutdown checkpoint: with its PID namespace all of
  // it ends.
  server.stop_signal = state.sandboxed ? SIGKILL : SIGQUIT;
  return server;
}

bool PostgresScratch::IsFatal(std::string_view line) const {
  return line.find("FATAL") != std::string_view::npos || line.find("PANIC") != std::string_view::npos;
}

Status PostgresScratch::OpenDoor(const ScratchState& state) const {
  return OpenSocketDoor(state.directory + "/socket", state.directory + "/door", kSocket,
                        ScratchUserOf(state));
}

// Restored code is the superuser there, and may have put something in the server's place that never answers.
ScratchAnswer PostgresScratch::Ask(const ScratchState& state) const {
  SessionOptions bounded;
  bounded.deadline = SteadyNow() + session_bound_;
  bounded.cancels_on_server = false;
  const auto session = Connection::Open(ConnectionTo(state), bounded);
  if (!session.ok()) return {session.status(), OkStatus()};
  return {OkStatus(), CheckListener((*session)->Socket(), ScratchUserOf(state),
                                    FindServerProcesses(state.directory + "/data"))};
}

std::vector<std::string> PostgresScratch::LeftByDeadServer() const {
  const std::string socket = std::string("socket/") + kSocket;
  return {"data/postmaster.pid", socket, socket + ".lock", std::string("door/") + kSocket};
}

}  // namespace salvor::agent
