// The words of states with their tones, and questions about runs that several renderers ask. Words alone are in words/, for
// other clients too. Pure.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"
#include "tools/cli/terminal/style.h"
#include "words/words.h"

namespace salvor::cli {

struct Worded {
  std::string text;
  Tone tone = Tone::kPlain;
};

Worded Word(v1::RunPhase phase);
Worded Word(v1::Verdict verdict);
Worded Word(v1::StepPhase phase);
Worded Word(v1::Check::Verdict verdict);
Worded Word(v1::Backup::Coverage coverage);
Worded Word(v1::Backup::Verification verification);
Worded Word(v1::Deletion::State state);
Worded Word(v1::ObligationStatus::Phase phase);

inline std::string Word(v1::RunKind kind) { return words::Word(kind); }
inline std::string Word(v1::Runtime runtime) { return words::Word(runtime); }
inline std::string Word(v1::AgentKind kind) { return words::Word(kind); }
inline std::string Word(v1::TokenClass token_class) { return words::Word(token_class); }

using words::ObligationText;
using words::StrategyWord;
using words::SubjectOf;
using words::VolumeText;

// What is worth most to know of a backup in one word: what becomes of it where it is deleted, else what it holds.
Worded StandingOf(const v1::Backup& backup);

bool IsOver(v1::StepPhase phase);

// A run in one word, for lists and headlines, as words::VerdictWord says it.
Worded VerdictWord(const v1::Run& run);

// Why it is no better than that word says; empty when there is nothing to say.
const std::string& ReasonOf(const v1::Run& run);

// The time from its start to its end or to now; zero when it has not started.
absl::Duration DurationOf(const v1::Run& run, absl::Time now);
absl::Duration DurationOf(const v1::StepStatus& step, absl::Time now);

int StepsOver(const v1::Run& run);

// Says what a step waits for that is ready, or whose agent is away: "no agent serves environment vps-1 since 14:02".
// Empty when it waits for nothing.
std::string WaitsForText(const v1::StepStatus& step, const Style& style);

// Bytes of what a step kept and how much it counts, "1.20 GiB, 1,234 rows"; empty when there is nothing to say.
std::string KeptBy(const v1::StepStatus& step);

// Every check of every step, in the order of the steps.
std::vector<const v1::Check*> ChecksOf(const v1::Run& run);

// Bytes of all artifacts that hold data.
int64_t DataBytes(const v1::Manifest& manifest);

}  // namespace salvor::cli
