#include "agent/engines/action/judge.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kMostNamed = 50;
constexpr size_t kShownBytes = 120;

std::string Shown(const std::string& value) {
  return value.empty() ? "nothing" : CleanText(Elide(value, kShownBytes));
}

std::string ChecksOf(size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

class Verdicts {
 public:
  Verdicts(std::string component, std::vector<JudgedCheck>* all)
      : component_(std::move(component)), all_(all) {}

  void Pass() { ++passed_; }
  void Add(const std::string& kind, const std::string& subject, v1::Check::Verdict verdict,
           const std::string& compared) {
    if (++named_ <= kMostNamed) {
      all_->push_back({kind, subject, verdict, compared});
    } else if (verdict == v1::Check::VERDICT_FAILED) {
      rest_ = verdict;
    }
  }
  void Close(const std::string& kind, const char* noun, const char* how) {
    if (named_ > kMostNamed)
      all_->push_back(
          {kind, component_, rest_, fmt::format("and {} more", ChecksOf(named_ - kMostNamed, noun))});
    if (passed_ > 0)
      all_->push_back(
          {kind, component_, v1::Check::VERDICT_PASSED, fmt::format("{} {}", ChecksOf(passed_, noun), how)});
  }

 private:
  const std::string component_;
  std::vector<JudgedCheck>* all_;
  size_t passed_ = 0, named_ = 0;
  v1::Check::Verdict rest_ = v1::Check::VERDICT_UNVERIFIABLE;  // of those that are not named
};

// The program says that it can't look at this here: its check of that name says so, and nothing was found wrong.
bool CannotLook(const std::vector<ToldCheck>& checks, const std::string& name) {
  return std::any_of(checks.begin(), checks.end(), [&name](const ToldCheck& check) {
    return check.name == name && check.verdict == "unverifiable";
  });
}

void CompareExpectations(const v1::ProgramRecord& record,
                         const std::map<std::string, std::string>& observations,
                         const std::vector<ToldCheck>& checks, const std::string& component,
                         std::vector<JudgedCheck>* all) {
  Verdicts verdicts(component, all);
  const std::map<std::string, std::string> expected(record.expectations().begin(),
                                                    record.expectations().end());
  for (const auto& [name, value] : expected) {
    const auto found = observations.find(name);
    if (found == observations.end()) {
      if (CannotLook(checks, name)) continue;
      verdicts.Add("expectation", name, v1::Check::VERDICT_FAILED,
                   fmt::format("{} at the backup, and not found in the copy", Shown(value)));
    } else if (found->second != value) {
      verdicts.Add("expectation", name, v1::Check::VERDICT_FAILED,
                   fmt::format("{} at the backup, {} in the copy", Shown(value), Shown(found->second)));
    } else {
      verdicts.Pass();
    }
  }
  verdicts.Close("expectation", "expectation", "equal");
}

}  // namespace

std::vector<JudgedCheck> JudgeCopy(const std::string& component, const v1::ProgramRecord& record,
                                   const std::map<std::string, std::string>& observations,
                                   const std::vector<ToldCheck>& checks) {
  std::vector<JudgedCheck> all;
  CompareExpectations(record, observations, checks, component, &all);
  if (record.expectations().empty()) {
    all.push_back({"expectation", component, v1::Check::VERDICT_UNVERIFIABLE,
                   fmt::format("program {} declared nothing at the backup that a copy could be compared with",
                               record.program().program())});
  }
  Verdicts own(component, &all);
  for (const ToldCheck& check : checks) {
    if (check.verdict == "passed") {
      own.Pass();
    } else {
      own.Add("program", check.name,
              check.verdict == "failed" ? v1::Check::VERDICT_FAILED : v1::Check::VERDICT_UNVERIFIABLE,
              check.detail.empty() ? "the program says no more" : check.detail);
    }
  }
  own.Close("program", "check", "of its own passed");
  return all;
}

JudgedCheck NothingKept(const std::string& component, const v1::ProgramRecord& record) {
  return {"artifacts", component, v1::Check::VERDICT_UNVERIFIABLE,
          fmt::format("program {} declared no artifact, so nothing was kept", record.program().program())};
}

}  // namespace salvor::agent
