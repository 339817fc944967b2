#include "tests/toy_strategy/toy_actions.h"

#include <absl/time/clock.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "agent/work/check_list.h"
#include "agent/work/clean_up.h"
#include "agent/work/extension.h"
#include "base/io/files.h"
#include "base/io/sha256.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"
#include "toy.pb.h"

namespace salvor::toy {
namespace {

using agent::ActionContext;
using v1::ActionResult;
using v1::Artifact;

constexpr char kFileName[] = "toy";

std::string PlaceOf(const std::string& name, const ActionContext& context) {
  return context.config.state_directory + "/toys/" + name;
}

std::string FileOf(const toybox::ToyTarget& target, const ActionContext& context) {
  return target.place().empty() ? target.file() : PlaceOf(target.place(), context) + "/lines";
}

StatusOr<ActionResult> Capture(const toybox::ToyCapture& capture, ActionContext& context) {
  RETURN_IF_ERROR(agent::ForgetEarlierAttempts(context, {capture.target()}));
  const absl::Time now = absl::Now();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(capture.toy().file()));
  const auto lines = std::count(text.begin(), text.end(), '\n');
  if (capture.toy().most_lines() > 0 && lines > capture.toy().most_lines())
    return FailedPrecondition("the toy has {} lines, more than {}", lines, capture.toy().most_lines());
  ASSIGN_OR_RETURN(const std::string snapshot,
                   context.Repository(capture.target().location())
                       .StoreText(kFileName, text, context.Tags(capture.target())));
  ActionResult result;
  Artifact* kept = result.add_artifacts();
  kept->set_component(capture.target().component());
  kept->set_name(capture.target().artifact());
  kept->set_snapshot(snapshot);
  kept->set_path(agent::Restic::StdinPath(kFileName));
  kept->set_bytes(static_cast<int64_t>(text.size()));
  kept->set_sha256(Sha256::Of(text));
  *kept->mutable_contents() = MakeContents("toy lines", Artifact::ROLE_DATA);
  AddCount("line", lines, kept->mutable_contents());
  *kept->mutable_consistent_at() = ToProto(now);
  return result;
}

StatusOr<ActionResult> StartPlace(const toybox::ToyPlaceStart& start, ActionContext& context) {
  RETURN_IF_ERROR(MakeDirectories(PlaceOf(start.name(), context), 0700));
  return ActionResult();
}

StatusOr<ActionResult> StopPlace(const toybox::ToyPlaceStop& stop, ActionContext& context) {
  RETURN_IF_ERROR(RemoveTree(PlaceOf(stop.name(), context)));
  return ActionResult();
}

StatusOr<ActionResult> CheckTarget(const toybox::ToyTargetCheck& check, ActionContext& context) {
  const std::string file = FileOf(check.target(), context);
  if (::access(file.c_str(), F_OK) != 0) return ActionResult();
  return WithHint(FailedPrecondition("there is a toy at {} already", file), "Put it elsewhere first.");
}

StatusOr<ActionResult> Restore(const toybox::ToyRestore& restore, ActionContext& context) {
  ASSIGN_OR_RETURN(const std::string text,
                   context.Repository(restore.location()).LoadText(restore.artifact()));
  RETURN_IF_ERROR(WriteFileAtomically(FileOf(restore.target(), context), text, 0600));
  return ActionResult();
}

StatusOr<ActionResult> Verify(const toybox::ToyVerify& verify, ActionContext& context) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(FileOf(verify.target(), context)));
  ActionResult result;
  agent::CheckList checks("", result);
  if (Sha256::Of(text) == verify.artifact().sha256()) {
    checks.Passed("content", verify.artifact().name(), "every line equals");
  } else {
    checks.Failed("content", verify.artifact().name(), "lines differ");
  }
  return result;
}

StatusOr<ActionResult> Ask(const toybox::ToyAsk& ask, ActionContext& context) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(FileOf(ask.target(), context)));
  std::map<std::string, std::string> values;
  for (const std::string& line : Split(text, '\n')) {
    const size_t equals = line.find('=');
    if (equals != std::string::npos) values[line.substr(0, equals)] = line.substr(equals + 1);
  }
  ActionResult result;
  agent::CheckList checks("", result);
  for (const v1::ApplicationCheck& check : ask.checks()) {
    toybox::ToyProbe probe;
    if (!check.extension().UnpackTo(&probe)) {
      checks.Unverifiable("application", check.name(), "a toy can't be asked that");
    } else if (values[probe.key()] == probe.expect()) {
      checks.Passed("application", check.name(), probe.key() + " is as expected");
    } else {
      checks.Failed("application", check.name(), probe.key() + " is another");
    }
  }
  return result;
}

}  // namespace

void RegisterToyActions(agent::ActionRegistry& registry) {
  agent::RegisterExtension(registry, Capture);
  agent::RegisterExtension(registry, StartPlace);
  agent::RegisterExtension(registry, StopPlace);
  agent::RegisterExtension(registry, CheckTarget);
  agent::RegisterExtension(registry, Restore);
  agent::RegisterExtension(registry, Verify);
  agent::RegisterExtension(registry, Ask);
}

}  // namespace salvor::toy
