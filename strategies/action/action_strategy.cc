#include "strategies/action/action_strategy.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/names.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "strategies/interface/declarations.h"
#include "strategies/interface/scratch_folder.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kQuickStepTimeout_s = 600;
constexpr size_t kMostSettingsBytes = 16 << 10;  // a step has 64 KiB for all
constexpr size_t kLongestKey = 63;

// [A-Za-z0-9_.-]: what programs of all languages can name.
bool IsKey(const std::string& key) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !key.empty() && key.size() <= kLongestKey && std::all_of(key.begin(), key.end(), good);
}

void CheckKey(const std::string& field, const std::string& key, Problems* problems) {
  if (!IsKey(key))
    problems->Add(field,
                  fmt::format("'{}' is no name: letters, digits, '_', '.' and '-', at most {} characters",
                              CleanText(Elide(key, 80)), kLongestKey));
}

void ValidateSettings(const v1::ActionComponent& action, Problems* problems) {
  const std::map<std::string, std::string> settings(action.settings().begin(), action.settings().end());
  size_t bytes = 0;
  for (const auto& [key, value] : settings) {
    CheckKey("action.settings", key, problems);
    if (value.find('\0') != std::string::npos) problems->Add("action.settings", key + " contains a NUL byte");
    bytes += key.size() + value.size();
  }
  const std::map<std::string, std::string> secrets(action.secrets().begin(), action.secrets().end());
  for (const auto& [key, file] : secrets) {
    CheckKey("action.secrets", key, problems);
    if (file.empty()) problems->AddIncomplete("action.secrets." + key, "is missing: the path of a file");
    problems->CheckSecretFile("action.secrets." + key, file);
    bytes += key.size() + file.size();
  }
  if (bytes > kMostSettingsBytes)
    problems->Add("action.settings", fmt::format("are longer than {} bytes together", kMostSettingsBytes));
}

std::string RecordName(const v1::Component& component) { return component.name() + ".record"; }

v1::Step NewStep(const v1::Component& component, const std::string& verb, v1::Purpose purpose,
                 const std::string& title) {
  return MakeStep(component.name() + "." + verb, purpose, component.name(), title);
}

const v1::Artifact* FindRecord(const v1::Manifest& manifest, const v1::Component& component) {
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    if (artifact.component() == component.name() && artifact.name() == RecordName(component))
      return &artifact;
  }
  return nullptr;
}

// Two restores with the same settings go to the same place, as far as anybody but the program can tell.
std::string PlaceOf(const v1::ActionComponent& action) {
  const std::map<std::string, std::string> settings(action.settings().begin(), action.settings().end());
  std::string text;
  for (const auto& [key, value] : settings)
    text += fmt::format("{}:{}={}:{};", key.size(), key, value.size(), value);
  return DigestOf(text);
}

// The parts of one component's restore, around the program that does it.
class Planner {
 public:
  Planner(const v1::Component& component, const RestoreRequest& request, const v1::Artifact& record)
      : component_(component), request_(request), record_(record) {
    action_ = request.drill || !request.to.has_value() ? component.action() : request.to->action();
    for (const v1::Artifact& artifact : request.manifest->artifacts()) {
      if (artifact.component() != component.name() || artifact.name() == record.name()) continue;
      artifacts_.push_back(ForAction(artifact));
      bytes_ += artifact.bytes();
    }
  }

  Fragment Plan() {
    // What it lays and what the program makes of it.
    if (request_.drill) fragment_.scratch.push_back(ScratchFolder(request_, 2 * bytes_));
    if (!request_.drill) AddTargetCheck();
    AddRestore();
    AddVerify();
    const std::string where = request_.drill ? "in the scratch folder" : "where its settings say";
    fragment_.effects.push_back(
        MakeEffect("create", "data of program " + action_.program(),
                   fmt::format("{}, from {}", where, DescribeArtifact(record_, {HumanBytes(bytes_)}))));
    if (!request_.drill) {
      fragment_.destinations.push_back({"action " + action_.program(), PlaceOf(action_), false,
                                        "data of program " + action_.program() + " to the same settings",
                                        "Give one of them other settings in the target.", true});
    }
    return std::move(fragment_);
  }

 private:
  template <typename Action>
  void Fill(Action* action) const {
    *action->mutable_component() = action_;
    *action->mutable_location() = request_.location;
    *action->mutable_record() = ForAction(record_);
  }

  void AddTargetCheck() {
    v1::Step step = NewStep(component_, "check-target", v1::PURPOSE_GUARD, "check target");
    v1::ProgramPlan* plan = step.mutable_action()->mutable_program_plan();
    Fill(plan);
    for (const v1::Artifact& artifact : artifacts_) *plan->add_artifacts() = artifact;
    Retry(&step, 3, 2, 30);
    SetAttemptTimeout(&step, kQuickStepTimeout_s);
    fragment_.steps.push_back(std::move(step));
  }

  void AddRestore() {
    v1::Step step = NewStep(component_, "restore", v1::PURPOSE_RESTORE,
                            "restore by program " + Elide(action_.program(), 60));
    v1::ProgramRestore* restore = step.mutable_action()->mutable_program_restore();
    Fill(restore);
    if (request_.drill) restore->set_scratch(request_.run);
    for (const v1::Artifact& artifact : artifacts_) *restore->add_artifacts() = artifact;
    UseLocation(&step, request_.location);
    Retry(&step, 3, 10, 120);
    fragment_.steps.push_back(std::move(step));
  }

  void AddVerify() {
    v1::Step step = NewStep(component_, "verify", v1::PURPOSE_VERIFY,
                            "compare by program " + Elide(action_.program(), 60));
    v1::ProgramVerify* verify = step.mutable_action()->mutable_program_verify();
    Fill(verify);
    if (request_.drill) verify->set_scratch(request_.run);
    After(&step, component_.name() + ".restore");
    UseLocation(&step, request_.location);
    Retry(&step, 3, 10, 120);
    fragment_.steps.push_back(std::move(step));
  }

  const v1::Component& component_;
  const RestoreRequest& request_;
  const v1::Artifact& record_;
  v1::ActionComponent action_;
  std::vector<v1::Artifact> artifacts_;
  int64_t bytes_ = 0;
  Fragment fragment_;
};

}  // namespace

std::vector<FieldProblem> ActionStrategy::Validate(const v1::Component& component) const {
  Problems problems;
  const v1::ActionComponent& action = component.action();
  if (action.program().empty()) {
    problems.AddIncomplete("action.program", "is missing: the name of a program that the agent allows");
  } else if (action.program().find('/') != std::string::npos) {
    problems.Add("action.program", "is a name and no path: the agent's host says where the program is");
  } else {
    problems.Check("action.program", CheckDottedName(action.program(), "a program"));
  }
  if (action.contract() < 0 || action.contract() > 1)
    problems.Add("action.contract",
                 fmt::format("{} is no version that there is; the only one is 1", action.contract()));
  ValidateSettings(action, &problems);
  problems.CheckDuration("action.timeout", action.timeout(), false);
  if (!component.checks().empty())
    problems.Add("checks",
                 "cannot be asked of what a program restores: let the program check it in its verify");
  return problems.Take();
}

StatusOr<Fragment> ActionStrategy::Backup(const v1::Component& component,
                                          const BackupRequest& request) const {
  Fragment fragment;
  const v1::ActionComponent& action = component.action();
  v1::Step preflight = NewStep(component, "preflight", v1::PURPOSE_PREFLIGHT, "ask the program");
  *preflight.mutable_action()->mutable_program_plan()->mutable_component() = action;
  Retry(&preflight, 3, 2, 30);
  SetAttemptTimeout(&preflight, kQuickStepTimeout_s);

  v1::Step backup =
      NewStep(component, "backup", v1::PURPOSE_CAPTURE, "back up by program " + Elide(action.program(), 60));
  v1::ProgramBackup* capture = backup.mutable_action()->mutable_program_backup();
  *capture->mutable_component() = action;
  *capture->mutable_target() =
      MakeTarget(request.location, request.backup, component.name(), RecordName(component));
  After(&backup, preflight.id());
  UseLocation(&backup, request.location);
  Retry(&backup, 3, 10, 120);

  v1::PlannedArtifact planned;
  planned.set_step(backup.id());
  planned.set_component(component.name());
  planned.set_artifact(RecordName(component));
  planned.set_title("data of program " + action.program());
  fragment.artifacts.push_back(std::move(planned));
  fragment.effects.push_back(MakeEffect("run", "program " + action.program(), "which reads what it knows"));
  fragment.steps.push_back(std::move(preflight));
  fragment.steps.push_back(std::move(backup));
  return fragment;
}

StatusOr<Fragment> ActionStrategy::Restore(const v1::Component& component,
                                           const RestoreRequest& request) const {
  const v1::Artifact* record = FindRecord(*request.manifest, component);
  if (record == nullptr) {
    Fragment fragment;
    fragment.missing.push_back(
        MakeMissing(*request.manifest, component.name(), "data of program " + component.action().program()));
    return fragment;
  }
  return Planner(component, request, *record).Plan();
}

}  // namespace salvor::strategies
