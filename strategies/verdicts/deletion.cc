#include "strategies/verdicts/deletion.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace salvor::verdicts {
namespace {

bool IsProven(const v1::Backup& backup) {
  return IsUsable(backup) && backup.verification() == v1::Backup::VERIFICATION_PROVEN;
}

Objection ObjectionOf(const BackupUse& use) {
  if (use.is_quarantined) {
    return {fmt::format("run {}, whose records can't be read, may use it", use.run),
            fmt::format("Give that run up with: salvor run cancel {}.", use.run)};
  }
  const std::string wait = fmt::format("Wait for it (salvor run watch {}), or cancel it.", use.run);
  switch (use.kind) {
    case v1::RUN_KIND_BACKUP:
      return {fmt::format("{} still makes it", use.run), wait};
    case v1::RUN_KIND_DELETE:
      return {fmt::format("{} deletes it already", use.run),
              fmt::format("Follow it with: salvor run watch {}.", use.run)};
    default:
      return {fmt::format("{} reads it", use.run), wait};
  }
}

// Whether this one passes and no other of its application does.
bool IsLast(const v1::Backup& backup, const std::vector<const v1::Backup*>& of_application,
            bool (*passes)(const v1::Backup&)) {
  return passes(backup) &&
         std::none_of(of_application.begin(), of_application.end(), [&](const v1::Backup* other) {
           return other->name() != backup.name() && passes(*other);
         });
}

bool RemovedNothing(const v1::StepStatus& step) {
  const v1::ActionResult& result = step.result();
  return step.attempt() == 0 || step.purpose() == v1::PURPOSE_GUARD ||
         (step.attempt() == 1 && result.error().reason() == v1::Error::REASON_REFUSED &&
          result.deletion().removed() == 0);
}

void SayWhatIsLeft(const v1::Run& run, v1::Deletion* deletion) {
  for (const v1::StepStatus& step : run.steps()) {
    if (step.phase() == v1::STEP_PHASE_SUCCEEDED || step.purpose() == v1::PURPOSE_GUARD) continue;
    const auto& left = step.result().deletion().left();
    for (const std::string& one : left) deletion->add_left(one);
    if (left.empty())
      deletion->add_left(fmt::format("what step {} was to remove, or a part of it", step.id()));
  }
}

}  // namespace

bool IsUsable(const v1::Backup& backup) {
  const bool kept =
      backup.coverage() == v1::Backup::COVERAGE_COMPLETE || backup.coverage() == v1::Backup::COVERAGE_PARTIAL;
  return kept && !backup.has_deletion() && backup.manifest().artifacts_size() > 0 &&
         backup.verification() != v1::Backup::VERIFICATION_DISPROVEN;
}

Status CheckNotDeleted(const v1::Backup& backup) {
  if (!backup.has_deletion()) return OkStatus();
  const v1::Deletion& deletion = backup.deletion();
  switch (deletion.state()) {
    case v1::Deletion::STATE_DELETED:
      return WithHint(FailedPrecondition("backup {} was deleted by {}", backup.name(), deletion.by()),
                      "List those that are there with: salvor backup list.");
    case v1::Deletion::STATE_DELETING:
      return WithHint(FailedPrecondition("backup {} is being deleted by {}", backup.name(), deletion.run()),
                      "Choose another one: salvor backup list.");
    default:
      return WithHint(
          FailedPrecondition("backup {} was to be deleted, and a part of its data may be gone: {}",
                             backup.name(), deletion.reason()),
          fmt::format("Choose another one. What is left of it goes with: salvor backup delete {}.",
                      backup.name()));
  }
}

std::vector<Objection> ObjectionsTo(const v1::Backup& backup, const std::vector<BackupUse>& uses,
                                    const std::vector<const v1::Backup*>& of_application,
                                    const DeletionTerms& terms) {
  if (backup.deletion().state() == v1::Deletion::STATE_DELETED)
    return {{fmt::format("it was deleted already, by {}", backup.deletion().by()), "Nothing is left to do."}};
  std::vector<Objection> objections;
  for (const BackupUse& use : uses) objections.push_back(ObjectionOf(use));
  const std::string& application = backup.application();
  if (!terms.last_proven && IsLast(backup, of_application, IsProven)) {
    objections.push_back({fmt::format("it is the last proven backup of {}", application),
                          "Prove another one first (salvor drill create --backup NAME --wait), or add "
                          "--last-proven."});
  }
  if (!terms.last_usable && IsLast(backup, of_application, IsUsable)) {
    objections.push_back(
        {fmt::format("it is the last backup that {} could be restored from", application),
         fmt::format("Make another one first (salvor backup create {} --wait), or add --last-usable.",
                     application)});
  }
  return objections;
}

Status RefuseDeletion(const v1::Backup& backup, const std::vector<Objection>& objections) {
  if (objections.empty()) return OkStatus();
  std::vector<std::string> why, next;
  for (const Objection& objection : objections) {
    why.push_back(objection.why);
    if (std::find(next.begin(), next.end(), objection.next) == next.end()) next.push_back(objection.next);
  }
  return WithHint(FailedPrecondition("backup {} is not deleted: {}", backup.name(), Join(why, "; ")),
                  Join(next, " "));
}

v1::Backup BeginDeletion(v1::Backup backup, const v1::RunHeader& run) {
  const bool is_repeated = backup.has_deletion();
  v1::Deletion& deletion = *backup.mutable_deletion();
  deletion.Clear();
  deletion.set_is_repeated(is_repeated);
  deletion.set_state(v1::Deletion::STATE_DELETING);
  deletion.set_run(run.name());
  deletion.set_by(run.requested_by());
  *deletion.mutable_requested_at() = run.requested_at();
  return backup;
}

v1::Backup EndDeletion(v1::Backup backup, const v1::Run& run) {
  const bool is_known = run.steps_size() > 0;  // not of a run whose records can't be read
  if (is_known && !backup.deletion().is_repeated() && run.verdict() != v1::VERDICT_COMPLETE &&
      std::all_of(run.steps().begin(), run.steps().end(), RemovedNothing)) {
    backup.clear_deletion();
    return backup;
  }
  v1::Deletion& deletion = *backup.mutable_deletion();
  *deletion.mutable_finished_at() = run.finished_at();
  if (run.verdict() == v1::VERDICT_COMPLETE) {
    deletion.set_state(v1::Deletion::STATE_DELETED);
    return backup;
  }
  deletion.set_state(v1::Deletion::STATE_FAILED);
  deletion.set_reason(run.reason().empty() ? run.verdict_reason() : run.reason());
  SayWhatIsLeft(run, &deletion);
  return backup;
}

}  // namespace salvor::verdicts
