#include "words/words.h"

#include <fmt/core.h>

#include <string_view>

#include "base/text.h"
#include "proto/kind.h"
#include "strategies/registry.h"
#include "strategies/verdicts/verdict.h"
#include "strategies/volumes/volumes.h"

namespace salvor::words {
namespace {

constexpr std::string_view kScratch = "scratch";

// "scratch place" for the obligation of a drill's folder, "scratch place KEY" for any other; empty for one of another kind.
std::string ScratchPlaceOf(std::string_view obligation) {
  if (obligation == kScratch) return "scratch place";
  const bool has_key = obligation.size() > kScratch.size() + 1 &&
                       obligation.substr(0, kScratch.size()) == kScratch &&
                       obligation[kScratch.size()] == '.';
  return has_key ? "scratch place " + CleanText(obligation.substr(kScratch.size() + 1)) : "";
}

struct ObligationTexts {
  std::string open, released, unconfirmed, none;
};

ObligationTexts TextsOf(const v1::ObligationStatus& obligation, const v1::RunHeader& run) {
  if (const std::string place = ScratchPlaceOf(obligation.name()); !place.empty())
    return {place + " in use", place + " removed", place + " may be left", "no " + place};
  if (IsPause(obligation)) {
    const size_t dot = obligation.name().find('.');
    const std::string application =
        CleanText(run.application()) +
        (dot == std::string::npos
             ? ""
             : fmt::format(" (namespace {})", CleanText(obligation.name().substr(dot + 1))));
    return {application + " is paused", application + " goes on again", application + " may still be paused",
            application + " was not paused"};
  }
  const std::string name = CleanText(obligation.name());
  return {name + " is to be undone", name + " is undone", name + " may not be undone yet",
          name + " was not begun"};
}

}  // namespace

std::string Word(v1::RunPhase phase) {
  switch (phase) {
    case v1::RUN_PHASE_RUNNING:
      return "running";
    case v1::RUN_PHASE_CANCELLING:
      return "cancelling";
    case v1::RUN_PHASE_SUCCEEDED:
      return "succeeded";
    case v1::RUN_PHASE_FAILED:
      return "failed";
    case v1::RUN_PHASE_CANCELLED:
      return "cancelled";
    case v1::RUN_PHASE_QUARANTINED:
      return "quarantined";
    default:
      return "unknown";
  }
}

std::string Word(v1::StepPhase phase) {
  switch (phase) {
    case v1::STEP_PHASE_PENDING:
      return "pending";
    case v1::STEP_PHASE_READY:
      return "waiting";
    case v1::STEP_PHASE_RUNNING:
      return "running";
    case v1::STEP_PHASE_BACKOFF:
      return "retrying";
    case v1::STEP_PHASE_PAUSED:
      return "paused";
    case v1::STEP_PHASE_SUCCEEDED:
      return "succeeded";
    case v1::STEP_PHASE_FAILED:
      return "failed";
    case v1::STEP_PHASE_SKIPPED:
      return "skipped";
    case v1::STEP_PHASE_CANCELLED:
      return "cancelled";
    default:
      return "unknown";
  }
}

std::string Word(v1::Verdict verdict) {
  const std::string_view word = verdicts::WordOf(verdict);
  return word.empty() ? "unknown" : std::string(word);
}

std::string Word(v1::Check::Verdict verdict) {
  switch (verdict) {
    case v1::Check::VERDICT_PASSED:
      return "passed";
    case v1::Check::VERDICT_FAILED:
      return "failed";
    default:
      return "unverifiable";
  }
}

std::string Word(v1::Backup::Coverage coverage) {
  switch (coverage) {
    case v1::Backup::COVERAGE_COMPLETE:
      return "complete";
    case v1::Backup::COVERAGE_PARTIAL:
      return "partial";
    case v1::Backup::COVERAGE_FAILED:
      return "nothing kept";
    case v1::Backup::COVERAGE_RUNNING:
      return "running";
    default:
      return "unknown";
  }
}

std::string Word(v1::Backup::Verification verification) {
  switch (verification) {
    case v1::Backup::VERIFICATION_PROVEN:
      return "proven";
    case v1::Backup::VERIFICATION_DISPROVEN:
      return "disproven";
    case v1::Backup::VERIFICATION_UNVERIFIABLE:
      return "unverifiable";
    default:
      return "unproven";
  }
}

std::string Word(v1::Deletion::State state) {
  switch (state) {
    case v1::Deletion::STATE_DELETING:
      return "deleting";
    case v1::Deletion::STATE_FAILED:
      return "delete failed";
    case v1::Deletion::STATE_DELETED:
      return "deleted";
    default:
      return "unknown";
  }
}

std::string Word(v1::ObligationStatus::Phase phase) {
  switch (phase) {
    case v1::ObligationStatus::PHASE_PENDING:
      return "pending";
    case v1::ObligationStatus::PHASE_OPEN:
      return "open";
    case v1::ObligationStatus::PHASE_RELEASED:
      return "released";
    case v1::ObligationStatus::PHASE_UNCONFIRMED:
      return "release unconfirmed";
    case v1::ObligationStatus::PHASE_NOT_NEEDED:
      return "not needed";
    default:
      return "unknown";
  }
}

std::string Word(v1::RunKind kind) {
  switch (kind) {
    case v1::RUN_KIND_BACKUP:
      return "backup";
    case v1::RUN_KIND_RESTORE:
      return "restore";
    case v1::RUN_KIND_DRILL:
      return "drill";
    case v1::RUN_KIND_DELETE:
      return "delete";
    case v1::RUN_KIND_COPY:
      return "copy";
    case v1::RUN_KIND_INSPECT:
      return "inspect";
    default:
      return "run";
  }
}

std::string Word(v1::Runtime runtime) {
  switch (runtime) {
    case v1::RUNTIME_HOST:
      return "host";
    case v1::RUNTIME_KUBERNETES:
      return "kubernetes";
    default:
      return "unknown";
  }
}

std::string Word(v1::AgentKind kind) {
  switch (kind) {
    case v1::AGENT_KIND_UNSPECIFIED:
    case v1::AGENT_KIND_HOST:
      return "host";
    case v1::AGENT_KIND_NODE:
      return "node";
    case v1::AGENT_KIND_EXECUTOR:
      return "executor";
    default:
      return "unknown";
  }
}

std::string Word(v1::TokenClass token_class) {
  switch (token_class) {
    case v1::TOKEN_CLASS_VIEW:
      return "view";
    case v1::TOKEN_CLASS_OPERATE:
      return "operate";
    case v1::TOKEN_CLASS_APPROVE:
      return "approve";
    case v1::TOKEN_CLASS_ADMINISTER:
      return "administer";
    default:
      return "none";
  }
}

std::string StrategyWord(const v1::Component& component) {
  const strategies::Strategy* strategy = strategies::BuiltInStrategies().Find(component);
  return strategy == nullptr ? CleanText(KindOf(component)) : std::string(strategy->Name());
}

std::string VolumeText(const v1::Artifact& artifact) {
  if (!artifact.has_velero()) return "";
  const v1::VeleroFacts& facts = artifact.velero();
  return CleanText(fmt::format("{}, {}, {}", strategies::TitleOfVolume(facts.claim(), facts.namespace_()),
                               strategies::WordOf(facts.method()), HumanBytes(artifact.bytes())));
}

std::string SubjectOf(const v1::RunHeader& header) {
  const bool from_backup = header.kind() == v1::RUN_KIND_DRILL || header.kind() == v1::RUN_KIND_DELETE ||
                           (header.application().empty() && !header.backup().empty());
  const std::string of = CleanText(from_backup ? header.backup() : header.application());
  if (header.kind() == v1::RUN_KIND_RESTORE) {
    return fmt::format("restore of {} to {}", CleanText(header.backup()), CleanText(header.application()));
  }
  return of.empty() ? Word(header.kind()) : Word(header.kind()) + " of " + of;
}

bool IsPause(const v1::ObligationStatus& obligation) {
  return obligation.name() == "quiesce" || obligation.name().rfind("quiesce.", 0) == 0;
}

std::string ObligationText(const v1::ObligationStatus& obligation, const v1::RunHeader& run) {
  const ObligationTexts texts = TextsOf(obligation, run);
  switch (obligation.phase()) {
    case v1::ObligationStatus::PHASE_OPEN:
      return texts.open;
    case v1::ObligationStatus::PHASE_RELEASED:
      return texts.released;
    case v1::ObligationStatus::PHASE_UNCONFIRMED:
      return texts.unconfirmed;
    default:
      return texts.none;
  }
}

std::string VerdictWord(const v1::Run& run) {
  if (run.verdict() != v1::VERDICT_UNSPECIFIED) return Word(run.verdict());
  return run.phase() == v1::RUN_PHASE_SUCCEEDED ? "finished" : Word(run.phase());
}

}  // namespace salvor::words
