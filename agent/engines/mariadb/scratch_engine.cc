#include "agent/engines/mariadb/scratch_engine.h"

#include <fmt/core.h>
#include <signal.h>

#include <charconv>
#include <utility>

#include "agent/engines/mariadb/session.h"
#include "agent/engines/mariadb/tools.h"
#include "agent/scratch/socket_door.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kSocket[] = "mariadb.sock";
constexpr int64_t kServerBytes = int64_t{300} << 20;  // an empty server, its logs and room to breathe

// Takes the place of all accounts that a new server has, but the one that owns its own views.
constexpr char kOneAccount[] = R"sql(
DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
DELETE FROM mysql.proxies_priv;
INSERT INTO mysql.global_priv VALUES ('localhost', 'salvor_scratch', '{"access":18446744073709551615}');
INSERT INTO mysql.proxies_priv VALUES ('localhost', 'salvor_scratch', '', '', 1, '', CURRENT_TIMESTAMP);
)sql";

std::string DataSeenBy(const ScratchState& state) {
  return state.sandboxed ? kScratchData : state.directory + "/data";
}

}  // namespace

int MariadbVersionIn(std::string_view text) {
  size_t at = text.find("Distrib ");
  if (at == std::string_view::npos) at = text.find(" from ");
  if (at == std::string_view::npos) at = text.find("Ver ");
  if (at == std::string_view::npos) return 0;
  at = text.find_first_of("0123456789", at);
  if (at == std::string_view::npos) return 0;
  int parts[3] = {0, 0, 0};
  const char* const end = text.data() + text.size();
  const char* begin = text.data() + at;
  for (int& part : parts) {
    const auto read = std::from_chars(begin, end, part);
    if (read.ec != std::errc()) return 0;
    begin = read.ptr;
    if (begin == end || *begin != '.') break;
    ++begin;
  }
  return parts[0] * 10000 + parts[1] * 100 + parts[2];
}

std::string MariadbVersionText(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

StatusOr<int> MariadbToolVersion(ToolRunner& tools, const std::string& program) {
  ProcessSpec spec;
  spec.argv = {program, "--no-defaults", "--version"};
  ASSIGN_OR_RETURN(const ExitStatus exit, tools.Run(std::move(spec), {}, SteadyNow() + absl::Seconds(30)));
  const int version = MariadbVersionIn(exit.output);
  if (version == 0) return Internal("{} --version says '{}'", program, Elide(Trim(exit.output), 80));
  return version;
}

v1::MariadbConnection MariadbConnectionTo(const ScratchState& state) {
  v1::MariadbConnection connection;
  connection.set_socket(state.socket_directory + "/" + kSocket);
  connection.set_user(kMariadbScratchAccount);
  return connection;
}

MariadbScratch::MariadbScratch(ToolRunner& tools, std::string folder, absl::Duration session_bound)
    : tools_(tools), folder_(std::move(folder)), session_bound_(session_bound) {}

std::string MariadbScratch::Kind() const { return kMariadbKind; }

// An own build of MariaDB has its libraries and messages beside its programs.
std::string MariadbScratch::ProgramFolder() const {
  const size_t slash = folder_.rfind('/');
  if (folder_.rfind("/usr/", 0) == 0 || slash == std::string::npos || slash == 0) return "";
  return folder_.substr(0, slash);
}

int64_t MariadbScratch::EmptyServerBytes() const { return kServerBytes; }

Status MariadbScratch::CheckVersion(int32_t source_version) const {
  ASSIGN_OR_RETURN(const int local, MariadbToolVersion(tools_, MariadbServerProgram(folder_)));
  if (local / 100 >= source_version / 100) return OkStatus();
  return WithHint(
      FailedPrecondition("the backup is of MariaDB {}, the agent's is {}", MariadbVersionText(source_version),
                         MariadbVersionText(local)),
      "Install a MariaDB server at least as new as the one that was backed up on the agent's host.");
}

ProcessSpec MariadbScratch::Initializer(const ScratchState& state) const {
  ProcessSpec install;
  install.argv = {
      folder_.empty() ? "mariadb-install-db" : folder_ + "/mariadb-install-db", "--no-defaults",
      "--datadir=" + DataSeenBy(state),
      // In a folder that servers share, one that starts removes the temporary tables of the others.
      "--tmpdir=" + DataSeenBy(state), "--auth-root-authentication-method=normal", "--skip-test-db",
      "--skip-name-resolve",
      "--force",  // a sandbox has no host name that could be looked up
      "--extra-file=/dev/stdin"};
  auto statements = MemoryFile(kOneAccount);
  if (statements.ok()) {
    install.input = *std::move(statements);
  } else {
    install.problem = statements.status();
  }
  return install;
}

// Nothing needs to outlive the machine, but it has to outlive the process: a restore that was reported as done stays.
// The scheduler is off, not disabled: a disabled one refuses to make events at all (measured).
ProcessSpec MariadbScratch::Server(const ScratchState& state) const {
  const std::string data = DataSeenBy(state);
  ProcessSpec server;
  // The server works in its data directory: seen from there the path of its socket is short.
  server.argv = {
      MariadbServerProgram(folder_),
      "--no-defaults",
      "--datadir=" + data,
      "--tmpdir=" + data,
      std::string("--socket=") + (state.sandboxed ? kScratchSocket : "../socket") + "/" + kSocket,
      "--pid-file=" + data + "/scratch.pid",
      "--skip-networking",  // and no --skip-name-resolve, which passes over accounts of named hosts (measured)
      "--event-scheduler=OFF",
      "--skip-log-bin",
      "--skip-slave-start",
      "--skip-symbolic-links",
      "--local-infile=0",
      "--secure-file-priv=" + data,
      "--max-allowed-packet=1G",
      "--max-connections=30",
      "--max-statement-time=0",
      "--performance-schema=OFF",
      "--default-time-zone=+00:00",
      "--innodb-buffer-pool-size=128M",
      "--innodb-flush-log-at-trx-commit=2",
      "--innodb-doublewrite=OFF",
      "--innodb-flush-method=nosync",
      "--skip-stack-trace"};
  // What is thrown away needs no shutdown: with its PID namespace all of it ends.
  server.stop_signal = state.sandboxed ? SIGKILL : SIGTERM;
  return server;
}

bool MariadbScratch::IsFatal(std::string_view line) const {
  return line.find("[ERROR]") != std::string_view::npos;
}

Status MariadbScratch::OpenDoor(const ScratchState& state) const {
  return OpenSocketDoor(state.directory + "/socket", state.directory + "/door", kSocket,
                        ScratchUserOf(state));
}

// Restored code may have put something in the server's place that never answers.
ScratchAnswer MariadbScratch::Ask(const ScratchState& state) const {
  MariadbSessionOptions bounded;
  bounded.deadline = SteadyNow() + session_bound_;
  const auto session = MariadbSession::Open(MariadbConnectionTo(state), bounded);
  if (!session.ok()) return {session.status(), OkStatus()};
  return {OkStatus(), CheckListener((*session)->Socket(), ScratchUserOf(state),
                                    FindServerProcesses(state.directory + "/data"))};
}

std::vector<std::string> MariadbScratch::LeftByDeadServer() const {
  const std::string socket = std::string("socket/") + kSocket;
  return {"data/scratch.pid", socket, std::string("door/") + kSocket};
}

}  // namespace salvor::agent
