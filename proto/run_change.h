// The part that a watch sends of a run that has changed, and the way in which a client lays it over what it has.
// Header-only and pure.
#pragma once

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "salvor/v1/run.pb.h"

namespace salvor {
namespace run_change {

inline const std::string& KeyOf(const v1::StepStatus& step) { return step.id(); }
inline const std::string& KeyOf(const v1::ObligationStatus& obligation) { return obligation.name(); }

template <typename Items>
bool HaveSameKeys(const Items& a, const Items& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& one, const auto& other) { return KeyOf(one) == KeyOf(other); });
}

// Two that are written alike are alike; a map may be written in another order, and is compared by what it holds.
template <typename Item>
bool IsSame(const Item& a, const Item& b) {
  return a.SerializeAsString() == b.SerializeAsString() ||
         google::protobuf::util::MessageDifferencer::Equals(a, b);
}

// Those of `now` that are not as they were; both have the same keys.
template <typename Items>
void CopyChanged(const Items& before, const Items& now, Items& changed) {
  for (int i = 0; i < now.size(); ++i) {
    if (!IsSame(before[i], now[i])) *changed.Add() = now[i];
  }
}

// Each of `changed` takes the place of the one with its key; what has no such one is dropped.
template <typename Items>
void Replace(Items& changed, Items& all) {
  std::map<std::string, decltype(&changed[0])> by_key;
  for (auto& item : changed) by_key[KeyOf(item)] = &item;
  for (auto& item : all) {
    if (const auto found = by_key.find(KeyOf(item)); found != by_key.end()) item.Swap(found->second);
  }
}

}  // namespace run_change

// The change from one state of a run to a later one: without the header, which never changes, and with those steps and
// obligations alone that are not as they were. The whole later state where the two don't have the same ones.
inline v1::Run ChangeBetween(const v1::Run& before, const v1::Run& now) {
  if (!run_change::HaveSameKeys(before.steps(), now.steps()) ||
      !run_change::HaveSameKeys(before.obligations(), now.obligations()))
    return now;
  v1::Run change;
  change.set_is_change(true);
  change.set_phase(now.phase());
  change.set_reason(now.reason());
  change.set_hint(now.hint());
  if (now.has_finished_at()) *change.mutable_finished_at() = now.finished_at();
  change.set_revision(now.revision());
  change.set_verdict(now.verdict());
  change.set_verdict_reason(now.verdict_reason());
  change.set_verdict_hint(now.verdict_hint());
  run_change::CopyChanged(before.steps(), now.steps(), *change.mutable_steps());
  run_change::CopyChanged(before.obligations(), now.obligations(), *change.mutable_obligations());
  return change;
}

// Makes of `run`, as the messages of the watch before left it, what the next one says.
inline void TakeNext(v1::Run next, v1::Run& run) {
  if (next.is_change()) {
    next.clear_is_change();
    if (run.has_header()) next.mutable_header()->Swap(run.mutable_header());
    run_change::Replace(*next.mutable_steps(), *run.mutable_steps());
    run_change::Replace(*next.mutable_obligations(), *run.mutable_obligations());
    next.mutable_steps()->Swap(run.mutable_steps());
    next.mutable_obligations()->Swap(run.mutable_obligations());
  }
  run = std::move(next);
}

}  // namespace salvor
