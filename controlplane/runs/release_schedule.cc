#include "controlplane/runs/release_schedule.h"

#include <algorithm>

namespace salvor::controlplane {

bool ReleaseSchedule::IsDue(const Key& key, absl::Duration now) {
  const auto [entry, is_new] = entries_.emplace(key, Entry{now + first_, first_});
  if (is_new) return true;
  Entry& known = entry->second;
  if (now < known.next) return false;
  known.wait = std::min(2 * known.wait, std::max(kLongest, first_));
  known.next = now + known.wait;
  return true;
}

void ReleaseSchedule::KeepOnly(const std::set<Key>& open) {
  for (auto it = entries_.begin(); it != entries_.end();)
    it = open.count(it->first) > 0 ? ++it : entries_.erase(it);
}

}  // namespace salvor::controlplane
