#include "tools/cli/cli.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <memory>

#include "base/io/yaml/proto_names.h"
#include "base/text.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/help.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

void AddGlobalOptions(CommandLine& line) {
  GlobalOptions& options = line.globals;
  line.root
      .add_option("--server", options.server,
                  "the control plane: unix:///path or host:port (env SALVOR_SERVER; default "
                  "unix:///run/salvor/salvord.sock)")
      ->type_name("ADDRESS");
  line.root
      .add_option("--token-file", options.token_file,
                  "file with the API token, mode 0600 (env SALVOR_TOKEN_FILE; default "
                  "/var/lib/salvor/api.token, where salvord writes it)")
      ->type_name("FILE");
  line.root
      .add_option("--ca-file", options.ca_file,
                  "certificate authority of a server elsewhere, PEM (env SALVOR_CA_FILE)")
      ->type_name("FILE");
  AddDuration(line.root, "--request-timeout", options.request_timeout, "for every single call (default 10s)");
  line.root.add_option("--color", options.color, "auto, always or never")
      ->type_name("WHEN")
      ->check([](const std::string& word) {
        return word == "auto" || word == "always" || word == "never"
                   ? std::string()
                   : fmt::format("'{}' is not valid; use one of auto, always, never", CleanText(word));
      });
  line.root.add_flag("--no-headers", options.no_headers, "tables without their titles");
}

// The innermost command that the words led to.
const CLI::App& Deepest(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = const_cast<CLI::App&>(app).get_subcommands();
  return parsed.empty() ? app : Deepest(*parsed.back());
}

std::vector<std::string> FlagsOf(const CLI::App& app) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  if (app.get_parent() == nullptr) return flags;
  for (const std::string& flag : FlagsOf(*app.get_parent())) flags.push_back(flag);
  return flags;
}

// The arguments that CLI11 calls unexpected: a command or a flag that is not there, or one word too many.
std::string Unexpected(const CLI::App& root, const CLI::App& command) {
  const std::vector<std::string> words = root.remaining(true);
  if (words.empty()) return "the command line cannot be understood";
  // CLI11 leaves the value of a flag as well: the flag is what matters.
  const auto flag =
      std::find_if(words.begin(), words.end(), [](const std::string& w) { return w.rfind('-', 0) == 0; });
  if (flag != words.end()) {
    const std::string name = flag->substr(0, flag->find('='));
    return fmt::format("there is no flag '{}'{}", CleanText(name), DidYouMean(name, FlagsOf(command)));
  }
  std::vector<std::string> names;
  for (const CLI::App* child : command.get_subcommands({})) names.push_back(child->get_name());
  const std::string& word = words.front();
  if (names.empty()) return fmt::format("'{}' is one word too many", CleanText(word));
  return fmt::format("there is no command '{} {}'{}", FullName(command), CleanText(word),
                     DidYouMean(word, names));
}

ExitCode FailUsage(CommandLine& line, Environment& environment, const std::string& what,
                   const CLI::App& command) {
  Context context(environment, line.globals);
  return context.Fail(ExitCode::kUsage, what, "", fmt::format("See `{} --help`.", FullName(command)));
}

}  // namespace

void BuildCommandLine(CommandLine& line) {
  CLI::App& root = line.root;
  // Inherited by every command made from here on.
  root.formatter(std::make_shared<HelpFormatter>());
  root.fallthrough();
  root.set_help_flag("-h,--help", "explain this command");
  root.require_subcommand(0, 1);  // so that a name may also be the name of a command
  AddGlobalOptions(line);
  AddApplyCommands(line);
  AddObjectCommands(line);
  AddDiscoverCommands(line);
  AddBackupCommands(line);
  AddRestoreCommands(line);
  AddDrillCommands(line);
  AddRunCommands(line);
  AddAgentCommands(line);
  AddAgentTokenCommands(line);
  AddTokenCommands(line);
  AddInfoCommands(line);
}

ExitCode Parse(CommandLine& line, const std::vector<std::string>& arguments, Environment& environment) {
  for (const std::string& argument : arguments) {
    if (ValidUtf8(argument) == argument) continue;
    return FailUsage(line, environment, fmt::format("'{}' is not UTF-8", CleanText(argument)), line.root);
  }
  try {
    line.root.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    line.chosen = nullptr;
    *environment.out << HelpFormatter().make_help(&Deepest(line.root), "", CLI::AppFormatMode::Normal);
    return ExitCode::kOk;
  } catch (const CLI::ExtrasError&) {
    line.chosen = nullptr;
    const CLI::App& command = Deepest(line.root);
    return FailUsage(line, environment, Unexpected(line.root, command), command);
  } catch (const CLI::ParseError& error) {
    line.chosen = nullptr;
    return FailUsage(line, environment, error.what(), Deepest(line.root));
  }
  if (line.chosen) return ExitCode::kOk;
  *environment.err << HelpFormatter().make_help(&Deepest(line.root), "", CLI::AppFormatMode::Normal);
  return ExitCode::kUsage;
}

int RunCli(const std::vector<std::string>& arguments, Environment& environment) {
  CommandLine line;
  BuildCommandLine(line);
  ExitCode code = Parse(line, arguments, environment);
  if (line.chosen) {
    Context context(environment, line.globals);
    code = line.chosen(context);
  }
  environment.out->flush();
  environment.err->flush();
  // A full disk or a closed pipe must not look like success.
  if (!environment.out->good() && code == ExitCode::kOk) {
    *environment.err << "error: the output could not be written\n" << std::flush;
    code = ExitCode::kFailed;
  }
  return static_cast<int>(code);
}

}  // namespace salvor::cli
