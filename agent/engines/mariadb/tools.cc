#include "agent/engines/mariadb/tools.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "agent/engines/mariadb/session.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// A value of an option file, in double quotes: a backslash, a quote and what ends a line are escaped.
std::string Quoted(std::string_view value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// Whether a line of stderr is a program's own. The client repeats the statement that failed, rows and all (measured).
bool IsOfTool(std::string_view line) {
  for (const std::string_view begin : {"ERROR ", "mariadb", "mysql", "WARNING", "Warning"}) {
    if (line.substr(0, begin.size()) == begin) return true;
  }
  return false;
}

}  // namespace

std::string MariadbProgramFolder(const AgentConfig& config) {
  const auto named = config.program_folders.find(kMariadbKind);
  return named == config.program_folders.end() ? kMariadbPrograms : named->second;
}

std::string MariadbServerProgram(const std::string& folder) {
  if (folder.empty()) return "mariadbd";
  const std::string beside = folder + "/mariadbd";
  if (access(beside.c_str(), X_OK) == 0) return beside;
  return folder.substr(0, folder.rfind('/')) + "/sbin/mariadbd";
}

StatusOr<MariadbOptionFile> MariadbOptionFile::For(const v1::MariadbConnection& where) {
  std::string text = "[client]\n";
  const auto add = [&text](std::string_view name, std::string_view value) {
    text += fmt::format("{}={}\n", name, Quoted(value));
  };
  if (!where.user().empty()) add("user", where.user());
  if (!where.password_file().empty()) {
    ASSIGN_OR_RETURN_IN(const std::string password, ReadSecretFile(where.password_file()),
                        "reading the password");
    add("password", std::string_view(password).substr(0, password.find_first_of("\r\n")));
  }
  if (!where.socket().empty()) {
    add("socket", where.socket());
    text += "protocol=socket\n";
  } else {
    add("host", where.host());
    text += fmt::format("port={}\nprotocol=tcp\n", where.port() == 0 ? 3306 : where.port());
  }
  const std::string tls =
      where.tls().empty() ? (where.socket().empty() ? "require" : "disable") : where.tls();
  text += tls == "disable" ? "skip-ssl\n" : "ssl\n";
  if (tls == "verify") text += "ssl-verify-server-cert\n";
  if (!where.tls_ca().empty()) add("ssl-ca", where.tls_ca());
  ASSIGN_OR_RETURN(UniqueFd file, MemoryFile(text));
  // A file that anybody may write is passed over by MariaDB's programs.
  if (fchmod(file.Get(), 0600) != 0) return ErrnoStatus(errno, "fchmod");
  return MariadbOptionFile(std::move(file));
}

std::string MariadbOptionFile::Argument() const {
  return fmt::format("--defaults-file=/proc/{}/fd/{}", getpid(), file_.Get());
}

unsigned int ErrorNumberIn(std::string_view error_tail) {
  // "ERROR 1062 (23000) at line 45", "Got error: 1045: …", "Error 1412: …", "Error: 2013: …", "… (1356)"
  const auto number_at = [](const std::string& line, size_t at) {
    unsigned int number = 0;
    std::from_chars(line.data() + at, line.data() + line.size(), number);
    return number;
  };
  unsigned int last = 0;
  for (const std::string& line : Split(error_tail, '\n')) {
    unsigned int found = 0;
    for (const std::string_view word : {"ERROR ", "rror: ", "Error "}) {
      const size_t at = line.find(word);
      if (found == 0 && at != std::string::npos) found = number_at(line, at + word.size());
    }
    const size_t open = line.rfind('(');
    if (found == 0 && open != std::string::npos && !line.empty() && line.back() == ')')
      found = number_at(line, open + 1);
    if (found != 0) last = found;
  }
  return last;
}

Status MariadbToolError(const std::vector<std::string>& argv, const ExitStatus& status) {
  const unsigned int number = ErrorNumberIn(status.error_tail);
  std::string cause;
  for (const std::string& line : Split(status.error_tail, '\n')) {
    if (IsOfTool(line)) cause = line;
  }
  if (cause.empty()) return ProcessError(argv, status);
  cause = WithoutRowValues(number, ValidUtf8(Trim(cause)));
  const std::string program = ProgramName(argv);
  if (cause.rfind(program + ": ", 0) == 0) cause.erase(0, program.size() + 2);
  return MakeStatus(number == 0 ? absl::StatusCode::kInternal : CodeOfMariadbError(number),
                    fmt::format("{}: {} ({})", program, Elide(cause, 600), status.Describe()));
}

ProcessSpec MariadbTool(ActionContext& context, const std::string& name, const MariadbOptionFile& options,
                        std::vector<std::string> arguments) {
  const std::string folder = MariadbProgramFolder(context.config);
  ProcessSpec spec;
  spec.argv = {folder.empty() ? name : folder + "/" + name, options.Argument()};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.on_error_line = [&context, name](std::string_view line) {
    if (context.log && IsOfTool(line)) context.log(name, WithoutRowValues(ErrorNumberIn(line), line));
  };
  spec.explain = [argv = spec.argv](const ExitStatus& status) { return MariadbToolError(argv, status); };
  return spec;
}

// Events are no part of it: they are restored by themselves, so that none fires before the copy was compared.
std::vector<std::string> DumpArguments(const std::vector<std::string>& databases, bool history,
                                       bool position) {
  std::vector<std::string> arguments = {"--single-transaction",
                                        "--quick",
                                        "--routines",
                                        "--triggers",
                                        "--skip-events",
                                        "--hex-blob",
                                        "--tz-utc",
                                        "--comments",
                                        "--dump-date",
                                        "--create-options",
                                        "--extended-insert",
                                        "--default-character-set=utf8mb4",
                                        "--no-tablespaces",
                                        "--max-allowed-packet=1G"};
  if (history) arguments.emplace_back("--dump-history");
  if (position) arguments.emplace_back("--master-data=2");
  arguments.emplace_back("--databases");
  arguments.emplace_back("--");
  arguments.insert(arguments.end(), databases.begin(), databases.end());
  return arguments;
}

}  // namespace salvor::agent
