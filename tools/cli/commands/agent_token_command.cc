#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/io/files.h"
#include "base/names.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/render/render_objects.h"
#include "tools/cli/terminal/text_layout.h"

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

// Finds now what would otherwise fail after the token was made, and lose it.
Status CheckOutputFile(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) {
    return WithHint(AlreadyExists("{} exists, and is not overwritten", path),
                    "Name another file, or move that one away.");
  }
  const size_t end = path.rfind('/');
  const std::string folder = end == std::string::npos ? "." : end == 0 ? "/" : path.substr(0, end);
  return ::access(folder.c_str(), W_OK) == 0 ? OkStatus() : ErrnoStatus(errno, "write into " + folder);
}

ExitCode Create(Context& context, const CreateOptions& options) {
  const std::string what = "make the token " + options.name;
  if (!options.output_file.empty()) {
    if (const Status writable = CheckOutputFile(options.output_file); !writable.ok())
      return context.Fail(what, writable);
  }
  if (const Status names = CheckNames(options); !names.ok()) return context.Fail(what, names);
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::CreateTokenRequest request;
  request.set_name(options.name);
  request.set_kind(v1::TOKEN_KIND_AGENT);
  request.set_environment(options.environment);
  request.set_agent(options.agent);
  const StatusOr<v1::CreateTokenResponse> made = (*client)->Call(&ControlStub::CreateToken, request);
  if (!made.ok()) return context.Fail(what, made.status());
  const std::string name = CleanText(made->token().name());
  // What nobody has seen is of no use, and its name is taken.
  const auto give_up = [&](const Status& why) {
    v1::RevokeTokenRequest revoke;
    revoke.set_name(options.name);
    const bool revoked = (*client)->Call(&ControlStub::RevokeToken, revoke).ok();
    return context.Fail(
        what, WithHint(why, revoked ? "The token was revoked again. Make another, by another name."
                                    : fmt::format("Revoke it: salvor agent-token revoke {}", name)));
  };
  if (options.output_file.empty()) {
    context.out() << made->secret() << "\n" << std::flush;
    if (!context.out().good()) return give_up(Unavailable("the token could not be shown"));
    context.err() << "made " << name << "; the token is shown this once, and kept nowhere\n";
    return ExitCode::kOk;
  }
  if (const Status written = WriteFileAtomically(options.output_file, made->secret() + "\n", 0600);
      !written.ok()) {
    return give_up(written);
  }
  context.out() << "made " << name << "\n";
  context.err() << "the token is in " << CleanText(options.output_file)
                << "; take it to the agent's host, where --token-file names it\n";
  return ExitCode::kOk;
}

ExitCode List(Context& context, const std::string& output) {
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("list tokens", client.status());
  v1::ListTokensRequest request;
  request.set_kind(v1::TOKEN_KIND_AGENT);
  const StatusOr<v1::ListTokensResponse> tokens = (*client)->Call(&ControlStub::ListTokens, request);
  if (!tokens.ok()) return context.Fail("list tokens", tokens.status());
  if (output == "json" || output == "yaml") return context.PrintList(tokens->tokens(), output);
  if (output == "name") {
    for (const v1::Token& token : tokens->tokens()) context.out() << CleanText(token.name()) << "\n";
    return ExitCode::kOk;
  }
  if (tokens->tokens().empty()) {
    context.err()
        << "no tokens of agents were made; agents may come with agent.token of salvord's state directory\n";
    return ExitCode::kOk;
  }
  context.out() << RenderTokenTable(*tokens, context.OutStyle(output == "wide"));
  return ExitCode::kOk;
}

ExitCode Revoke(Context& context, const std::string& name) {
  const std::string what = "revoke the token " + name;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::RevokeTokenRequest request;
  request.set_name(name);
  const StatusOr<v1::Token> revoked = (*client)->Call(&ControlStub::RevokeToken, request);
  if (!revoked.ok()) return context.Fail(what, revoked.status());
  context.out() << "revoked " << CleanText(revoked->name()) << "\n";
  return ExitCode::kOk;
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
      line, noun, "revoke", "Revoke a token for good: whoever is connected with it is disconnected.",
      {"salvor agent-token revoke web"}, [name](Context& context) { return Revoke(context, *name); });
  revoke.add_option("NAME", *name, "the token")->required();
}

}  // namespace salvor::cli
