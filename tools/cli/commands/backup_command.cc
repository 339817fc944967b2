#include <memory>

#include "base/text.h"
#include "tools/cli/client/pages.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/wait.h"
#include "tools/cli/render/render_backup.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

struct CreateOptions {
  std::string application;
  StartOptions start;
};

ExitCode Create(Context& context, const CreateOptions& options) {
  const std::string what = "back up " + options.application;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::CreateBackupRequest request;
  request.set_application(options.application);
  SetStartOptions(options.start, request);
  const StatusOr<v1::CreateRunResponse> response = (*client)->Call(&ControlStub::CreateBackup, request);
  if (!response.ok()) return context.Fail(what, response.status());
  return AfterStart(context, *response, options.start);
}

struct ListOptions {
  std::string application, environment, location;
  std::string output;
  int limit = 0;
  bool deleted = false;
};

ExitCode List(Context& context, const ListOptions& options) {
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("list backups", client.status());
  v1::ListBackupsRequest request;
  request.set_application(options.application);
  request.set_environment(options.environment);
  request.set_location(options.location);
  request.set_include_deleted(options.deleted);
  const StatusOr<v1::ListBackupsResponse> backups = ReadBackups(**client, request, options.limit);
  if (!backups.ok()) return context.Fail("list backups", backups.status());
  if (options.output == "json" || options.output == "yaml")
    return context.PrintList(backups->backups(), options.output);
  if (options.output == "name") {
    for (const v1::Backup& backup : backups->backups()) context.out() << CleanText(backup.name()) << "\n";
    return ExitCode::kOk;
  }
  if (backups->backups().empty()) {
    context.err() << "no backups"
                  << (options.application.empty() ? "" : " of " + CleanText(options.application)) << "\n";
    return ExitCode::kOk;
  }
  context.out() << RenderBackupTable(*backups, context.OutStyle(options.output == "wide"));
  return ExitCode::kOk;
}

struct ShowOptions {
  std::string name;
  std::string output;
};

ExitCode Show(Context& context, const ShowOptions& options) {
  const std::string what = "show backup " + options.name;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::GetBackupRequest request;
  request.set_name(options.name);
  const StatusOr<v1::Backup> backup = (*client)->Call(&ControlStub::GetBackup, request);
  if (!backup.ok()) return context.Fail(what, backup.status());
  if (options.output == "json" || options.output == "yaml") return context.Print(*backup, options.output);
  if (options.output == "name") {
    context.out() << CleanText(backup->name()) << "\n";
    return ExitCode::kOk;
  }
  context.out() << RenderBackup(*backup, context.OutStyle(options.output == "wide"));
  if (const std::string next = NextForBackup(*backup); !next.empty()) context.Next({next});
  return ExitCode::kOk;
}

struct AcceptOptions {
  std::string name, reason;
};

ExitCode Accept(Context& context, const AcceptOptions& options) {
  const std::string what = "accept backup " + options.name;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::AcceptBackupRequest request;
  request.set_name(options.name);
  request.set_reason(options.reason);
  const StatusOr<v1::Backup> backup = (*client)->Call(&ControlStub::AcceptBackup, request);
  if (!backup.ok()) return context.Fail(what, backup.status());
  context.out() << "accepted " << CleanText(backup->name()) << "\n";
  // A backup of a cluster can't be drilled by this version.
  if (backup->manifest().velero().empty())
    context.Next({"salvor drill create --backup " + CleanText(backup->name()) + " --wait"});
  return ExitCode::kOk;
}

}  // namespace

void AddBackupCommands(CommandLine& line) {
  CLI::App& noun = AddNoun(line, "backup", "Make backups and look at them.");

  auto create = std::make_shared<CreateOptions>();
  CLI::App& create_command =
      AddCommand(line, noun, "create", "Back up an application: all of its components, as one operation.",
                 {"salvor backup create shop --wait", "salvor backup create shop --dry-run",
                  "salvor backup create shop --start-within 1h"},
                 [create](Context& context) { return Create(context, *create); });
  create_command.add_option("APPLICATION", create->application, "the application")->required();
  AddStartOptions(create_command, create->start);

  auto list = std::make_shared<ListOptions>();
  CLI::App& list_command = AddCommand(line, noun, "list", "List backups, the newest first.",
                                      {"salvor backup list", "salvor backup list --application shop -o wide"},
                                      [list](Context& context) { return List(context, *list); });
  list_command.add_option("--application", list->application, "only backups of this one")->type_name("NAME");
  list_command.add_option("--environment", list->environment, "only backups of this one")->type_name("NAME");
  list_command.add_option("--location", list->location, "only backups that are kept there")
      ->type_name("NAME");
  list_command.add_flag("--all,--deleted", list->deleted, "those too that were deleted");
  list_command.add_option("--limit", list->limit, "at most this many (default: all)")
      ->type_name("NUMBER")
      ->check(CLI::Range(1, 10000));
  AddOutput(list_command, list->output, {"table", "wide", "json", "yaml", "name"});

  auto show = std::make_shared<ShowOptions>();
  CLI::App& show_command = AddCommand(
      line, noun, "show", "Show what a backup holds, of which instants, and whether it was proven.",
      {"salvor backup show latest:shop", "salvor backup show shop-20261121-101500-4f2a -o yaml"},
      [show](Context& context) { return Show(context, *show); });
  show_command.add_option("BACKUP", show->name, "its name, or latest:APPLICATION")->required();
  AddOutput(show_command, show->output, {"table", "wide", "json", "yaml", "name"});

  auto accept = std::make_shared<AcceptOptions>();
  CLI::App& accept_command =
      AddCommand(line, noun, "accept",
                 "Say that a backup which shrank beyond belief is as it should be, so that it can be proven.",
                 {"salvor backup accept latest:shop --reason archived"},
                 [accept](Context& context) { return Accept(context, *accept); });
  accept_command.add_option("BACKUP", accept->name, "its name, or latest:APPLICATION")->required();
  accept_command.add_option("--reason", accept->reason, "why; is kept with the backup")
      ->type_name("TEXT")
      ->required()
      ->check([](const std::string& reason) {
        return Trim(reason).empty() ? std::string("say why, in words") : std::string();
      });

  AddBackupDeleteCommand(line, noun);
}

}  // namespace salvor::cli
