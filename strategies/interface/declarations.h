// Checks of declared values that several kinds of components share. Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "strategies/interface/strategy.h"

namespace salvor::strategies {

// Whether `inner` is `outer` or lies below it. Both are absolute and without a slash at the end.
bool IsWithin(const std::string& inner, const std::string& outer);

bool HasControlCharacters(const std::string& text);

// Collects problems below a field: Problems("postgres").Add("databases[0]", …).
class Problems {
 public:
  void Add(const std::string& field, const std::string& message) {
    found_.push_back({field, message, false});
  }
  void AddIncomplete(const std::string& field, const std::string& message) {
    found_.push_back({field, message, true});
  }
  // Adds the status' message unless it is OK.
  void Check(const std::string& field, const Status& status);
  // Empty is fine; anything else must be a duration ("90s"), longer than nothing unless zero is allowed.
  void CheckDuration(const std::string& field, const std::string& text, bool zero_is_allowed);
  // Empty is fine; anything else must be an absolute path without "." and "..".
  void CheckPath(const std::string& field, const std::string& path);
  // Likewise, for a file that holds a secret: people write the secret itself there, so its text is never shown.
  void CheckSecretFile(const std::string& field, const std::string& path);
  // Non-empty, no control characters, no leading '-'. `what` names it: "role".
  void CheckWord(const std::string& field, const std::string& text, const std::string& what);

  std::vector<FieldProblem> Take() { return std::move(found_); }

 private:
  std::vector<FieldProblem> found_;
};

// Adds the problems of what a check asks of the strategy's own: a probe of its kinds, or the database that a command
// names. False where the strategy has nothing of the kind. `field` is the check's: "checks[0]".
using ProbeValidator =
    std::function<bool(const v1::ApplicationCheck& check, const std::string& field, Problems* problems)>;

// The component's application checks. Any component can be asked by http and by command; all else is the strategy's
// (null: it has no probes of its own).
void ValidateChecks(const v1::Component& component, const ProbeValidator& own, Problems* problems);

}  // namespace salvor::strategies
