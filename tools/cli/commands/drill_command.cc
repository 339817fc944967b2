#include <memory>

#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/wait.h"

namespace salvor::cli {
namespace {

struct DrillOptions {
  std::string backup;
  std::string checks = "recorded";
  StartOptions start;
};

ExitCode Create(Context& context, const DrillOptions& options) {
  const std::string what = "drill " + options.backup;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::CreateDrillRequest request;
  request.set_backup(options.backup);
  SetStartOptions(options.start, request);
  request.set_current_checks(options.checks == "current");
  const StatusOr<v1::CreateRunResponse> response = (*client)->Call(&ControlStub::CreateDrill, request);
  if (!response.ok()) return context.Fail(what, response.status());
  return AfterStart(context, *response, options.start);
}

}  // namespace

void AddDrillCommands(CommandLine& line) {
  CLI::App& noun = AddNoun(line, "drill", "Prove that a backup can be restored.");
  auto options = std::make_shared<DrillOptions>();
  CLI::App& create = AddCommand(line, noun, "create",
                                "Restore a backup into isolation, compare it with what it must equal, and "
                                "clean up. Exit code 0: proven.",
                                {"salvor drill create --backup latest:shop --dry-run",
                                 "salvor drill create --backup latest:shop --wait --timeout 2h",
                                 "salvor drill create --backup latest:shop --checks current"},
                                [options](Context& context) { return Create(context, *options); });
  create.add_option("--backup", options->backup, "its name, or latest:APPLICATION")
      ->type_name("BACKUP")
      ->required();
  create
      .add_option("--checks", options->checks,
                  "the application's checks: recorded with the backup, or current")
      ->type_name("WHICH")
      ->check(CLI::IsMember({"recorded", "current"}).description(""))
      ->capture_default_str();
  AddStartOptions(create, options->start);
}

}  // namespace salvor::cli
