#include "strategies/volumes/quiesce.h"

#include <fmt/core.h>

#include <utility>

#include "base/names.h"
#include "base/text.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr absl::Duration kUsualDeadline = absl::Seconds(30);
constexpr absl::Duration kShortestDeadline = absl::Seconds(2);
constexpr absl::Duration kLongestDeadline = absl::Hours(1);
constexpr size_t kMostBytes = 4096;  // of both commands, which travel in an address

constexpr int kTurnTimeout_s = 24 * 3600;
constexpr int kReleaseTimeout_s = 600;
// Of an attempt beside the deadlines: finding pods, connections, releases.
constexpr int kAttemptMargin_s = 300;
// Pods are let go by what is beside them, at their own deadline. This one is the agent's, for when nobody orders the
// release that follows; attempts and their pauses have room in it.
constexpr int kObligationMargin_s = 3600;

using Words = google::protobuf::RepeatedPtrField<std::string>;

size_t CheckWords(const std::string& field, const Words& words, Problems* problems) {
  if (words.empty() || words[0].empty()) problems->AddIncomplete(field, "needs a program");
  size_t bytes = 0;
  for (int i = 0; i < words.size(); ++i) {
    bytes += words[i].size();
    if (words[i].find('\0') != std::string::npos)
      problems->Add(fmt::format("{}[{}]", field, i), "must have no NUL bytes");
  }
  return bytes;
}

absl::Duration DeadlineOf(const v1::Quiesce& declared) {
  return declared.deadline().empty() ? kUsualDeadline
                                     : ParseDuration(declared.deadline()).value_or(kUsualDeadline);
}

void CheckDeadline(const v1::Quiesce& declared, Problems* problems) {
  if (declared.deadline().empty()) return;
  const auto deadline = ParseDuration(declared.deadline());
  if (!deadline.has_value() || *deadline < kShortestDeadline || *deadline > kLongestDeadline)
    problems->Add("quiesce.deadline", fmt::format("'{}' is not a duration of 2s to 1h; write it like 30s",
                                                  CleanText(declared.deadline().substr(0, 40))));
}

int SumOfDeadlines_s(const std::vector<v1::PodQuiesce>& quiesces) {
  int64_t sum_ms = 0;
  for (const v1::PodQuiesce& quiesce : quiesces) sum_ms += quiesce.deadline_ms();
  return static_cast<int>(sum_ms / 1000);
}

v1::Step AwaitTurn(const v1::VeleroBackup& backup, const std::string& in_namespace) {
  v1::Step step = MakeStep("volumes.turn." + in_namespace, v1::PURPOSE_PREFLIGHT, "",
                           "wait for Velero's turn for namespace " + in_namespace);
  *step.mutable_action()->mutable_velero_slot()->mutable_cluster() = backup.cluster();
  Retry(&step, 10, 10, 120);
  SetAttemptTimeout(&step, kTurnTimeout_s);
  return step;
}

v1::Step Snapshot(const std::vector<v1::PodQuiesce>& quiesces, const std::string& in_namespace,
                  const v1::Step& backup) {
  v1::Step step = MakeStep("volumes.snapshot." + in_namespace, v1::PURPOSE_QUIESCE, "",
                           "hold pods of namespace " + in_namespace + " still for their snapshots");
  v1::VeleroSnapshot* snapshot = step.mutable_action()->mutable_velero_snapshot();
  *snapshot->mutable_backup() = backup.action().velero_backup();
  for (const v1::PodQuiesce& quiesce : quiesces) *snapshot->add_quiesces() = quiesce;
  for (const std::string& input : backup.inputs()) step.add_inputs(input);
  // Nobody else asks Velero for a backup meanwhile.
  *step.mutable_keys() = backup.keys();
  for (v1::ConcurrencyKey& key : *step.mutable_keys()) key.set_exclusive(true);
  Retry(&step, 30, 10, 120);
  SetAttemptTimeout(&step, 2 * SumOfDeadlines_s(quiesces) + kAttemptMargin_s);
  return step;
}

v1::Step Release(const std::vector<v1::PodQuiesce>& quiesces, const std::string& in_namespace,
                 const v1::VeleroBackup& backup) {
  v1::Step step = MakeStep("volumes.release." + in_namespace, v1::PURPOSE_UNDO, "",
                           "let pods of namespace " + in_namespace + " go on");
  v1::VeleroRelease* release = step.mutable_action()->mutable_velero_release();
  *release->mutable_cluster() = backup.cluster();
  for (const v1::PodQuiesce& quiesce : quiesces) {
    v1::PodQuiesce* one = release->add_quiesces();
    *one = quiesce;
    one->clear_command();
    one->clear_deadline_ms();
  }
  Retry(&step, 20, 2, 60);
  SetAttemptTimeout(&step, kReleaseTimeout_s);
  return step;
}

}  // namespace

void ValidateQuiesce(const v1::Component& component, Problems* problems) {
  if (!component.hooks().empty() && component.hooks() != "velero")
    problems->Add("hooks", fmt::format("'{}' is not known; velero is, or leave it out",
                                       CleanText(component.hooks().substr(0, 40))));
  if (!component.has_quiesce()) return;
  const v1::Quiesce& quiesce = component.quiesce();
  const size_t bytes = CheckWords("quiesce.command", quiesce.command(), problems) +
                       CheckWords("quiesce.release", quiesce.release(), problems);
  if (bytes > kMostBytes) {
    problems->Add("quiesce",
                  fmt::format("has {} bytes in its commands, and {} are possible: put a script into the "
                              "image",
                              bytes, kMostBytes));
  }
  CheckDeadline(quiesce, problems);
  if (!quiesce.container().empty())
    problems->Check("quiesce.container", CheckObjectName(quiesce.container()));
  for (const auto& [key, value] : quiesce.labels()) {
    if (key.empty() || HasControlCharacters(key) || HasControlCharacters(value))
      problems->Add("quiesce.labels", "must be printable, and have a name each");
  }
}

v1::PodQuiesce QuiesceOf(const std::string& component, const v1::Quiesce& declared,
                         const std::string& in_namespace, const std::vector<std::string>& claims) {
  v1::PodQuiesce quiesce;
  quiesce.set_component(component);
  quiesce.set_namespace_(in_namespace);
  *quiesce.mutable_claims() = {claims.begin(), claims.end()};
  *quiesce.mutable_labels() = declared.labels();
  quiesce.set_container(declared.container());
  *quiesce.mutable_command() = declared.command();
  *quiesce.mutable_release() = declared.release();
  quiesce.set_deadline_ms(absl::ToInt64Milliseconds(DeadlineOf(declared)));
  return quiesce;
}

void HoldStill(const std::vector<v1::PodQuiesce>& quiesces, const std::string& in_namespace,
               const std::string& obligation, v1::Step* backup, Fragment* fragment) {
  v1::VeleroBackup* action = backup->mutable_action()->mutable_velero_backup();
  v1::Step turn = AwaitTurn(*action, in_namespace);
  *turn.mutable_after() = backup->after();
  v1::Step snapshot = Snapshot(quiesces, in_namespace, *backup);
  After(&snapshot, turn.id());
  v1::Step release = Release(quiesces, in_namespace, *action);

  v1::Obligation& undone = fragment->obligations.emplace_back();
  undone.set_name(obligation);
  undone.set_opened_by(snapshot.id());
  undone.set_released_by(release.id());
  undone.add_guards(snapshot.id());
  undone.mutable_deadline()->set_seconds(SumOfDeadlines_s(quiesces) + kObligationMargin_s);
  *undone.mutable_undo() = release.action();

  action->set_must_exist(true);
  backup->clear_after();
  After(backup, snapshot.id());
  backup->add_inputs(snapshot.id());
  for (const v1::PodQuiesce& quiesce : quiesces) {
    fragment->effects.push_back(MakeEffect(
        "hold", fmt::format("pods of component {} in namespace {}", quiesce.component(), in_namespace),
        fmt::format("still by {}, until the snapshots are made, for {} at most", quiesce.command(0),
                    HumanDuration(absl::Milliseconds(quiesce.deadline_ms())))));
  }
  fragment->steps.push_back(std::move(turn));
  fragment->steps.push_back(std::move(snapshot));
  fragment->steps.push_back(std::move(release));
}

}  // namespace salvor::strategies
