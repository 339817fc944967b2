// Every command is given a context, and puts itself into the command line.
#pragma once

#include <google/protobuf/message.h>

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tools/cli/client/client.h"
#include "tools/cli/client/environment.h"
#include "tools/cli/terminal/exit_codes.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

struct GlobalOptions {
  std::string server;      // empty: SALVOR_SERVER, then the default
  std::string token_file;  // empty: SALVOR_TOKEN_FILE, then the default
  std::string ca_file;     // empty: SALVOR_CA_FILE
  std::string color = "auto";
  std::string request_timeout = "10s";
  bool no_headers = false;
};

// One invocation. One thread.
class Context {
 public:
  Context(Environment& environment, const GlobalOptions& options)
      : environment_(environment), options_(options) {}

  Environment& environment() { return environment_; }
  std::ostream& out() { return *environment_.out; }
  std::ostream& err() { return *environment_.err; }

  // Made at the first call.
  StatusOr<Client*> Connect();

  Style OutStyle(bool wide = false) const;
  Style ErrStyle() const;

  // Says what failed on stderr: error, cause, hint. Gives the exit code of the status.
  ExitCode Fail(const std::string& what, const Status& status);
  ExitCode Fail(ExitCode code, const std::string& what, const std::string& cause, const std::string& hint);

  // "next: salvor run show …" on stderr, once data is out.
  void Next(const std::vector<std::string>& commands);

  // The message on stdout as "json" or "yaml".
  ExitCode Print(const google::protobuf::Message& message, const std::string& output);

  // A list as "json" or "yaml", within {"items": […]} also when there is nothing.
  template <typename T>
  ExitCode PrintList(const google::protobuf::RepeatedPtrField<T>& items, const std::string& output) {
    return PrintItems({items.pointer_begin(), items.pointer_end()}, output);
  }

 private:
  Style MakeStyle(bool is_tty) const;
  ExitCode PrintItems(const std::vector<const google::protobuf::Message*>& items, const std::string& output);

  Environment& environment_;
  const GlobalOptions& options_;
  std::unique_ptr<Client> client_;
};

using Action = std::function<ExitCode(Context&)>;

// The command line as it is put together and, after parsing, what was asked for.
struct CommandLine {
  CommandLine() : root("Back up and restore whole applications, and prove it.", "salvor") {}
  CLI::App root;
  GlobalOptions globals;
  Action chosen;  // of the command that was given
};

// A noun such as `backup`, which does nothing by itself.
CLI::App& AddNoun(CommandLine& line, const std::string& name, const std::string& description);

// A command with its examples, each a whole command line.
CLI::App& AddCommand(CommandLine& line, CLI::App& parent, const std::string& name,
                     const std::string& description, const std::vector<std::string>& examples, Action action);

// Why the word is none of these; nothing when it is one.
std::string RefuseWord(const std::string& word, const std::vector<std::string>& words);

// -o with these words, the first of them the default.
void AddOutput(CLI::App& command, std::string& output, const std::vector<std::string>& words);

// An option whose values are these words.
template <typename Value>
CLI::Option* AddChoice(CLI::App& command, const std::string& name, Value& value,
                       const std::string& description, const std::vector<std::string>& words) {
  return command.add_option(name, value, description)->check([words](const std::string& word) {
    return RefuseWord(word, words);
  });
}

// An option that takes a duration ("90s", "1h30m").
CLI::Option* AddDuration(CLI::App& command, const std::string& name, std::string& value,
                         const std::string& description);

// The duration in a value that AddDuration checked.
absl::Duration DurationValue(const std::string& text);

}  // namespace salvor::cli
