#include <memory>

#include "base/io/program/signals.h"
#include "base/io/yaml/proto_names.h"
#include "base/text.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/help.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

ExitCode Version(Context& context, bool client_only) {
  context.out() << "client   " << ProgramVersion() << "\n" << std::flush;
  if (client_only) return ExitCode::kOk;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("ask the control plane for its version", client.status());
  const StatusOr<v1::GetVersionResponse> response =
      (*client)->Call(&ControlStub::GetVersion, v1::GetVersionRequest());
  if (!response.ok()) return context.Fail("ask the control plane for its version", response.status());
  context.out() << "server   " << CleanText(response->version()) << " (store " << CleanText(response->store())
                << ")\n";
  for (const std::string& problem : response->problems())
    context.err() << "problem: " << CleanText(problem) << "\n";
  return ExitCode::kOk;
}

ExitCode Help(Context& context, const CLI::App& root, const std::vector<std::string>& topic) {
  if (topic.size() == 1 && topic.front() == "exit-codes") {
    context.out() << RenderExitCodes();
    return ExitCode::kOk;
  }
  const CLI::App* command = &root;
  for (const std::string& word : topic) {
    std::vector<std::string> names;
    const CLI::App* found = nullptr;
    for (const CLI::App* child : command->get_subcommands({})) {
      names.push_back(child->get_name());
      if (child->get_name() == word) found = child;
    }
    if (found == nullptr) {
      names.push_back("exit-codes");
      return context.Fail(ExitCode::kUsage,
                          "there is no help on '" + Join(topic, " ") + "'" + DidYouMean(word, names), "",
                          "`salvor help` lists the commands.");
    }
    command = found;
  }
  context.out() << HelpFormatter().make_help(command, "", CLI::AppFormatMode::Normal);
  return ExitCode::kOk;
}

}  // namespace

void AddInfoCommands(CommandLine& line) {
  auto client_only = std::make_shared<bool>(false);
  CLI::App& version =
      AddCommand(line, line.root, "version", "Say which versions the client and the control plane have.",
                 {"salvor version", "salvor version --client"},
                 [client_only](Context& context) { return Version(context, *client_only); });
  version.add_flag("--client", *client_only, "only the client's; asks nobody");

  auto topic = std::make_shared<std::vector<std::string>>();
  CLI::App& help = AddCommand(line, line.root, "help", "Explain a command, or the exit codes.",
                              {"salvor help exit-codes", "salvor help backup create"},
                              [topic, &line](Context& context) { return Help(context, line.root, *topic); });
  help.add_option("TOPIC", *topic, "a command, or exit-codes");
}

}  // namespace salvor::cli
