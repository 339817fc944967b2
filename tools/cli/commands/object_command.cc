#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "base/io/yaml/yaml_objects.h"
#include "base/text.h"
#include "proto/kind.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/render/render_objects.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

struct GetOptions {
  std::string kind, name, output;
};

ExitCode PrintJson(Context& context, const std::vector<v1::Object>& objects, bool one) {
  std::vector<std::string> parts;
  for (const v1::Object& object : objects) {
    parts.push_back(RenderObjectJson(object));
  }
  if (one) {
    context.out() << parts.front() << "\n";
  } else {
    context.out() << "{\"items\":[" << Join(parts, ",\n") << "]}\n";
  }
  return ExitCode::kOk;
}

ExitCode PrintObjects(Context& context, const std::vector<v1::Object>& objects, const GetOptions& options,
                      const std::string& kind) {
  if (options.output == "json") return PrintJson(context, objects, !options.name.empty());
  if (options.output == "yaml") {
    for (const v1::Object& object : objects) {
      context.out() << (&object == &objects.front() ? "" : "---\n") << RenderObjectYaml(object);
    }
  } else if (options.output == "name") {
    for (const v1::Object& object : objects) {
      context.out() << (kind.empty() ? KindOf(object) + "/" : "") << CleanText(object.metadata().name())
                    << "\n";
    }
  } else if (objects.empty()) {
    context.err() << "nothing is declared\n";
  } else {
    context.out() << RenderObjectTable(objects, context.OutStyle(options.output == "wide"));
  }
  return ExitCode::kOk;
}

ExitCode Get(Context& context, const GetOptions& options) {
  const std::string what = "get " + options.kind + (options.name.empty() ? "" : " " + options.name);
  const StatusOr<std::string> kind = KindNamed(options.kind);
  if (!kind.ok()) return context.Fail(what, kind.status());
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::ListObjectsRequest request;
  request.set_kind(*kind);
  request.set_name(options.name);
  const StatusOr<v1::ListObjectsResponse> response = (*client)->Call(&ControlStub::ListObjects, request);
  if (!response.ok()) return context.Fail(what, response.status());
  if (!options.name.empty() && response->objects().empty()) {
    return context.Fail(ExitCode::kNotFound, what,
                        fmt::format("there is no {} '{}'", options.kind, options.name),
                        fmt::format("See what there is with `salvor get {}`.", options.kind));
  }
  const std::vector<v1::Object> objects(response->objects().begin(), response->objects().end());
  return PrintObjects(context, objects, options, *kind);
}

struct DeleteOptions {
  std::string kind, name, confirm;
};

// The name itself is the confirmation: by flag, or typed where somebody sits.
Status Confirm(Context& context, const DeleteOptions& options) {
  Environment& environment = context.environment();
  std::string typed = options.confirm;
  if (typed.empty()) {
    if (!environment.in_is_tty || !environment.err_is_tty) {
      return WithHint(InvalidArgument("not a terminal, cannot ask for confirmation"),
                      fmt::format("Add --confirm={} when you mean it.", options.name));
    }
    context.err() << "This deletes " << CleanText(options.kind) << " " << CleanText(options.name)
                  << ". Type its name to go on: " << std::flush;
    std::getline(*environment.in, typed);
    typed = std::string(Trim(typed));
  }
  if (typed == options.name) return OkStatus();
  return WithHint(InvalidArgument("{} does not match '{}'",
                                  options.confirm.empty() ? "what was typed" : "--confirm", options.name),
                  "Nothing was deleted.");
}

ExitCode Delete(Context& context, const DeleteOptions& options) {
  const std::string what = "delete " + options.kind + " " + options.name;
  const StatusOr<std::string> kind = KindNamed(options.kind);
  if (!kind.ok()) return context.Fail(what, kind.status());
  if (kind->empty()) {
    return context.Fail(ExitCode::kUsage, what, "objects are deleted one at a time",
                        "Name a kind: environment, location, driver or application.");
  }
  if (const Status confirmed = Confirm(context, options); !confirmed.ok())
    return context.Fail(what, confirmed);
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::DeleteObjectRequest request;
  request.set_kind(*kind);
  request.set_name(options.name);
  const StatusOr<v1::DeleteObjectResponse> response = (*client)->Call(&ControlStub::DeleteObject, request);
  if (!response.ok()) return context.Fail(what, response.status());
  context.out() << CleanText(options.kind) << "/" << CleanText(options.name) << " deleted\n";
  return ExitCode::kOk;
}

}  // namespace

void AddObjectCommands(CommandLine& line) {
  auto get = std::make_shared<GetOptions>();
  CLI::App& get_command =
      AddCommand(line, line.root, "get", "Show what is declared.",
                 {"salvor get applications", "salvor get application shop -o yaml", "salvor get all"},
                 [get](Context& context) { return Get(context, *get); });
  get_command.add_option("KIND", get->kind, "environment, location, driver, application, or all")->required();
  get_command.add_option("NAME", get->name, "only this one");
  AddOutput(get_command, get->output, {"table", "wide", "json", "yaml", "name"});

  auto options = std::make_shared<DeleteOptions>();
  CLI::App& delete_command =
      AddCommand(line, line.root, "delete", "Delete a declared object. Backups stay where they are.",
                 {"salvor delete application shop --confirm=shop"},
                 [options](Context& context) { return Delete(context, *options); });
  delete_command.add_option("KIND", options->kind, "environment, location, driver or application")
      ->required();
  delete_command.add_option("NAME", options->name, "its name")->required();
  delete_command.add_option("--confirm", options->confirm, "the name once more, instead of being asked")
      ->type_name("NAME");
}

}  // namespace salvor::cli
