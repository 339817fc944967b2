#include "agent/restic/environment_file.h"

#include <algorithm>
#include <cctype>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

bool IsVariableName(std::string_view name) {
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

}  // namespace

StatusOr<std::map<std::string, std::string>> ParseEnvironment(std::string_view text) {
  std::map<std::string, std::string> variables;
  int number = 0;
  for (const std::string& whole : Split(text, '\n')) {
    ++number;
    const std::string_view line = Trim(whole);
    if (line.empty() || line[0] == '#') continue;
    const size_t equals = line.find('=');
    const std::string_view name = Trim(line.substr(0, equals));
    if (equals == std::string_view::npos || !IsVariableName(name)) {
      return WithHint(InvalidArgument("line {} is not KEY=value", number),
                      "Write one variable a line, as in AWS_ACCESS_KEY_ID=….");
    }
    if (name.rfind("RESTIC_PASSWORD", 0) == 0 || name.rfind("RESTIC_REPOSITORY", 0) == 0) {
      return WithHint(
          InvalidArgument("line {} sets {}", number, name),
          "The Location's repository and passwordFile say that; leave only the backend's credentials here.");
    }
    std::string_view value = Trim(line.substr(equals + 1));
    if (value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0]) {
      value = value.substr(1, value.size() - 2);
    }
    if (value.find('\0') != std::string_view::npos)
      return InvalidArgument("line {} holds a NUL byte", number);
    variables[std::string(name)] = std::string(value);
  }
  return variables;
}

StatusOr<std::map<std::string, std::string>> ReadEnvironmentFile(const std::string& path) {
  RETURN_IF_ERROR(CheckSecretFile(path));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  auto variables = ParseEnvironment(text);
  if (!variables.ok()) return WithContext(variables.status(), "environment file " + path);
  return variables;
}

}  // namespace salvor::agent
