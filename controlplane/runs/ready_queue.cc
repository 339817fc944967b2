#include "controlplane/runs/ready_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "proto/kind.h"

namespace salvor::controlplane {
namespace {

std::string NameOf(const ReadyStep& ready) {
  return fmt::format("{} of {}", ready.run->Step(ready.step).id(), ready.run->header.name());
}

// Nobody takes over from a silent agent in a run that is being cancelled.
bool StillReady(const ReadyStep& ready) {
  const flows::StepState& at = ready.run->At(ready.step);
  const bool takes_over = at.phase == v1::STEP_PHASE_RUNNING && at.lease_expired;
  return at.phase == v1::STEP_PHASE_READY ||
         (takes_over && ready.run->state.phase != v1::RUN_PHASE_CANCELLING);
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

// Somebody waits for the answer, and it is short work. But who asks in a loop must not keep others from their turn: those
// are overtaken for so long, and then go first where nothing else holds them back.
constexpr absl::Duration kOvertakenFor = absl::Minutes(5);

enum Turn { kReleases, kOverdue, kLooks, kOthers };

Turn TurnOf(const ReadyStep& ready, absl::Duration now) {
  if (Releases(ready)) return kReleases;
  if (ready.run->header.kind() == v1::RUN_KIND_INSPECT) return kLooks;
  const absl::Duration waited = ready.run->RunTime(now) - ready.run->At(ready.step).ready_at;
  return waited > kOvertakenFor ? kOverdue : kOthers;
}

// Whether the agent's kind works at such a place.
bool Suits(const v1::Place& place, const Session& session) {
  const bool any_runtime =
      place.runtime() == v1::RUNTIME_UNSPECIFIED || session.status.runtime() == v1::RUNTIME_UNSPECIFIED;
  const v1::AgentKind kind = place.kind() == v1::AGENT_KIND_UNSPECIFIED ? v1::AGENT_KIND_HOST : place.kind();
  return kind == session.status.kind() && (any_runtime || place.runtime() == session.status.runtime());
}

// Whether a step may go to this agent of its environment at all: its place is bound to that, or to nobody. A place that
// moves stays with its agent as long as that is connected.
bool MayGoTo(const Session& session, const ActiveRun& run, int step,
             const std::vector<SessionPointer>& sessions) {
  const std::string& bound = run.state.BoundAt(step);
  if (!Suits(run.PlaceOf(step), session)) return false;
  if (bound.empty() || bound == session.status.name()) return true;
  return run.PlaceOf(step).movable() &&
         std::none_of(sessions.begin(), sessions.end(),
                      [&](const SessionPointer& other) { return other->status.name() == bound; });
}

SessionPointer Choose(const std::vector<SessionPointer>& sessions, const ReadyStep& ready) {
  const ActiveRun& run = *ready.run;
  const flows::StepState& at = run.At(ready.step);
  const std::string kind = KindOf(run.Step(ready.step).action());
  SessionPointer best;
  for (const SessionPointer& session : sessions) {
    if (!MayGoTo(*session, run, ready.step, sessions)) continue;
    const bool has_it = at.phase == v1::STEP_PHASE_RUNNING && at.agent == session->status.name();
    const bool full = session->Room() <= 0 && !Releases(ready);
    if (full || has_it || session->capabilities.count(kind) == 0) continue;
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
                        absl::Duration now, const Grant& grant) {
  held_back_.erase(environment);
  const auto queue = queues_.find(environment);
  if (queue == queues_.end() || queue->second.empty()) return;
  const std::vector<SessionPointer> candidates = sessions.Of(environment);
  std::deque<ReadyStep> waiting, still;
  waiting.swap(queue->second);
  const auto goes_before = [now](const ReadyStep& a, const ReadyStep& b) {
    return TurnOf(a, now) < TurnOf(b, now);
  };
  if (!std::is_sorted(waiting.begin(), waiting.end(), goes_before))
    std::stable_sort(waiting.begin(), waiting.end(), goes_before);
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
    if (session != nullptr) held_back_.insert(environment);
    still.push_back(std::move(ready));
  }
  queue->second.insert(queue->second.begin(), still.begin(), still.end());
}

void ReadyQueue::AddHeldBack(std::set<std::string>& environments) const {
  environments.insert(held_back_.begin(), held_back_.end());
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
  const std::string& environment = run.EnvironmentOf(step);
  const AgentKey bound = run.BoundAt(step);
  const bool stays = !bound.name.empty() && !run.PlaceOf(step).movable();
  const std::string who = stays ? fmt::format("agent {} of environment {}", bound.name, environment) : "";
  const absl::Time ready_at = run.At(step).ready_at;
  if (stays && sessions.Find(bound) == nullptr) return {who + " is not connected", sessions.LastSeen(bound)};
  const std::vector<SessionPointer> all = sessions.Of(environment);
  std::vector<SessionPointer> candidates;
  std::copy_if(all.begin(), all.end(), std::back_inserter(candidates),
               [&](const SessionPointer& session) { return MayGoTo(*session, run, step, all); });
  if (candidates.empty() && !stays)
    return {fmt::format("no agent serves environment {}", environment), sessions.LastSeenIn(environment)};
  if (candidates.empty()) return {who + " is of another kind or runtime than the place", ready_at};
  const std::string kind = KindOf(run.Step(step).action());
  const bool able = std::any_of(candidates.begin(), candidates.end(), [&](const SessionPointer& session) {
    return session->capabilities.count(kind) > 0;
  });
  if (!able) {
    return {stays ? fmt::format("{} cannot do {}", who, kind)
                  : fmt::format("no connected agent of environment {} can do {}", environment, kind),
            ready_at};
  }
  if (auto waits = flows::WaitsFor(run.Step(step).keys(), HeldKeys(runs)))
    return {*std::move(waits), ready_at};
  return {stays ? who + " has no room for one more task"
                : fmt::format("no agent of environment {} has room for one more task", environment),
          ready_at};
}

}  // namespace salvor::controlplane
