// The verdict says what a finished run found or brought about. Decided here and nowhere else, once, when the run ends.
// Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "salvor/v1/run.pb.h"

namespace salvor::verdicts {

struct Judgement {
  v1::Verdict verdict = v1::VERDICT_UNSPECIFIED;
  std::string reason;  // why it is none better
  std::string hint;    // what to do about it
};

// The run with its steps. `backup` is the record of the backup that it made or drilled as it stood when the run ended;
// null when there is none. Unspecified for a run that is not over.
//
// A backup is judged by its manifest, a drill by what it found about its backup, a restore by its checks and by what it
// left out, a look by its checks. A cancelled run is cancelled, unless it found a fault before, or was a drill that had
// nothing left to do but to write down what it found.
Judgement Judge(const v1::Run& run, const v1::Backup* backup);

// The same, written into the run. A drill's step that should have kept what it found in the Location, and has not, gets a
// warning.
v1::Run Judged(v1::Run run, const v1::Backup* backup);

// "disproven": for people, metrics and scripts alike. Empty for what this version does not know.
std::string_view WordOf(v1::Verdict verdict);

// The coverage by the manifest of a backup run; failed where it wrote none.
v1::Backup::Coverage CoverageOf(const v1::Run& run);

// The verification of a backup by a drill; nothing when it says nothing (it could not be made, was cancelled in the middle,
// lost its scratch place). Proven: the drill did all its work, the backup is complete and not in doubt, and every check
// passed. Only what was found positively disproves: a check that failed, bytes that are wrong (REASON_CORRUPT). A check
// that could not be made leaves it unverifiable. Whether the finding could be written down (PURPOSE_RECORD) changes
// nothing about it.
std::optional<v1::Verification> FindingOf(const v1::Run& drill, const v1::Backup* backup);

// The same, where it is known already why the backup can't be called proven whatever the checks say (empty: it can).
std::optional<v1::Verification> FindingOf(const v1::Run& drill, const std::string& not_provable);
std::string WhyNotProvable(const v1::Backup* backup);

// A drill as its last step knows it: by the results of the steps before that, where a step that did not succeed has an
// error. It is over, at no time.
v1::Run DrillSoFar(const std::string& run, const std::string& backup,
                   const std::map<std::string, v1::ActionResult>& results);

}  // namespace salvor::verdicts
