#include <fmt/core.h>

#include <memory>
#include <utility>

#include "base/names.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/look.h"
#include "tools/cli/commands/restore_changes.h"
#include "tools/cli/commands/restore_option.h"
#include "tools/cli/commands/wait.h"

namespace salvor::cli {
namespace {

struct RestoreOptions {
  std::string backup, to, disk_root, name_space;
  std::vector<std::string> renames, components, options;
  bool accept_disproven = false, keep_going = false;
  RestoreChangeOptions changes;
  StartOptions start;
};

// "old=new"; neither side of a rename may hold '=', which leaves no doubt where it is cut.
Status AddRename(const std::string& text, v1::CreateRestoreRequest& request) {
  const size_t cut = text.find('=');
  if (cut == std::string::npos || cut == 0 || cut + 1 == text.size() ||
      text.find('=', cut + 1) != std::string::npos) {
    return InvalidArgument("--rename-database wants OLD=NEW, not '{}'", text);
  }
  const std::string from = text.substr(0, cut), to = text.substr(cut + 1);
  RETURN_IF_ERROR_IN(CheckDatabaseName(to), "--rename-database");
  if (!request.mutable_rename_databases()->insert({from, to}).second) {
    return InvalidArgument("--rename-database names '{}' twice", from);
  }
  return OkStatus();
}

StatusOr<v1::CreateRestoreRequest> MakeRequest(const RestoreOptions& options) {
  v1::CreateRestoreRequest request;
  request.set_backup(options.backup);
  request.set_to(options.to);
  SetStartOptions(options.start, request);
  for (const std::string& rename : options.renames) RETURN_IF_ERROR(AddRename(rename, request));
  if (!options.disk_root.empty()) RETURN_IF_ERROR_IN(CheckAbsolutePath(options.disk_root), "--disk-root");
  request.set_disk_root(options.disk_root);
  if (!options.name_space.empty()) RETURN_IF_ERROR_IN(CheckObjectName(options.name_space), "--namespace");
  request.set_namespace_(options.name_space);
  request.set_accept_disproven(options.accept_disproven);
  request.set_keep_going(options.keep_going);
  for (const std::string& component : options.components) request.add_components(component);
  for (const std::string& option : options.options) RETURN_IF_ERROR(AddRestoreOption(option, request));
  RETURN_IF_ERROR(AddRestoreChanges(options.changes, request));
  return request;
}

ExitCode Create(Context& context, const RestoreOptions& options) {
  const std::string what = fmt::format("restore {} to {}", options.backup, options.to);
  StatusOr<v1::CreateRestoreRequest> request = MakeRequest(options);
  if (!request.ok()) return context.Fail(what, request.status());
  request->set_look(
      options.start.dry_run &&
      (options.start.output.empty() || options.start.output == "table" || options.start.output == "wide"));
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  // Without the option it would restore to where things were.
  for (const auto& [flag, is_given] : {std::pair{"--option", !options.options.empty()},
                                       std::pair{"--namespace", !options.name_space.empty()},
                                       std::pair{"a change of objects", request->has_changes()}}) {
    const Status knows = is_given ? (*client)->RefuseVersion0_1(flag) : OkStatus();
    if (!knows.ok()) return context.Fail(what, knows);
  }
  const StatusOr<v1::CreateRunResponse> response = (*client)->Call(&ControlStub::CreateRestore, *request);
  if (!response.ok()) return context.Fail(what, response.status());
  if (request->look() && !response->run().empty()) return AfterLook(context, *response, options.start);
  return AfterStart(context, *response, options.start);
}

}  // namespace

void AddRestoreCommands(CommandLine& line) {
  CLI::App& noun = AddNoun(line, "restore", "Bring a backup back.");
  auto options = std::make_shared<RestoreOptions>();
  CLI::App& create = AddCommand(
      line, noun, "create", "Restore a backup to an application. What exists is never overwritten.",
      {"salvor restore create --backup latest:shop --to shop-copy --dry-run",
       "salvor restore create --backup latest:shop --to shop --wait \\",
       "    --rename-database shop=shop_old",
       "salvor restore create --backup proven:shop --to shop --component files \\",
       "    --disk-root /srv/restored",
       "salvor restore create --backup latest:shop --to shop --namespace shop-copy",
       "salvor restore create --backup latest:shop --to shop --namespace shop-copy \\",
       "    --storage-class fast=standard --with-ingress \\",
       "    --host shop.example.com=copy.example.com --dry-run",
       "salvor restore create --backup latest:shop --to shop --wait --keep-going"},
      [options](Context& context) { return Create(context, *options); });
  create.add_option("--backup", options->backup, "its name, latest:APPLICATION or proven:APPLICATION")
      ->type_name("BACKUP")
      ->required();
  create.add_option("--to", options->to, "the application that says where things go")
      ->type_name("APPLICATION")
      ->required();
  create
      .add_option("--rename-database", options->renames,
                  "restore a database under another name; may be repeated")
      ->type_name("OLD=NEW")
      ->allow_extra_args(false);
  create.add_option("--disk-root", options->disk_root, "lay files below this directory")
      ->type_name("DIRECTORY");
  create
      .add_option("--namespace", options->name_space,
                  "on a cluster: restore into this namespace, not the one that --to declares")
      ->type_name("NAMESPACE");
  create.add_option("--component", options->components, "only this component; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  create
      .add_option("--option", options->options,
                  "an option of one component, like files.disk.root=/srv/copy; may be repeated")
      ->type_name("COMPONENT.KIND.OPTION=VALUE")
      ->allow_extra_args(false);
  AddRestoreChangeOptions(create, options->changes);
  create.add_flag("--accept-disproven", options->accept_disproven,
                  "restore although a drill has shown that the backup is wrong");
  create.add_flag(
      "--keep-going", options->keep_going,
      "leave out what the server refuses to build (rows of a table all or none), name it, and end partial");
  AddStartOptions(create, options->start,
                  "show what would be done, and ask the target whether it can be; nothing is written (with "
                  "-o json, yaml or name it is the plan alone)");
}

}  // namespace salvor::cli
