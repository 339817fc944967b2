// When an agent is asked again to undo what a run that is over left with it. It may fail to for a while (a disk that is
// full, a server that is busy), and says nothing then.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <set>
#include <string>
#include <tuple>

#include "controlplane/store/contract/keys.h"

namespace salvor::controlplane {

// Pure: it is told the time, by the clock that nobody sets.
class ReleaseSchedule {
 public:
  using Key = std::tuple<AgentKey, std::string, std::string>;  // agent, run, name

  // The first repetition comes after `first`; each later one after twice as long, at most kLongest.
  explicit ReleaseSchedule(absl::Duration first) : first_(first) {}
  static constexpr absl::Duration kLongest = absl::Minutes(15);

  // It was asked for outside the schedule, as when an agent says what it holds: the waiting begins anew.
  void NoteAsked(const Key& key, absl::Duration now) { entries_[key] = {now + first_, first_}; }
  // Whether to ask now. True is taken for asked.
  bool IsDue(const Key& key, absl::Duration now);
  // All others are undone, or nobody is there to be asked.
  void KeepOnly(const std::set<Key>& open);

 private:
  struct Entry {
    absl::Duration next;  // when it is due
    absl::Duration wait;  // how long it waits for that
  };
  const absl::Duration first_;
  std::map<Key, Entry> entries_;
};

}  // namespace salvor::controlplane
