#include <algorithm>

#include "tests/simulation/stage.h"

namespace salvor::simulation {

bool Simulation::Forge() {
  std::vector<std::pair<int64_t, AgentKey>> speakers;
  for (const auto& [id, session] : sessions_) speakers.emplace_back(session.id, by_id_[id]->Agent());
  if (speakers.empty() || engine_ == nullptr) return false;
  const auto& [session, agent] =
      speakers[static_cast<size_t>(world_.fate.Below(static_cast<int>(speakers.size())))];
  const auto lease = witness_.HeldByAnother(agent);
  if (!lease) return false;
  world_.Trace("{} claims the success of {}", Text(agent), Text(*lease));
  v1::AgentMessage message;
  v1::Report* report = message.add_reports();
  *report->mutable_lease() = *lease;
  report->mutable_result();
  engine_->Receive(session, std::move(message));
  return true;
}

// Each seed has days of its own: some faults often, some never.
void Simulation::ChooseDays() {
  for (int kind = 0; kind < kFaults; ++kind) {
    const int often = world_.fate.Below(4);
    for (int i = 0; i < often * often; ++i) days_.push_back(static_cast<FaultKind>(kind));
  }
  days_.push_back(kCut);
  pace_ = world_.fate.Between(absl::Seconds(1), absl::Seconds(6));
}

void Simulation::Fault() {
  if (world_.calm) return;
  world_.After(world_.fate.Between(absl::Milliseconds(200), pace_), [this] { Fault(); });
  const size_t place = static_cast<size_t>(world_.fate.Below(static_cast<int>(places_.size())));
  const FaultKind kind = days_[static_cast<size_t>(world_.fate.Below(static_cast<int>(days_.size())))];
  if (Strike(kind, place)) ++world_.faults;
}

// False when there is nothing that it could hit.
bool Simulation::Strike(FaultKind kind, size_t index) {
  Fate& fate = world_.fate;
  Place& place = places_[index];
  switch (kind) {
    case kCut:
      if (place.stream == nullptr || place.stream->IsCut()) return false;
      place.stream->Cut();
      return true;
    case kShortDeath:
      return KillAgent(index, fate.Between(absl::Milliseconds(300), absl::Seconds(20)));
    case kLongDeath:
      return KillAgent(index, fate.Between(absl::Seconds(40), absl::Minutes(10)));
    case kControlPlaneDies:
      return CrashEngine(static_cast<size_t>(fate.Below(4)));
    case kStoreFails:
      if (engine_ == nullptr || store_.Waiting() == 0) return false;
      store_.Fail(fate.OneIn(2));
      return true;
    case kClockJumps: {
      const absl::Duration most = fate.OneIn(2) ? absl::Hours(3) : absl::Minutes(2);
      const absl::Duration by = fate.Between(-most, most);
      (fate.OneIn(2) ? clock_ : place.host->clock).Jump(by);
      world_.Trace("somebody sets a clock by {}", absl::FormatDuration(by));
      return true;
    }
    case kDiskIsFull:
      FillDisk(*place.host);
      return true;
    case kForgery:
      return Forge();
    case kGuest:
      return StartGuest();
    default:
      CancelAny();
      return false;
  }
}

void Simulation::FillDisk(Host& host) {
  host.disk_is_full = true;
  world_.Trace("the disk of {} is full", Text(host.agent));
  world_.After(world_.fate.Between(absl::Seconds(2), absl::Seconds(60)),
               [&host] { host.disk_is_full = false; });
}

// An agent that is there for a while only: a copied machine, or one that is mostly away.
bool Simulation::StartGuest() {
  const size_t guest = places_.size() - 1 - static_cast<size_t>(world_.fate.Below(kGuests));
  if (places_[guest].process != nullptr) return false;
  StartAgent(guest);
  world_.After(world_.fate.Between(absl::Seconds(10), absl::Minutes(2)), [this, guest] {
    if (!world_.calm) KillAgent(guest, absl::InfiniteDuration());
  });
  return true;
}

// Above all a run that waits for somebody to take over what a silent agent has.
void Simulation::CancelAny() {
  std::vector<std::string> active = witness_.AbandonedRuns();
  if (active.empty()) active = witness_.ActiveRuns();
  if (!active.empty())
    CancelRun(active[static_cast<size_t>(world_.fate.Below(static_cast<int>(active.size())))],
              "somebody in a hurry");
}

}  // namespace salvor::simulation
