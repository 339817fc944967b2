#include <fmt/core.h>

#include <memory>
#include <optional>

#include "base/text.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/wait.h"
#include "tools/cli/render/render_run.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

struct DeleteOptions {
  std::string name;
  bool yes = false, last_proven = false, last_usable = false;
  StartOptions start;
};

// Shows what would go, and asks for the name where somebody sits. Nothing for an answer that means it.
std::optional<ExitCode> Ask(Context& context, Client& client, v1::DeleteBackupRequest request) {
  const std::string what = "delete backup " + request.name();
  request.set_dry_run(true);
  const StatusOr<v1::CreateRunResponse> plan = client.Call(&ControlStub::DeleteBackup, request);
  if (!plan.ok()) return context.Fail(what, plan.status());
  context.err() << RenderPlan(*plan, context.ErrStyle());
  for (const v1::PlannedEffect& effect : plan->effects()) {
    if (effect.verb() == "refuse")
      return context.Fail(ExitCode::kConflict, "this would be refused: " + effect.subject(), "",
                          effect.detail());
  }
  context.err() << "This deletes the data of backup " << CleanText(request.name())
                << " for good. Type its name to go on: " << std::flush;
  std::string typed;
  std::getline(*context.environment().in, typed);
  if (Trim(typed) == request.name()) return std::nullopt;
  return context.Fail(ExitCode::kUsage, what,
                      fmt::format("what was typed does not match '{}'", request.name()),
                      "Nothing was deleted.");
}

ExitCode Delete(Context& context, const DeleteOptions& options) {
  const std::string what = "delete backup " + options.name;
  const bool asks = !options.yes && !options.start.dry_run;
  Environment& environment = context.environment();
  if (asks && (!environment.in_is_tty || !environment.err_is_tty)) {
    return context.Fail(ExitCode::kUsage, what, "not a terminal, cannot ask for confirmation",
                        "Add --yes when you mean it, or --dry-run to see what would go.");
  }
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::DeleteBackupRequest request;
  request.set_name(options.name);
  request.set_last_proven(options.last_proven);
  request.set_last_usable(options.last_usable);
  SetStartOptions(options.start, request);
  if (asks) {
    if (const std::optional<ExitCode> ended = Ask(context, **client, request)) return *ended;
  }
  const StatusOr<v1::CreateRunResponse> response = (*client)->Call(&ControlStub::DeleteBackup, request);
  if (!response.ok()) return context.Fail(what, response.status());
  return AfterStart(context, *response, options.start);
}

}  // namespace

void AddBackupDeleteCommand(CommandLine& line, CLI::App& noun) {
  auto options = std::make_shared<DeleteOptions>();
  CLI::App& command = AddCommand(
      line, noun, "delete",
      "Delete what a backup kept. Refused while a run uses it, and for the last one of its application.",
      {"salvor backup delete shop-20261121-101500-4f2a --dry-run",
       "salvor backup delete shop-20261121-101500-4f2a --yes --wait"},
      [options](Context& context) { return Delete(context, *options); });
  command.add_option("BACKUP", options->name, "its name")->required();
  command.add_flag("--yes", options->yes, "do not ask; where nobody can be asked it is needed");
  command.add_flag("--last-proven", options->last_proven,
                   "also when it is the last proven backup of its application");
  command.add_flag("--last-usable", options->last_usable,
                   "also when it is the last backup that its application could be restored from");
  AddStartOptions(command, options->start,
                  "show what would go and what speaks against it, and delete nothing");
}

}  // namespace salvor::cli
