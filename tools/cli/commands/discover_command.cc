#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "base/names.h"
#include "base/text.h"
#include "strategies/discovery/proposal.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/wait.h"
#include "tools/cli/render/outcome.h"
#include "tools/cli/render/render_discovery.h"

namespace salvor::cli {
namespace {

struct DiscoverOptions {
  std::string environment, name_space, application, output;
  std::string timeout = "10m";
};

// The facts that the run found; null where it found none.
const v1::Discovery* FactsOf(const v1::Run& run) {
  for (const v1::StepStatus& step : run.steps()) {
    if (step.result().has_discovery()) return &step.result().discovery();
  }
  return nullptr;
}

// The hint of what failed; where nobody began to look, who could.
std::string HintFor(const v1::Run& run, const Outcome& outcome) {
  const bool begun = std::any_of(run.steps().begin(), run.steps().end(),
                                 [](const v1::StepStatus& step) { return step.attempt() > 0; });
  if (!outcome.hint.empty() || begun) return outcome.hint;
  return "See whether an executor of that environment is connected: salvor agent list";
}

StatusOr<bool> IsDeclared(Client& client, const std::string& application) {
  v1::ListObjectsRequest request;
  request.set_kind("Application");
  request.set_name(application);
  ASSIGN_OR_RETURN(const v1::ListObjectsResponse listed, client.Call(&ControlStub::ListObjects, request));
  return listed.objects_size() > 0;
}

ExitCode ShowProposal(Context& context, Client& client, const v1::Run& run, const v1::Discovery& facts,
                      const std::string& application, const std::string& what) {
  const StatusOr<bool> known = IsDeclared(client, application);
  if (!known.ok()) return context.Fail(what, known.status());
  const strategies::Proposal proposal = strategies::Propose(facts, application, run.header().environment());
  context.out() << RenderProposal(proposal, *known) << std::flush;
  if (*known) {
    context.err() << "warning: application " << CleanText(application)
                  << " is declared already; to apply this replaces its declaration\n";
  }
  if (proposal.components.empty()) {
    context.err() << "nothing is proposed: no claim that could be kept is mounted by a running pod\n";
    return ExitCode::kOk;
  }
  context.Next({"salvor apply -f FILE, once it was read",
                "salvor backup create " + CleanText(application) + " --dry-run"});
  return ExitCode::kOk;
}

ExitCode Discover(Context& context, const DiscoverOptions& options) {
  const std::string what = "discover what runs in " + options.name_space;
  const std::string& application = options.application.empty() ? options.name_space : options.application;
  for (const std::string* name : {&options.name_space, &application}) {
    if (const Status valid = CheckObjectName(*name); !valid.ok()) return context.Fail(what, valid);
  }
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  if (const Status knows = (*client)->RefuseVersion0_1("salvor discover"); !knows.ok())
    return context.Fail(what, knows);
  v1::CreateDiscoveryRequest request;
  request.set_environment(options.environment);
  request.set_namespace_(options.name_space);
  const StatusOr<v1::CreateRunResponse> started = (*client)->Call(&ControlStub::CreateDiscovery, request);
  if (!started.ok()) return context.Fail(what, started.status());
  const absl::Duration patience = DurationValue(options.timeout);
  const StatusOr<WaitResult> looked = WaitForRun(context, started->run(), patience, false);
  if (!looked.ok()) return context.Fail(what, looked.status());
  if (looked->end != WaitEnd::kOver) return StoppedWaiting(context, started->run(), looked->end, patience);
  const Outcome outcome = OutcomeOf(looked->run, nullptr, context.OutStyle());
  if (outcome.code != ExitCode::kOk)
    return context.Fail(outcome.code, what, outcome.cause, HintFor(looked->run, outcome));
  const v1::Discovery* const facts = FactsOf(looked->run);
  if (facts == nullptr) {
    return context.Fail(ExitCode::kFailed, what, "the run ended without an answer",
                        "See `salvor run show " + CleanText(started->run()) + "`.");
  }
  if (options.output == "json") return context.Print(*facts, "json");
  return ShowProposal(context, **client, looked->run, *facts, application, what);
}

}  // namespace

void AddDiscoverCommands(CommandLine& line) {
  auto options = std::make_shared<DiscoverOptions>();
  CLI::App& command = AddCommand(
      line, line.root, "discover",
      "Propose an application by what runs in a namespace of a cluster. Nothing is changed there, nor declared.",
      {"salvor discover --namespace shop",
       "salvor discover --environment production --namespace shop -o json"},
      [options](Context& context) { return Discover(context, *options); });
  command.add_option("--namespace", options->name_space, "the namespace to look in")
      ->type_name("NAME")
      ->required();
  command
      .add_option("--environment", options->environment,
                  "the cluster that it is of (default: the only environment that is one)")
      ->type_name("NAME");
  command
      .add_option("--application", options->application,
                  "what to call the application (default: as the namespace)")
      ->type_name("NAME");
  AddDuration(command, "--timeout", options->timeout, "how long to wait at most (default 10m)");
  options->output = "yaml";
  AddChoice(command, "-o,--output", options->output,
            "yaml, the declaration, or json, the facts that it is made of", {"yaml", "json"})
      ->type_name("FORMAT");
}

}  // namespace salvor::cli
