#include "agent/work/check_list.h"

#include <fmt/format.h>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr int64_t kFailuresShown = 50;
constexpr size_t kLongestText = 2000;

}  // namespace

void CheckList::Add(const std::string& kind, const std::string& subject, v1::Check::Verdict verdict,
                    const std::string& compared) {
  v1::Check* check = result_.add_checks();
  check->set_component(component_);
  check->set_kind(kind);
  check->set_subject(subject);
  check->set_verdict(verdict);
  check->set_compared(Elide(compared, kLongestText));
}

void Tally::Fail(const std::string& subject, const std::string& compared) {
  if (++failed_ <= kFailuresShown) checks_.Failed(kind_, subject, compared);
}

void Tally::Close(const std::string& passed, const std::string& left) {
  if (failed_ > kFailuresShown) {
    checks_.Failed(kind_, subject_, fmt::format("{} more failed like these", failed_ - kFailuresShown));
  }
  if (!left_.empty()) {
    checks_.Unverifiable(kind_, subject_, fmt::format("{}: {}", left, Names(left_, 20)));
  }
  if (passed_ > 0 || (failed_ == 0 && left_.empty())) checks_.Passed(kind_, subject_, passed);
}

std::string Names(const std::vector<std::string>& names, size_t shown) {
  if (names.size() <= shown) return Join(names, ", ");
  return fmt::format(
      "{} and {} more",
      Join(std::vector<std::string>(names.begin(), names.begin() + static_cast<long>(shown)), ", "),
      names.size() - shown);
}

}  // namespace salvor::agent
