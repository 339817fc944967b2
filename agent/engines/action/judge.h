// Judges a restored copy by what its program expected at the backup and finds in it now. The program tells what it
// found, and is never told what it should find. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/engines/action/events.h"
#include "salvor/v1/action.pb.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

struct JudgedCheck {
  std::string kind, subject;
  v1::Check::Verdict verdict = v1::Check::VERDICT_UNVERIFIABLE;
  std::string compared;
};

// One for all expectations that are met, one for each of the first 50 that are not, one for each of the program's own
// checks that did not pass, and one for all others. Without any expectation the copy is unverifiable, whatever the
// program's own checks say.
std::vector<JudgedCheck> JudgeCopy(const std::string& component, const v1::ProgramRecord& record,
                                   const std::map<std::string, std::string>& observations,
                                   const std::vector<ToldCheck>& checks);

// Of a backup whose program declared no artifact.
JudgedCheck NothingKept(const std::string& component, const v1::ProgramRecord& record);

}  // namespace salvor::agent
