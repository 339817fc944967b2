#include <memory>

#include "base/names.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/tokens.h"
#include "tools/cli/render/render_objects.h"

namespace salvor::cli {
namespace {

struct CreateOptions {
  std::string name, environment, agent, output_file;
};

Status CheckNames(const CreateOptions& options) {
  RETURN_IF_ERROR(CheckObjectName(options.name));
  RETURN_IF_ERROR_IN(CheckObjectName(options.environment), "--environment");
  return WithHint(
      WithContext(CheckNameOrBeginning(options.agent), "--agent"),
      "Give the agent's name, or the beginning of several agents' names and a '*', as in 'node-*'.");
}

ExitCode Create(Context& context, const CreateOptions& options) {
  if (const Status names = CheckNames(options); !names.ok())
    return context.Fail("make the token " + options.name, names);
  v1::CreateTokenRequest request;
  request.set_name(options.name);
  request.set_kind(v1::TOKEN_KIND_AGENT);
  request.set_environment(options.environment);
  request.set_agent(options.agent);
  return MakeToken(context, request, options.output_file,
                   "take it to the agent's host, where --token-file names it");
}

ExitCode List(Context& context, const std::string& output) {
  return ListTokens(
      context,
      {v1::TOKEN_KIND_AGENT,
       "no tokens of agents were made; agents may come with agent.token of salvord's state directory",
       RenderTokenTable},
      output);
}

}  // namespace

void AddAgentTokenCommands(CommandLine& line) {
  CLI::App& noun = AddNoun(line, "agent-token", "Make and revoke the tokens that agents come with.");

  auto create = std::make_shared<CreateOptions>();
  CLI::App& create_command = AddCommand(
      line, noun, "create", "Make a token for one agent, or for all whose names begin alike.",
      {"salvor agent-token create web --environment vps --agent web-1 \\", "    --output-file web.token",
       "salvor agent-token create nodes --environment cluster --agent 'node-*'"},
      [create](Context& context) { return Create(context, *create); });
  create_command.add_option("NAME", create->name, "what to call the token; logs and lists say it")
      ->required();
  create_command.add_option("--environment", create->environment, "the Environment that the agent may serve")
      ->type_name("NAME")
      ->required();
  create_command
      .add_option("--agent", create->agent,
                  "the agent's --name, or the beginning of several agents' names and a '*'")
      ->type_name("NAME")
      ->required();
  create_command
      .add_option("--output-file", create->output_file,
                  "write the token into this new file, mode 0600, instead of showing it")
      ->type_name("FILE");

  auto output = std::make_shared<std::string>();
  CLI::App& list =
      AddCommand(line, noun, "list", "List agents' tokens, the revoked ones too; never their text.",
                 {"salvor agent-token list", "salvor agent-token list -o wide"},
                 [output](Context& context) { return List(context, *output); });
  AddOutput(list, *output, {"table", "wide", "json", "yaml", "name"});

  auto name = std::make_shared<std::string>();
  CLI::App& revoke = AddCommand(
      line, noun, "revoke", "Revoke an agent's token for good: whoever is connected with it is disconnected.",
      {"salvor agent-token revoke web"},
      [name](Context& context) { return RevokeToken(context, v1::TOKEN_KIND_AGENT, *name); });
  revoke.add_option("NAME", *name, "the token")->required();
}

}  // namespace salvor::cli
