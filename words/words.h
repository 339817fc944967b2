// Words for people: states, kinds and subjects as every client says them, be it a terminal, a log, a metric or a page. How
// they look is each client's own. Values that this version does not know, as of a newer control plane, are "unknown", never
// one of those it knows. Pure.
#pragma once

#include <string>

#include "salvor/v1/object.pb.h"
#include "salvor/v1/run.pb.h"
#include "salvor/v1/token.pb.h"

namespace salvor::words {

std::string Word(v1::RunPhase phase);
std::string Word(v1::StepPhase phase);
std::string Word(v1::Verdict verdict);
std::string Word(v1::Check::Verdict verdict);  // "unverifiable" for one that is not known
std::string Word(v1::Backup::Coverage coverage);
std::string Word(v1::Backup::Verification verification);  // "unproven" for none
std::string Word(v1::Deletion::State state);              // "delete failed"
std::string Word(v1::ObligationStatus::Phase phase);
std::string Word(v1::RunKind kind);  // "run" for one that is not known
std::string Word(v1::Runtime runtime);
std::string Word(v1::AgentKind kind);          // "host" for one that does not say it
std::string Word(v1::TokenClass token_class);  // "none" for one that is not known: its holder may do nothing

// The kind of a component: "postgres", "disk".
std::string StrategyWord(const v1::Component& component);

// A volume that Velero keeps: "volume uploads of shop, file-system backup, 12.0 MiB". Empty for any other artifact.
std::string VolumeText(const v1::Artifact& artifact);

// "backup of shop", "drill of backup-shop-…".
std::string SubjectOf(const v1::RunHeader& header);

// Whether it is of an application that is held still, which matters more than anything else that is left: "quiesce", or
// "quiesce.NAMESPACE".
bool IsPause(const v1::ObligationStatus& obligation);

// The state of an obligation: "scratch place in use", "shop is paused".
std::string ObligationText(const v1::ObligationStatus& obligation, const v1::RunHeader& run);

// A run in one word, for lists and headlines: its verdict; its phase while it goes on. "finished" where it succeeded and its
// verdict is not known: its steps are lost.
std::string VerdictWord(const v1::Run& run);

}  // namespace salvor::words
