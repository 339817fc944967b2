#include "controlplane/runs/answers.h"

#include <utility>

#include "proto/time.h"

namespace salvor::controlplane {

void Answers::Note(const v1::Run& run) {
  if (run.header().kind() != v1::RUN_KIND_INSPECT || !run.has_finished_at()) return;
  expire_at_.emplace(FromProto(run.finished_at()) + kept_for_, run.header().name());
}

std::vector<std::string> Answers::TakeExpired(absl::Time now) {
  std::vector<std::string> expired;
  const auto end = expire_at_.upper_bound(now);
  for (auto it = expire_at_.begin(); it != end; ++it) expired.push_back(std::move(it->second));
  expire_at_.erase(expire_at_.begin(), end);
  return expired;
}

}  // namespace salvor::controlplane
