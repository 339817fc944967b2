#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "proto/kind.h"
#include "strategies/compose/compile.h"
#include "strategies/registry.h"
#include "tools/cli/client/object_files.h"
#include "tools/cli/commands/commands.h"
#include "tools/cli/render/render_objects.h"
#include "tools/cli/terminal/text_layout.h"

namespace salvor::cli {
namespace {

struct ApplyOptions {
  std::vector<std::string> sources;
  bool dry_run = false;
  bool location_moved = false;
};

// "application/shop".
std::string Reference(const v1::Object& object) {
  std::string kind = KindOf(object);
  for (char& c : kind) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return kind + "/" + CleanText(object.metadata().name());
}

// Each problem on a line of its own, as compilers write them; then that there were some.
ExitCode FailProblems(Context& context, const std::vector<YamlProblem>& problems, const std::string& what,
                      const std::string& hint) {
  for (const YamlProblem& problem : problems) context.err() << CleanText(problem.ToString()) << "\n";
  return context.Fail(ExitCode::kInvalid, what, Count(static_cast<int64_t>(problems.size()), "problem"),
                      hint);
}

std::vector<YamlProblem> Locate(const std::vector<ParsedObject>& objects,
                                const std::vector<v1::Problem>& problems) {
  std::vector<YamlProblem> located;
  for (const v1::Problem& problem : problems) located.push_back(LocateProblem(objects, problem));
  return located;
}

void AddFurther(const LoadedObjects& loaded, const std::vector<v1::Problem>& found,
                std::vector<YamlProblem>* problems) {
  for (const YamlProblem& further :
       Locate(loaded.objects, WithoutConsequences(loaded.objects, loaded.problems, found)))
    problems->push_back(further);
  std::stable_sort(problems->begin(), problems->end(), [](const YamlProblem& a, const YamlProblem& b) {
    return a.file != b.file ? a.file < b.file : a.at < b.at;
  });
}

const char* OutcomeWord(v1::ApplyResponse::Outcome outcome) {
  switch (outcome) {
    case v1::ApplyResponse::OUTCOME_CREATED:
      return "created";
    case v1::ApplyResponse::OUTCOME_CONFIGURED:
      return "configured";
    case v1::ApplyResponse::OUTCOME_UNCHANGED:
      return "unchanged";
    default:
      return "applied";
  }
}

// The control plane is asked for further problems of what could be read, so that all come at once; it is no
// matter when it does not answer.
ExitCode FailUnread(Context& context, const LoadedObjects& loaded) {
  std::vector<YamlProblem> problems = loaded.problems;
  v1::ApplyRequest request;
  for (const v1::Object& object : ObjectsOf(loaded)) *request.add_objects() = object;
  request.set_dry_run(true);
  if (const StatusOr<Client*> client = context.Connect(); client.ok() && request.objects_size() > 0) {
    const StatusOr<v1::ApplyResponse> response = (*client)->Call(&ControlStub::Apply, request);
    if (response.ok())
      AddFurther(loaded, {response->problems().begin(), response->problems().end()}, &problems);
  }
  return FailProblems(context, problems, "nothing was applied", "");
}

ExitCode Apply(Context& context, const ApplyOptions& options) {
  const StatusOr<LoadedObjects> loaded = LoadObjects(context.environment(), options.sources);
  if (!loaded.ok()) return context.Fail("read declarations", loaded.status());
  if (!loaded->problems.empty()) return FailUnread(context, *loaded);
  if (loaded->objects.empty())
    return context.Fail(ExitCode::kInvalid, "there are no objects to apply", "", "");
  const StatusOr<Client*> client = context.Connect();
  if (!client.ok()) return context.Fail("apply", client.status());
  v1::ApplyRequest request;
  for (const v1::Object& object : ObjectsOf(*loaded)) *request.add_objects() = object;
  request.set_dry_run(options.dry_run);
  request.set_location_moved(options.location_moved);
  const StatusOr<v1::ApplyResponse> response = (*client)->Call(&ControlStub::Apply, request);
  if (!response.ok()) return context.Fail("apply", response.status());
  if (response->problems_size() > 0) {
    const std::vector<v1::Problem> problems(response->problems().begin(), response->problems().end());
    return FailProblems(context, Locate(loaded->objects, problems), "nothing was applied", "");
  }
  if (response->outcomes_size() != request.objects_size()) {
    return context.Fail(ExitCode::kFailed, "apply", "the control plane did not answer for every object",
                        "Compare the versions with `salvor version`.");
  }
  for (int i = 0; i < response->outcomes_size(); ++i) {
    context.out() << Reference(request.objects(i)) << " " << OutcomeWord(response->outcomes(i))
                  << (options.dry_run ? " (dry run)" : "") << "\n";
  }
  return ExitCode::kOk;
}

ExitCode Validate(Context& context, const std::vector<std::string>& sources) {
  const StatusOr<LoadedObjects> loaded = LoadObjects(context.environment(), sources);
  if (!loaded.ok()) return context.Fail("read declarations", loaded.status());
  std::vector<YamlProblem> problems = loaded->problems;
  std::string hint;
  AddFurther(*loaded, strategies::ValidateObjects(strategies::BuiltInStrategies(), ObjectsOf(*loaded), {}),
             &problems);
  if (problems.size() > loaded->problems.size()) {
    hint = "References are looked for in these files only; `salvor apply --dry-run` knows what is declared.";
  }
  if (!problems.empty()) return FailProblems(context, problems, "the declarations are not valid", hint);
  if (loaded->objects.empty())
    return context.Fail(ExitCode::kInvalid, "there are no objects to validate", "", "");
  context.out() << Count(static_cast<int64_t>(loaded->objects.size()), "object") << " valid\n";
  return ExitCode::kOk;
}

void AddFiles(CLI::App& command, std::vector<std::string>& sources) {
  command
      .add_option("-f,--filename", sources, "a file, a directory of *.yaml, or - for stdin; may be repeated")
      ->type_name("FILE")
      ->required()
      ->allow_extra_args(false);
}

}  // namespace

void AddApplyCommands(CommandLine& line) {
  auto apply = std::make_shared<ApplyOptions>();
  CLI::App& apply_command =
      AddCommand(line, line.root, "apply", "Declare objects: all of them or, when one has a problem, none.",
                 {"salvor apply -f shop.yaml", "salvor apply -f /etc/salvor/objects --dry-run"},
                 [apply](Context& context) { return Apply(context, *apply); });
  AddFiles(apply_command, apply->sources);
  apply_command.add_flag("--dry-run", apply->dry_run, "say what would change, and change nothing");
  apply_command.add_flag("--location-moved", apply->location_moved,
                         "repositories with another address were moved there, with all they hold");

  auto sources = std::make_shared<std::vector<std::string>>();
  CLI::App& validate_command =
      AddCommand(line, line.root, "validate", "Check declarations without a control plane.",
                 {"salvor validate -f shop.yaml", "salvor validate -f -"},
                 [sources](Context& context) { return Validate(context, *sources); });
  AddFiles(validate_command, *sources);
}

}  // namespace salvor::cli
