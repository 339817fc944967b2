// Collects verdicts. A Check is for people: what was compared with what, and how it came out.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/action.pb.h"

namespace salvor::agent {

class CheckList {
 public:
  CheckList(std::string component, v1::ActionResult& result)
      : component_(std::move(component)), result_(result) {}

  void Passed(const std::string& kind, const std::string& subject, const std::string& compared) {
    Add(kind, subject, v1::Check::VERDICT_PASSED, compared);
  }
  void Failed(const std::string& kind, const std::string& subject, const std::string& compared) {
    Add(kind, subject, v1::Check::VERDICT_FAILED, compared);
  }
  // Failed, and no wonder: a restore that keeps going could not build it.
  void NotBuilt(const std::string& kind, const std::string& subject, const std::string& compared) {
    Failed(kind, subject, compared);
    result_.mutable_checks()->rbegin()->set_not_built(true);
  }
  void Unverifiable(const std::string& kind, const std::string& subject, const std::string& compared) {
    Add(kind, subject, v1::Check::VERDICT_UNVERIFIABLE, compared);
  }

 private:
  void Add(const std::string& kind, const std::string& subject, v1::Check::Verdict verdict,
           const std::string& compared);

  std::string component_;
  v1::ActionResult& result_;
};

// Many like things under one kind: those that passed become one Check with a number, each that failed its
// own, up to a limit that keeps the result small.
class Tally {
 public:
  Tally(CheckList& checks, std::string kind, std::string subject)
      : checks_(checks), kind_(std::move(kind)), subject_(std::move(subject)) {}

  void Pass() { ++passed_; }
  void Fail(const std::string& subject, const std::string& compared);
  void Leave(const std::string& subject) { left_.push_back(subject); }  // cannot be compared

  // `passed` says what the ones that passed have in common: "3 tables, 12 rows equal". `left` says why some
  // could not be compared. Nothing at all becomes a pass: there was nothing to get wrong.
  void Close(const std::string& passed, const std::string& left);
  int64_t PassedCount() const { return passed_; }

 private:
  CheckList& checks_;
  std::string kind_, subject_;
  int64_t passed_ = 0, failed_ = 0;
  std::vector<std::string> left_;
};

// "a, b, c and 4 more".
std::string Names(const std::vector<std::string>& names, size_t shown = 5);

}  // namespace salvor::agent
