// Gives the meaning of restic's words on stderr. Pure.
#pragma once

#include <string>
#include <string_view>

#include "agent/process/tool_runner.h"
#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// The error by kind, with a hint, from what was on stderr; the telling line of it is the message. Exit codes
// 10, 11 and 12 of newer restics decide where there is one (0: none known). Internal when nothing is
// recognised.
Status ResticError(std::string_view text, int exit_code, const v1::ResticLocation& location);

// "https://user:secret@host/…" without the secret: what may be shown of a repository's address.
std::string WithoutCredentials(std::string text);

bool IsResticLocked(const Status& status);

// Whether the error says that something the repository should hold is missing or is not what it was: a
// snapshot, a pack, a blob that does not decrypt. Its code is DataLoss. One look is no proof: a pack is gone
// as well for who read the index before another restic pruned; see Restic::Dump.
bool IsResticDamage(const Status& status);

}  // namespace salvor::agent
