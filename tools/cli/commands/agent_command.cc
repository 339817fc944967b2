#include <memory>

#include "tools/cli/commands/commands.h"
#include "tools/cli/render/render_objects.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

ExitCode List(Context& context, const std::string& output) {
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("list agents", client.status());
  const StatusOr<v1::ListAgentsResponse> agents =
      (*client)->Call(&ControlStub::ListAgents, v1::ListAgentsRequest());
  if (!agents.ok()) return context.Fail("list agents", agents.status());
  if (output == "json" || output == "yaml") return context.PrintList(agents->agents(), output);
  if (output == "name") {
    for (const v1::AgentStatus& agent : agents->agents()) context.out() << CleanText(agent.name()) << "\n";
    return ExitCode::kOk;
  }
  if (agents->agents().empty()) {
    context.err() << "no agents: start salvor-agent where the applications are\n";
    return ExitCode::kOk;
  }
  context.out() << RenderAgentTable(*agents, context.OutStyle(output == "wide"));
  return ExitCode::kOk;
}

}  // namespace

void AddAgentCommands(CommandLine& line) {
  CLI::App& noun = AddNoun(line, "agent", "Look at the agents.");
  auto output = std::make_shared<std::string>();
  CLI::App& list = AddCommand(line, noun, "list", "List agents and whether they are connected.",
                              {"salvor agent list", "salvor agent list -o wide"},
                              [output](Context& context) { return List(context, *output); });
  AddOutput(list, *output, {"table", "wide", "json", "yaml", "name"});
}

}  // namespace salvor::cli
