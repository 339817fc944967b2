#include "tests/toy_strategy/toy_strategy.h"

#include "strategies/interface/declarations.h"
#include "strategies/interface/steps.h"
#include "toy.pb.h"

namespace salvor::toy {
namespace {

using strategies::Fragment;
using strategies::MakeStep;
using strategies::Problems;

toybox::Toy ToyOf(const v1::Component& component) {
  toybox::Toy toy;
  component.extension().UnpackTo(&toy);
  return toy;
}

toybox::ToyRestoreOptions OptionsOf(const v1::RestoreOptions& options) {
  toybox::ToyRestoreOptions own;
  options.extension().UnpackTo(&own);
  return own;
}

std::string ArtifactName(const v1::Component& component) { return component.name() + ".lines"; }

const v1::Artifact* FindLines(const v1::Manifest& manifest, const v1::Component& component) {
  return strategies::FindArtifact(manifest, component.name(), v1::Artifact::KIND_UNSPECIFIED);
}

template <typename Message>
v1::Step Step(const v1::Component& component, const std::string& verb, v1::Purpose purpose,
              const std::string& title, const Message& action) {
  v1::Step step = MakeStep(component.name() + "." + verb, purpose, component.name(), title);
  step.mutable_action()->mutable_extension()->PackFrom(action);
  strategies::Retry(&step, 3, 1, 10);
  return step;
}

// The folder of a drill, which is not that of the host's other strategies.
strategies::ScratchPlace Place(const std::string& run, int64_t bytes) {
  toybox::ToyPlaceStart start;
  toybox::ToyPlaceStop stop;
  start.set_name(run);
  stop.set_name(run);
  strategies::ScratchPlace place;
  place.key = "toy";
  place.start.mutable_extension()->PackFrom(start);
  place.stop.mutable_extension()->PackFrom(stop);
  place.title = place.contents = "toy box";
  place.bytes = bytes;
  return place;
}

bool ValidateProbe(const v1::ApplicationCheck& check, const std::string& field, Problems* problems) {
  toybox::ToyProbe probe;
  if (!check.extension().UnpackTo(&probe)) return false;
  if (probe.key().empty()) problems->Add(field + ".extension.key", "is missing");
  return true;
}

}  // namespace

bool ToyStrategy::IsOf(const v1::Component& component) const {
  return component.extension().Is<toybox::Toy>();
}

std::vector<strategies::FieldProblem> ToyStrategy::Validate(const v1::Component& component) const {
  Problems problems;
  const toybox::Toy toy = ToyOf(component);
  if (toy.file().empty()) problems.AddIncomplete("extension.file", "is missing");
  problems.CheckPath("extension.file", toy.file());
  strategies::ValidateChecks(component, ValidateProbe, &problems);
  return problems.Take();
}

std::vector<strategies::FieldProblem> ToyStrategy::ValidateOptions(const v1::Component&,
                                                                   const v1::RestoreOptions& options) const {
  Problems problems;
  if (options.extension().Is<toybox::ToyRestoreOptions>()) {
    problems.CheckPath("extension.file", OptionsOf(options).file());
  } else {
    problems.Add("extension", "holds no options of a toy");
  }
  return problems.Take();
}

bool ToyStrategy::NeedsTarget(const strategies::RestoreRequest& request) const {
  return !request.drill && OptionsOf(request.options).file().empty();
}

StatusOr<Fragment> ToyStrategy::Backup(const v1::Component& component,
                                       const strategies::BackupRequest& request) const {
  toybox::ToyCapture capture;
  *capture.mutable_toy() = ToyOf(component);
  *capture.mutable_target() =
      strategies::MakeTarget(request.location, request.backup, component.name(), ArtifactName(component));
  Fragment fragment;
  fragment.steps.push_back(Step(component, "capture", v1::PURPOSE_CAPTURE, "keep the toy's lines", capture));
  strategies::UseLocation(&fragment.steps[0], request.location);
  v1::PlannedArtifact planned;
  planned.set_step(fragment.steps[0].id());
  planned.set_component(component.name());
  planned.set_artifact(ArtifactName(component));
  planned.set_title("lines");
  fragment.artifacts.push_back(planned);
  fragment.effects.push_back(strategies::MakeEffect("read", "toy " + capture.toy().file(), ""));
  return fragment;
}

StatusOr<Fragment> ToyStrategy::Restore(const v1::Component& component,
                                        const strategies::RestoreRequest& request) const {
  Fragment fragment;
  const v1::Artifact* lines = FindLines(*request.manifest, component);
  if (lines == nullptr) {
    fragment.missing.push_back(strategies::MakeMissing(*request.manifest, component.name(), "lines"));
    return fragment;
  }
  toybox::ToyTarget target;
  if (request.drill) {
    target.set_place(request.run);
    fragment.scratch.push_back(Place(request.run, lines->bytes()));
  } else {
    const std::string elsewhere = OptionsOf(request.options).file();
    target.set_file(elsewhere.empty() ? ToyOf(*request.to).file() : elsewhere);
    fragment.destinations.push_back(
        {"toys", target.file(), false, "a toy to " + target.file(), "Declare another file for one of them."});
  }
  toybox::ToyTargetCheck guard;
  *guard.mutable_target() = target;
  toybox::ToyRestore restore;
  *restore.mutable_target() = target;
  *restore.mutable_location() = request.location;
  *restore.mutable_artifact() = strategies::ForAction(*lines);
  toybox::ToyVerify verify;
  *verify.mutable_target() = target;
  *verify.mutable_artifact() = strategies::ForAction(*lines);

  fragment.steps.push_back(Step(component, "check-target", v1::PURPOSE_GUARD, "look where it goes", guard));
  fragment.steps.push_back(
      Step(component, "restore", v1::PURPOSE_RESTORE, "restore the toy's lines", restore));
  strategies::UseLocation(&fragment.steps.back(), request.location);
  fragment.steps.push_back(Step(component, "verify", v1::PURPOSE_VERIFY, "verify the toy's lines", verify));
  strategies::After(&fragment.steps.back(), component.name() + ".restore");
  fragment.effects.push_back(strategies::MakeEffect("create", "toy " + component.name(),
                                                    strategies::DescribeArtifact(*lines, {"its lines"})));

  const auto& checks = request.to ? request.to->checks() : component.checks();
  if (checks.empty()) return fragment;
  toybox::ToyAsk ask;
  *ask.mutable_target() = target;
  *ask.mutable_checks() = checks;
  fragment.steps.push_back(Step(component, "application-checks", v1::PURPOSE_CHECK, "ask the toy", ask));
  strategies::After(&fragment.steps.back(), component.name() + ".restore");
  return fragment;
}

}  // namespace salvor::toy
