// The parts of the verify action. Each adds its Checks; an error is one of the work itself, not a verdict.
#pragma once

#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/actions/not_built.h"
#include "agent/work/check_list.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

struct Verification {
  ActionContext& context;
  const ResolvedTarget& target;
  const std::string& database;         // as it was restored
  const v1::DatabaseDetails& details;  // as it was
  CheckList& checks;
  const NotBuiltThings& not_built;  // has its own checks; whatever follows from it gives none

  std::string Subject(const std::string& what = "") const {
    return what.empty() ? database : database + "." + what;
  }
};

// schema, migrations, grants, extensions
Status VerifyInventory(Verification& verification);
// sequences
Status VerifySequences(Verification& verification);
// rows, content
Status VerifyTables(Verification& verification);
// large objects
Status VerifyLargeObjects(Verification& verification);
// structure
Status VerifyStructure(Verification& verification);
// roles; null: the backup holds none
Status VerifyRoles(Verification& verification, const v1::GlobalsDetails* globals);

}  // namespace salvor::agent
