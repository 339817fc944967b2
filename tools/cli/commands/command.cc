#include "tools/cli/commands/command.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>  // App.hpp alone leaves out what its own defaults are made of
#include <algorithm>
#include <utility>

#include "base/io/yaml/render.h"
#include "base/text.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

constexpr char kDefaultServer[] = "unix:///run/salvor/salvord.sock";
constexpr char kDefaultTokenFile[] = "/var/lib/salvor/api.token";  // where salvord writes it

std::string FirstOf(const std::string& a, const std::string& b) { return a.empty() ? b : a; }

}  // namespace

StatusOr<Client*> Context::Connect() {
  if (client_ != nullptr) return client_.get();
  ClientOptions options;
  options.server = FirstOf(FirstOf(options_.server, environment_.Variable("SALVOR_SERVER")), kDefaultServer);
  const std::string token_file = FirstOf(options_.token_file, environment_.Variable("SALVOR_TOKEN_FILE"));
  options.token_file = FirstOf(token_file, kDefaultTokenFile);
  options.token_file_is_default = token_file.empty();
  options.ca_file = FirstOf(options_.ca_file, environment_.Variable("SALVOR_CA_FILE"));
  options.request_timeout = DurationValue(options_.request_timeout);
  ASSIGN_OR_RETURN(client_, Client::Make(options));
  return client_.get();
}

Style Context::MakeStyle(bool is_tty) const {
  Style style;
  style.width = is_tty ? std::max(20, environment_.size().columns) : 0;
  style.color = WantsColor(options_.color, environment_.variables, is_tty);
  style.headers = !options_.no_headers;
  style.now = environment_.clock->Now();
  style.zone = environment_.zone;
  return style;
}

Style Context::OutStyle(bool wide) const {
  Style style = MakeStyle(environment_.out_is_tty);
  style.wide = wide;
  return style;
}

Style Context::ErrStyle() const { return MakeStyle(environment_.err_is_tty); }

ExitCode Context::Fail(const std::string& what, const Status& status) {
  // A command that cannot work before a server was asked is a matter of the command line.
  const bool usage = client_ == nullptr && (status.code() == absl::StatusCode::kInvalidArgument ||
                                            status.code() == absl::StatusCode::kFailedPrecondition);
  return Fail(usage ? ExitCode::kUsage : ExitCodeOf(status), what, MessageOf(status), HintOf(status));
}

ExitCode Context::Fail(ExitCode code, const std::string& what, const std::string& cause,
                       const std::string& hint) {
  out().flush();
  err() << Paint(ErrStyle(), Tone::kBad, "error:") << " " << CleanText(what) << "\n";
  if (!cause.empty()) err() << "  cause: " << CleanText(cause) << "\n";
  if (!hint.empty()) err() << "  hint: " << CleanText(hint) << "\n";
  err().flush();
  return code;
}

void Context::Next(const std::vector<std::string>& commands) {
  out().flush();
  for (const std::string& command : commands) {
    err() << (&command == &commands.front() ? "next: " : "      ") << command << "\n";
  }
  err().flush();
}

ExitCode Context::Print(const google::protobuf::Message& message, const std::string& output) {
  if (output == "yaml") {
    out() << RenderYaml(message);
    return ExitCode::kOk;
  }
  out() << RenderJson(message, true) << "\n";
  return ExitCode::kOk;
}

ExitCode Context::PrintItems(const std::vector<const google::protobuf::Message*>& items,
                             const std::string& output) {
  if (output == "yaml") {
    out() << RenderYamlList(items);
  } else {
    out() << RenderJsonList(items, true) << "\n";
  }
  return ExitCode::kOk;
}

CLI::App& AddNoun(CommandLine& line, const std::string& name, const std::string& description) {
  CLI::App* noun = line.root.add_subcommand(name, description);
  noun->require_subcommand(0, 1);
  return *noun;
}

CLI::App& AddCommand(CommandLine& line, CLI::App& parent, const std::string& name,
                     const std::string& description, const std::vector<std::string>& examples,
                     Action action) {
  CLI::App* command = parent.add_subcommand(name, description);
  std::string footer = examples.size() == 1 ? "Example:\n" : "Examples:\n";
  for (const std::string& example : examples) footer += "  " + example + "\n";
  command->footer(footer);
  command->callback([&line, action = std::move(action)] { line.chosen = action; });
  return *command;
}

std::string RefuseWord(const std::string& word, const std::vector<std::string>& words) {
  if (std::find(words.begin(), words.end(), word) != words.end()) return "";
  return fmt::format("'{}' is not valid; use one of {}", CleanText(word), Join(words, ", "));
}

void AddOutput(CLI::App& command, std::string& output, const std::vector<std::string>& words) {
  output = words.front();
  AddChoice(command, "-o,--output", output, "one of " + Join(words, ", "), words)->type_name("FORMAT");
}

CLI::Option* AddDuration(CLI::App& command, const std::string& name, std::string& value,
                         const std::string& description) {
  return command.add_option(name, value, description)
      ->type_name("DURATION")
      ->check([](const std::string& text) {
        const auto duration = ParseDuration(text);
        return duration.has_value() && *duration > absl::ZeroDuration()
                   ? std::string()
                   : fmt::format("'{}' is not a duration; write 90s or 1h30m", CleanText(text));
      });
}

absl::Duration DurationValue(const std::string& text) {
  return ParseDuration(text).value_or(absl::ZeroDuration());
}

}  // namespace salvor::cli
