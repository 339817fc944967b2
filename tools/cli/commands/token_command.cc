#include <memory>
#include <string>
#include <vector>

#include "base/names.h"
#include "base/text.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/tokens.h"
#include "tools/cli/render/render_objects.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

struct CreateOptions {
  std::string name, token_class, output_file;
};

constexpr v1::TokenClass kClasses[] = {v1::TOKEN_CLASS_VIEW, v1::TOKEN_CLASS_OPERATE, v1::TOKEN_CLASS_APPROVE,
                                       v1::TOKEN_CLASS_ADMINISTER};

v1::TokenClass ClassNamed(const std::string& word) {
  for (const v1::TokenClass token_class : kClasses) {
    if (Word(token_class) == word) return token_class;
  }
  return v1::TOKEN_CLASS_UNSPECIFIED;
}

ExitCode Create(Context& context, const CreateOptions& options) {
  if (const Status name = CheckObjectName(options.name); !name.ok())
    return context.Fail("make the token " + options.name, name);
  v1::CreateTokenRequest request;
  request.set_name(options.name);
  request.set_kind(v1::TOKEN_KIND_USER);
  request.set_token_class(ClassNamed(options.token_class));
  return MakeToken(context, request, options.output_file,
                   "hand it to whom it is for, who names it with --token-file or SALVOR_TOKEN_FILE");
}

ExitCode List(Context& context, const std::string& output) {
  return ListTokens(context,
                    {v1::TOKEN_KIND_USER, "no tokens of people or programs were made", RenderUserTokenTable},
                    output);
}

}  // namespace

void AddTokenCommands(CommandLine& line) {
  CLI::App& noun = AddNoun(line, "token", "Make and revoke the tokens that people and programs come with.");

  auto create = std::make_shared<CreateOptions>();
  CLI::App& create_command = AddCommand(
      line, noun, "create",
      "Make a token for a person or a program. Its name stands in records and logs; its class says what "
      "its holder may do, each class all that the ones before it may: view looks; operate starts and "
      "cancels backups, drills and restores; approve accepts backups that are in doubt; administer "
      "declares, deletes, and makes tokens.",
      {"salvor token create anna --class operate --output-file anna.token",
       "salvor token create dashboard --class view"},
      [create](Context& context) { return Create(context, *create); });
  create_command.add_option("NAME", create->name, "what to call the token; records and logs say it")
      ->required();
  std::vector<std::string> classes;
  for (const v1::TokenClass token_class : kClasses) classes.push_back(Word(token_class));
  AddChoice(create_command, "--class", create->token_class, "one of " + Join(classes, ", "), classes)
      ->type_name("CLASS")
      ->required();
  create_command
      .add_option("--output-file", create->output_file,
                  "write the token into this new file, mode 0600, instead of showing it")
      ->type_name("FILE");

  auto output = std::make_shared<std::string>();
  CLI::App& list =
      AddCommand(line, noun, "list",
                 "List people's and programs' tokens, the revoked ones too; never their text. Agents' are "
                 "in: salvor agent-token list.",
                 {"salvor token list", "salvor token list -o wide"},
                 [output](Context& context) { return List(context, *output); });
  AddOutput(list, *output, {"table", "wide", "json", "yaml", "name"});

  auto name = std::make_shared<std::string>();
  CLI::App& revoke = AddCommand(
      line, noun, "revoke",
      "Revoke a person's or a program's token for good: it lets nobody in, and watches that came with it "
      "end. The last one of class administer stays.",
      {"salvor token revoke anna"},
      [name](Context& context) { return RevokeToken(context, v1::TOKEN_KIND_USER, *name); });
  revoke.add_option("NAME", *name, "the token")->required();
}

}  // namespace salvor::cli
