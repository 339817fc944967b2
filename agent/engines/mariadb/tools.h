// MariaDB's programs, and how they reach a server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/work/action.h"
#include "base/io/files.h"
#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// The kind of server that flows and state files name.
inline constexpr char kMariadbKind[] = "mariadb";
// The folder of MariaDB's client programs where the agent's command line names no other; the server's are there, or in
// sbin beside it.
inline constexpr char kMariadbPrograms[] = "/usr/bin";

// Empty: the programs are found by PATH.
std::string MariadbProgramFolder(const AgentConfig& config);

// The path of mariadbd for that folder of programs.
std::string MariadbServerProgram(const std::string& folder);

// The way to a server as an option file that has no name: the program opens it by our descriptor, so that no password is
// on a command line, in an environment or on a disk. It has to outlive the program.
class MariadbOptionFile {
 public:
  static StatusOr<MariadbOptionFile> For(const v1::MariadbConnection& where);
  // "--defaults-file=/proc/…": nothing else is read, whatever a my.cnf of this host says.
  std::string Argument() const;

 private:
  explicit MariadbOptionFile(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

// One of its programs with the option file and arguments. Its stderr goes to the run's log; its errors are told without
// the values of rows. `options` is borrowed by path until the program has ended.
ProcessSpec MariadbTool(ActionContext& context, const std::string& name, const MariadbOptionFile& options,
                        std::vector<std::string> arguments);

// The arguments of mariadb-dump: all databases in one transaction, without events. With `history` what
// system-versioned tables were; with `position` where the binary log stood.
std::vector<std::string> DumpArguments(const std::vector<std::string>& databases, bool history,
                                       bool position);

// "1062" in "ERROR 1062 (23000) at line 45: …", or in "mariadb-dump: Got error: 1045: …"; 0 where there is none.
unsigned int ErrorNumberIn(std::string_view error_tail);

// The error of a failed program of MariaDB's.
Status MariadbToolError(const std::vector<std::string>& argv, const ExitStatus& status);

}  // namespace salvor::agent
