#include "controlplane/api/access.h"

#include <algorithm>

#include "words/words.h"

namespace salvor::controlplane {

// A class holds all that the ones before it hold: whoever may approve a backup must be able to look at it, and to prove it.
// Declarations name the files, servers and programs that agents reach, so they are the administrator's, as tokens are. So is
// the deletion of backups: a program that makes them every night, or whoever got hold of its token, can't undo them.
const std::vector<AccessRule>& AccessRules() {
  static const auto* const rules = new std::vector<AccessRule>{
      {"AcceptBackup", v1::TOKEN_CLASS_APPROVE},    {"Apply", v1::TOKEN_CLASS_ADMINISTER},
      {"CancelRun", v1::TOKEN_CLASS_OPERATE},       {"CreateBackup", v1::TOKEN_CLASS_OPERATE},
      {"CreateDiscovery", v1::TOKEN_CLASS_OPERATE}, {"CreateDrill", v1::TOKEN_CLASS_OPERATE},
      {"CreateRestore", v1::TOKEN_CLASS_OPERATE},   {"CreateToken", v1::TOKEN_CLASS_ADMINISTER},
      {"DeleteBackup", v1::TOKEN_CLASS_ADMINISTER}, {"DeleteObject", v1::TOKEN_CLASS_ADMINISTER},
      {"GetBackup", v1::TOKEN_CLASS_VIEW},          {"GetRun", v1::TOKEN_CLASS_VIEW},
      {"GetRunLogs", v1::TOKEN_CLASS_VIEW},         {"GetVersion", v1::TOKEN_CLASS_VIEW},
      {"ListAgents", v1::TOKEN_CLASS_VIEW},         {"ListBackups", v1::TOKEN_CLASS_VIEW},
      {"ListObjects", v1::TOKEN_CLASS_VIEW},        {"ListRuns", v1::TOKEN_CLASS_VIEW},
      {"ListTokens", v1::TOKEN_CLASS_ADMINISTER},   {"RevokeToken", v1::TOKEN_CLASS_ADMINISTER},
      {"WatchRun", v1::TOKEN_CLASS_VIEW},
  };
  return *rules;
}

Status CheckAccess(const Principal& who, std::string_view operation) {
  const auto& rules = AccessRules();
  const auto rule = std::find_if(rules.begin(), rules.end(),
                                 [&](const AccessRule& each) { return each.operation == operation; });
  if (rule == rules.end()) return PermissionDenied("nobody may call {}", operation);
  if (who.token_class >= rule->needed) return OkStatus();
  const std::string needed = words::Word(rule->needed);
  return WithHint(PermissionDenied("this needs a token of class {}, and {} is of class {}", needed, who.name,
                                   words::Word(who.token_class)),
                  fmt::format("Ask someone who holds a token of class administer for one of class {}: "
                              "salvor token create NAME --class {}",
                              needed, needed));
}

}  // namespace salvor::controlplane
