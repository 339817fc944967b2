#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/text.h"
#include "proto/phase.h"
#include "tools/cli/client/pages.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/commands/follow_logs.h"
#include "tools/cli/commands/wait.h"
#include "tools/cli/render/render_run.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

struct ListOptions {
  std::string application, environment, kind, output;
  std::vector<std::string> phases, verdicts;
  bool active = false;
  int limit = 50;
};

constexpr v1::RunKind kKinds[] = {v1::RUN_KIND_BACKUP, v1::RUN_KIND_RESTORE, v1::RUN_KIND_DRILL,
                                  v1::RUN_KIND_DELETE, v1::RUN_KIND_INSPECT};
constexpr v1::RunPhase kPhases[] = {v1::RUN_PHASE_RUNNING,   v1::RUN_PHASE_CANCELLING,
                                    v1::RUN_PHASE_SUCCEEDED, v1::RUN_PHASE_FAILED,
                                    v1::RUN_PHASE_CANCELLED, v1::RUN_PHASE_QUARANTINED};
constexpr v1::Verdict kVerdicts[] = {v1::VERDICT_COMPLETE,  v1::VERDICT_PARTIAL,      v1::VERDICT_PROVEN,
                                     v1::VERDICT_DISPROVEN, v1::VERDICT_UNVERIFIABLE, v1::VERDICT_RESTORED,
                                     v1::VERDICT_FAILED,    v1::VERDICT_CANCELLED};

bool Contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

v1::ListRunsRequest RequestOf(const ListOptions& options) {
  v1::ListRunsRequest request;
  request.set_application(options.application);
  request.set_environment(options.environment);
  request.set_active_only(options.active);
  for (const v1::RunKind kind : kKinds) {
    if (Word(kind) == options.kind) request.set_kind(kind);
  }
  for (const v1::RunPhase phase : kPhases) {
    if (Contains(options.phases, Word(phase).text)) request.add_phases(phase);
  }
  for (const v1::Verdict verdict : kVerdicts) {
    if (Contains(options.verdicts, Word(verdict).text)) request.add_verdicts(verdict);
  }
  return request;
}

ExitCode List(Context& context, const ListOptions& options) {
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("list runs", client.status());
  const Status knows = options.verdicts.empty() ? OkStatus() : (*client)->RefuseVersion0_1("--verdict");
  if (!knows.ok()) return context.Fail("list runs", knows);
  const StatusOr<v1::ListRunsResponse> runs = ReadRuns(**client, RequestOf(options), options.limit);
  if (!runs.ok()) return context.Fail("list runs", runs.status());
  if (options.output == "json" || options.output == "yaml")
    return context.PrintList(runs->runs(), options.output);
  if (options.output == "name") {
    for (const v1::Run& run : runs->runs()) context.out() << CleanText(run.header().name()) << "\n";
    return ExitCode::kOk;
  }
  if (runs->runs().empty()) {
    context.err() << (options.active ? "no active runs\n" : "no runs\n");
    return ExitCode::kOk;
  }
  context.out() << RenderRunTable(*runs, context.OutStyle(options.output == "wide"));
  if (!runs->next_page_token().empty())
    context.err() << fmt::format("the newest {}; there are more, see --limit\n", runs->runs_size());
  return ExitCode::kOk;
}

struct ShowOptions {
  std::string name, output;
};

ExitCode Show(Context& context, const ShowOptions& options) {
  const std::string what = "show run " + options.name;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::GetRunRequest request;
  request.set_name(options.name);
  const StatusOr<v1::Run> run = (*client)->Call(&ControlStub::GetRun, request);
  if (!run.ok()) return context.Fail(what, run.status());
  if (options.output == "json" || options.output == "yaml") return context.Print(*run, options.output);
  context.out() << RenderRun(*run, context.OutStyle(options.output == "wide"));
  if (!IsAtRest(run->phase())) context.Next({"salvor run watch " + CleanText(options.name)});
  if (run->phase() == v1::RUN_PHASE_FAILED) context.Next({"salvor run logs " + CleanText(options.name)});
  return ExitCode::kOk;
}

struct CancelOptions {
  std::string name, reason;
};

ExitCode Cancel(Context& context, const CancelOptions& options) {
  const std::string what = "cancel run " + options.name;
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail(what, client.status());
  v1::CancelRunRequest request;
  request.set_name(options.name);
  request.set_reason(options.reason);
  const StatusOr<v1::Run> run = (*client)->Call(&ControlStub::CancelRun, request);
  if (!run.ok()) return context.Fail(what, run.status());
  const std::string name = CleanText(options.name);
  context.out() << name << " " << Word(run->phase()).text << "\n";
  if (!IsAtRest(run->phase())) context.Next({"salvor run watch " + name});
  return ExitCode::kOk;
}

struct WatchOptions {
  std::string name, output;
  std::string timeout = "24h";
};

void AddListAndShow(CommandLine& line, CLI::App& noun) {
  auto list = std::make_shared<ListOptions>();
  CLI::App& list_command = AddCommand(line, noun, "list", "List runs, the newest first.",
                                      {"salvor run list --active", "salvor run list --application shop",
                                       "salvor run list --kind drill --verdict disproven"},
                                      [list](Context& context) { return List(context, *list); });
  list_command.add_flag("--active", list->active, "only runs that are not over");
  list_command.add_option("--application", list->application, "only runs of this one")->type_name("NAME");
  list_command.add_option("--environment", list->environment, "only runs in this one")->type_name("NAME");
  std::vector<std::string> kinds, phases, verdicts;
  for (const v1::RunKind kind : kKinds) kinds.push_back(Word(kind));
  for (const v1::RunPhase phase : kPhases) phases.push_back(Word(phase).text);
  for (const v1::Verdict verdict : kVerdicts) verdicts.push_back(Word(verdict).text);
  AddChoice(list_command, "--kind", list->kind, "only runs of this kind: " + Join(kinds, ", "), kinds)
      ->type_name("KIND");
  AddChoice(
      list_command, "--phase", list->phases,
      "only runs in this phase: " + Join(phases, ", ") +
          "; may be repeated. A phase is how far a run came; what it found is in column VERDICT, see --verdict",
      phases)
      ->type_name("PHASE")
      ->allow_extra_args(false);
  AddChoice(list_command, "--verdict", list->verdicts,
            "only runs that are over and have this in column VERDICT: " + Join(verdicts, ", ") +
                "; may be repeated",
            verdicts)
      ->type_name("VERDICT")
      ->allow_extra_args(false);
  list_command.add_option("--limit", list->limit, "at most this many (default 50)")
      ->type_name("NUMBER")
      ->check(CLI::Range(1, 10000));
  AddOutput(list_command, list->output, {"table", "wide", "json", "yaml", "name"});

  auto show = std::make_shared<ShowOptions>();
  CLI::App& show_command =
      AddCommand(line, noun, "show", "Show a run: its steps by waves, obligations, checks and warnings.",
                 {"salvor run show backup-shop-20261121-101500-4f2a"},
                 [show](Context& context) { return Show(context, *show); });
  show_command.add_option("RUN", show->name, "its name")->required();
  AddOutput(show_command, show->output, {"table", "wide", "json", "yaml"});
}

}  // namespace

void AddRunCommands(CommandLine& line) {
  CLI::App& noun = AddNoun(line, "run", "Look at runs, follow and cancel them.");
  AddListAndShow(line, noun);

  auto watch = std::make_shared<WatchOptions>();
  CLI::App& watch_command = AddCommand(
      line, noun, "watch",
      "Follow a run to its end. Its outcome is the exit code; Ctrl-C only stops watching.",
      {"salvor run watch backup-shop-20261121-101500-4f2a --timeout 30m"}, [watch](Context& context) {
        return FollowRun(context, watch->name, DurationValue(watch->timeout), watch->output);
      });
  watch_command.add_option("RUN", watch->name, "its name")->required();
  AddDuration(watch_command, "--timeout", watch->timeout, "how long to wait at most (default 24h)");
  AddOutput(watch_command, watch->output, {"table", "json", "yaml"});

  auto logs = std::make_shared<LogOptions>();
  CLI::App& logs_command =
      AddCommand(line, noun, "logs", "Print what the tools of a run said.",
                 {"salvor run logs backup-shop-20261121-101500-4f2a -f",
                  "salvor run logs backup-shop-20261121-101500-4f2a --step db.dump.shop"},
                 [logs](Context& context) { return FollowLogs(context, *logs); });
  logs_command.add_option("RUN", logs->run, "its name")->required();
  logs_command.add_option("--step", logs->step, "only this step")->type_name("STEP");
  logs_command.add_flag("-f,--follow", logs->follow, "go on until the run is over");
  AddOutput(logs_command, logs->output, {"table", "wide", "json"});

  auto cancel = std::make_shared<CancelOptions>();
  CLI::App& cancel_command =
      AddCommand(line, noun, "cancel", "Cancel a run. What it holds is released first.",
                 {"salvor run cancel backup-shop-20261121-101500-4f2a --reason 'not needed'"},
                 [cancel](Context& context) { return Cancel(context, *cancel); });
  cancel_command.add_option("RUN", cancel->name, "its name")->required();
  cancel_command.add_option("--reason", cancel->reason, "kept with the run")->type_name("TEXT");
}

}  // namespace salvor::cli
