#include "controlplane/runs/ready_queue.h"

#include <algorithm>
#include <utility>

#include "proto/kind.h"

namespace salvor::controlplane {
namespace {

std::string NameOf(const ReadyStep& ready) {
  return fmt::format("{} of {}", ready.run->Step(ready.step).id(), ready.run->header.name());
}

bool StillReady(const ReadyStep& ready) {
  const flows::StepState& at = ready.run->At(ready.step);
  return at.phase == v1::STEP_PHASE_READY || (at.phase == v1::STEP_PHASE_RUNNING && at.lease_expired);
}

// Derived from the running steps at every look: a count kept apart would drift.
std::vector<flows::KeyHold> HeldKeys(const ActiveRuns& runs) {
  std::vector<flows::KeyHold> held;
  for (const auto& [name, run] : runs) {
    for (const int step : run->keyed) {
      if (run->At(step).phase != v1::STEP_PHASE_RUNNING) continue;
      for (const v1::ConcurrencyKey& key : run->Step(step).keys()) {
        held.push_back({key.name(), key.exclusive(), fmt::format("{} of {}", run->Step(step).id(), name)});
      }
    }
  }
  return held;
}

bool Releases(const ReadyStep& ready) { return ready.run->Releases(ready.step); }

SessionPointer Choose(const std::vector<SessionPointer>& sessions, const ReadyStep& ready) {
  const ActiveRun& run = *ready.run;
  const v1::Step& step = run.Step(ready.step);
  const flows::StepState& at = run.At(ready.step);
  const std::string kind = KindOf(step.action());
  SessionPointer best;
  for (const SessionPointer& session : sessions) {
    const std::string& agent = session->status.name();
    const bool elsewhere = !step.movable() && !run.bound_agent.empty() && run.bound_agent != agent;
    const bool has_it = at.phase == v1::STEP_PHASE_RUNNING && at.agent == agent;
    const bool full = session->Room() <= 0 && !Releases(ready);
    if (full || elsewhere || has_it || session->capabilities.count(kind) == 0) continue;
    if (best == nullptr || session->Room() > best->Room()) best = session;
  }
  return best;
}

// A step whose agent is silent holds its keys still: whoever takes it over takes them over, and does not wait behind those
// who wait for them.
bool HoldsItsKeys(const ReadyStep& ready) {
  return ready.run->At(ready.step).phase == v1::STEP_PHASE_RUNNING;
}

bool AnyRoom(const std::vector<SessionPointer>& sessions) {
  return std::any_of(sessions.begin(), sessions.end(),
                     [](const SessionPointer& session) { return session->Room() > 0; });
}

}  // namespace

void ReadyQueue::Assign(const std::string& environment, const AgentSessions& sessions, const ActiveRuns& runs,
                        const Grant& grant) {
  const auto queue = queues_.find(environment);
  if (queue == queues_.end() || queue->second.empty()) return;
  const std::vector<SessionPointer> candidates = sessions.Of(environment);
  std::deque<ReadyStep> waiting, still;
  waiting.swap(queue->second);
  std::stable_partition(waiting.begin(), waiting.end(), Releases);
  const bool keyed = std::any_of(waiting.begin(), waiting.end(), [](const ReadyStep& ready) {
    return !ready.run->Step(ready.step).keys().empty();
  });
  std::vector<flows::KeyHold> held = keyed ? HeldKeys(runs) : std::vector<flows::KeyHold>();
  bool room = AnyRoom(candidates);
  for (ReadyStep& ready : waiting) {
    if (!StillReady(ready)) continue;
    const SessionPointer session = room || Releases(ready) ? Choose(candidates, ready) : nullptr;
    const auto& keys = ready.run->Step(ready.step).keys();
    const bool takes_over = HoldsItsKeys(ready);
    if (session != nullptr && (takes_over || !flows::WaitsFor(keys, held))) {
      if (!grant(ready, session)) continue;
      if (!takes_over) {
        for (const v1::ConcurrencyKey& key : keys)
          held.push_back({key.name(), key.exclusive(), NameOf(ready)});
      }
      session->TakeRoom();
      if (session->Room() <= 0) room = AnyRoom(candidates);
      continue;
    }
    // An exclusive step that waits keeps later shared ones from overtaking it for ever.
    for (const v1::ConcurrencyKey& key : keys) {
      if (key.exclusive() && session != nullptr) held.push_back({key.name(), true, NameOf(ready)});
    }
    still.push_back(std::move(ready));
  }
  queue->second.insert(queue->second.begin(), still.begin(), still.end());
}

absl::Duration ReadyQueue::OldestAge(absl::Duration now) const {
  absl::Duration oldest = absl::ZeroDuration();
  for (const auto& [environment, queue] : queues_) {
    for (const ReadyStep& ready : queue) {
      if (!StillReady(ready)) continue;
      oldest = std::max(oldest, ready.run->RunTime(now) - ready.run->At(ready.step).ready_at);
    }
  }
  return oldest;
}

Waiting WhyItWaits(const ActiveRun& run, int step, const AgentSessions& sessions, const ActiveRuns& runs) {
  const std::string& environment = run.header.environment();
  const std::vector<SessionPointer> candidates = sessions.Of(environment);
  const absl::Time ready_at = run.At(step).ready_at;
  if (candidates.empty())
    return {fmt::format("no agent serves environment {}", environment), sessions.LastSeenIn(environment)};
  const std::string kind = KindOf(run.Step(step).action());
  const bool able = std::any_of(candidates.begin(), candidates.end(), [&](const SessionPointer& session) {
    return session->capabilities.count(kind) > 0;
  });
  if (!able) return {fmt::format("no connected agent can do {}", kind), ready_at};
  if (!run.Step(step).movable() && !run.bound_agent.empty() && sessions.Find(run.BoundAgent()) == nullptr) {
    return {fmt::format("agent {} is not connected", run.bound_agent), sessions.LastSeen(run.BoundAgent())};
  }
  if (auto waits = flows::WaitsFor(run.Step(step).keys(), HeldKeys(runs)))
    return {*std::move(waits), ready_at};
  return {"no agent has room for one more task", ready_at};
}

}  // namespace salvor::controlplane
