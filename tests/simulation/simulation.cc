#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/io/files.h"
#include "proto/time.h"
#include "tests/simulation/random_flow.h"
#include "tests/simulation/stage.h"

namespace salvor::simulation {
namespace {

constexpr size_t kMostActiveRuns = 6;
// Once the faults have stopped every run ends, and all that was made is undone, within this time.
constexpr absl::Duration kLongestCalm = absl::Hours(2);

}  // namespace

// ---- the control plane ------------------------------------------------------------------------------------

void Simulation::StartEngine() {
  store_.Revive();
  has_failed_ = false;
  witness_.OnControlPlaneStarts();
  controlplane::EngineOptions options;
  options.lease_duration = kLease;
  options.heartbeat_interval = kHeartbeat;
  options.version = "simulated";
  options.random = [this] { return world_.fate.Fraction(); };
  options.on_fatal = [this](const Status&) {
    if (std::exchange(has_failed_, true)) return;
    world_.After(absl::ZeroDuration(), [this] { CrashEngine(0); });
  };
  auto engine = Engine::Create(store_, clock_, std::move(options), nullptr);
  if (!engine.ok()) return world_.Broken("the control plane does not start: {}", MessageOf(engine.status()));
  engine_ = *std::move(engine);
  world_.Trace("the control plane starts");
  for (const std::string& name : witness_.ActiveRuns()) {
    if (const auto run = engine_->GetRun(name); run.ok()) witness_.OnRecovered(*run);
  }
  engine_->SetWakeUp([this] { ScheduleTick(absl::ZeroDuration()); });
  ScheduleTick(absl::ZeroDuration());
}

bool Simulation::CrashEngine(size_t written) {
  if (engine_ == nullptr) return false;
  world_.Trace("the control plane dies; {} commits were under way, {} of them are on the disk",
               store_.Waiting(), std::min(written, store_.Waiting()));
  store_.Crash(written);
  engine_.reset();
  sessions_.clear();
  for (const auto& [id, stream] : by_id_) stream->Dies();
  const absl::Duration away = world_.fate.OneIn(6)
                                  ? world_.fate.Between(absl::Seconds(20), absl::Minutes(3))
                                  : world_.fate.Between(absl::Milliseconds(100), absl::Seconds(15));
  world_.After(away, [this] {
    if (engine_ == nullptr) StartEngine();
  });
  return true;
}

void Simulation::ScheduleDurable() {
  if (std::exchange(durable_is_due_, true)) return;
  const absl::Duration write = world_.FaultOneIn(80)
                                   ? world_.fate.Between(absl::Milliseconds(500), absl::Seconds(5))
                                   : world_.fate.Between(absl::Milliseconds(1), absl::Milliseconds(15));
  world_.After(write, [this] {
    durable_is_due_ = false;
    store_.MakeDurable(world_.fate.OneIn(4) ? 1 : store_.Waiting());
  });
}

void Simulation::ScheduleTick(absl::Duration after) {
  world_.After(after, [this, tick = ++tick_] {
    if (tick != tick_ || engine_ == nullptr) return;
    const absl::Duration next = engine_->Tick();
    ScheduleTick(std::max(next, absl::Milliseconds(1)));
  });
}

void Simulation::StartRun() {
  if (world_.calm) return;
  world_.After(world_.fate.Between(absl::Seconds(1), absl::Seconds(8)), [this] { StartRun(); });
  if (engine_ == nullptr || witness_.ActiveRuns().size() >= kMostActiveRuns) return;
  const std::string name = "r" + std::to_string(++runs_);
  v1::RunHeader header;
  header.set_name(name);
  header.set_environment(world_.fate.OneIn(3) ? "other" : "local");
  *header.mutable_requested_at() = ToProto(clock_.Now());
  const Status status =
      engine_->StartRun(header, RandomFlow(world_.fate, name), "", [this, name](const Status& durable) {
        if (durable.ok()) witness_.OnStartIsDurable(name);
      });
  if (!status.ok()) world_.Broken("{} can't be started: {}", name, MessageOf(status));
  if (world_.fate.OneIn(5)) {
    const absl::Duration most = world_.fate.OneIn(2) ? absl::Seconds(4) : absl::Seconds(120);
    world_.After(world_.fate.Between(absl::ZeroDuration(), most),
                 [this, name] { CancelRun(name, "a person"); });
  }
}

void Simulation::CancelRun(const std::string& name, const std::string& by) {
  if (engine_ == nullptr) return;
  const Status status = engine_->CancelRun(name, by, "", [this, name](const Status& durable) {
    if (durable.ok()) witness_.OnCancelIsDurable(name);
  });
  world_.Trace("{} cancels {}: {}", by, name, status.ToString());
}

// ---- the agents -------------------------------------------------------------------------------------------

void Simulation::AddPlace(const std::string& environment, const std::string& name, bool is_clone) {
  const std::string directory = fmt::format("{}/{}", options_.directory, hosts_.size());
  if (!MakeDirectories(directory).ok()) std::abort();
  hosts_.push_back(std::make_unique<Host>(world_, AgentKey{environment, name}, directory));
  Place& place = places_.emplace_back();
  place.host = hosts_.back().get();
  place.host->max_parallel = 1 + world_.fate.Below(2);
  place.is_clone = is_clone;
}

void Simulation::StartAgent(size_t index) {
  Place& place = places_[index];
  if (place.process != nullptr || place.is_gone) return;
  auto process =
      SimulatedAgent::Start(world_, witness_, *place.host, ++processes_, [this, index] { Speak(index); });
  if (!process.ok()) {  // a full disk
    world_.Trace("{} does not start: its disk is full", Text(place.host->agent));
    return world_.After(absl::Seconds(5), [this, index] { StartAgent(index); });
  }
  place.process = *std::move(process);
  place.backoff = 0;
  world_.Trace("{} starts", place.process->Name());
  Watchdog(index, place.process->Instance());
  ConnectLater(index);
}

bool Simulation::KillAgent(size_t index, absl::Duration until_restart) {
  Place& place = places_[index];
  if (place.process == nullptr) return false;
  world_.Trace("{} dies", place.process->Name());
  if (place.stream != nullptr) place.stream->Hangs();
  place.stream = nullptr;
  place.process = nullptr;
  if (until_restart < absl::InfiniteDuration())
    world_.After(until_restart, [this, index] { StartAgent(index); });
  return true;
}

void Simulation::ConnectLater(size_t index) {
  Place& place = places_[index];
  const absl::Duration most =
      std::min(absl::Milliseconds(100) * (1 << std::min(place.backoff++, 7)), absl::Seconds(10));
  world_.After(world_.fate.Between(most / 2, most), [this, index, process = place.process->Instance()] {
    if (Lives(index, process)) Connect(index);
  });
}

bool Simulation::Lives(size_t index, int process) const {
  return places_[index].process != nullptr && places_[index].process->Instance() == process;
}

void Simulation::Connect(size_t index) {
  Place& place = places_[index];
  if (place.stream != nullptr) return;
  const int id = ++streams_;
  place.stream = std::make_shared<Stream>(world_, witness_, *this, id, place.host->agent);
  place.stream->lease_duration = kLease;
  place.is_welcome = false;
  by_id_[id] = place.stream;
  place_of_[id] = index;
  place.stream->Speak(place.process->Begin());
}

void Simulation::Speak(size_t index) {
  Place& place = places_[index];
  if (place.process == nullptr || place.stream == nullptr || !place.is_welcome) return;
  while (place.process->HasSomethingToSay()) place.stream->Speak(place.process->Next());
}

void Simulation::Heartbeat(size_t index, int stream) {
  Place& place = places_[index];
  if (place.process == nullptr || place.stream == nullptr || place.stream->Id() != stream) return;
  place.stream->Speak(place.process->Next());
  world_.After(kHeartbeat, [this, index, stream] { Heartbeat(index, stream); });
}

void Simulation::Watchdog(size_t index, int process) {
  if (!Lives(index, process)) return;
  places_[index].process->Watch();
  world_.After(absl::Seconds(3), [this, index, process] { Watchdog(index, process); });
}

// ---- the network ------------------------------------------------------------------------------------------

void Simulation::OnConnect(int id, v1::AgentMessage first) {
  const std::shared_ptr<Stream> stream = by_id_.at(id);
  if (engine_ == nullptr) return stream->Refuse(Unavailable("no control plane"));
  const auto older_makes_way = [&](bool makes_way) {
    for (const auto& [other, session] : sessions_) {
      if (place_of_[other] != place_of_[id] && by_id_[other]->Agent() == stream->Agent())
        by_id_[other]->makes_way_for_another = makes_way;
    }
  };
  older_makes_way(true);
  const v1::AgentHello hello = first.hello();
  const auto session = engine_->Connect(hello, stream);
  older_makes_way(false);
  world_.Trace("stream {}: {} connects{}: {}", id, Text(stream->Agent()),
               places_[place_of_[id]].is_clone ? " (clone)" : "", session.status().ToString());
  if (!session.ok()) return stream->Refuse(session.status());
  sessions_[id] = {*session, world_.Now()};
  first.clear_hello();
  engine_->Receive(*session, std::move(first));
}

void Simulation::OnMessage(int id, v1::AgentMessage message) {
  const auto session = sessions_.find(id);
  if (session == sessions_.end() || engine_ == nullptr) return;
  if (world_.Traces() && message.reports_size() + message.early_releases_size() > 0)
    world_.Trace("stream {} brings: {}", id, message.ShortDebugString());
  engine_->Receive(session->second.id, std::move(message));
}

void Simulation::OnAgentIsGone(int id) {
  const auto session = sessions_.find(id);
  if (session == sessions_.end() || engine_ == nullptr) return;
  const int64_t gone = session->second.id;
  sessions_.erase(session);
  engine_->Disconnect(gone);
}

void Simulation::OnAnswer(int id, v1::ControlMessage message) {
  Place& place = places_[place_of_[id]];
  if (place.process == nullptr || place.stream == nullptr || place.stream->Id() != id) return;
  if (world_.Traces())
    world_.Trace("stream {} tells {}: {}", id, place.process->Name(), message.ShortDebugString());
  const bool is_welcome = message.has_welcome();
  if (is_welcome) {
    place.is_welcome = true;
    place.backoff = 0;
  }
  place.process->Take(std::move(message));
  if (is_welcome) Heartbeat(place_of_[id], id);
}

void Simulation::OnControlPlaneIsGone(int id, const Status& why) {
  Place& place = places_[place_of_[id]];
  if (place.process == nullptr || place.stream == nullptr || place.stream->Id() != id) return;
  world_.Trace("{} has lost stream {}: {}", place.process->Name(), id, MessageOf(why));
  place.stream = nullptr;
  place.process->End(why);
  ConnectLater(place_of_[id]);
}

void Simulation::BeginCalm() {
  world_.calm = true;
  world_.Trace("--- no more faults ---");
  if (engine_ == nullptr) StartEngine();
  for (size_t index = 0; index < places_.size(); ++index) {
    Place& place = places_[index];
    place.host->disk_is_full = false;
    if (place.is_clone) {
      KillAgent(index, absl::InfiniteDuration());
      place.is_gone = true;
      place.host->places.clear();  // that machine is switched off, with all that it had
    }
  }
  // One machine burns down now and then: what is bound to it ends by a person's word.
  if (world_.fate.OneIn(4)) {
    Place& burnt = places_[0];
    KillAgent(0, absl::InfiniteDuration());
    burnt.is_gone = true;
    burnt.host->places.clear();
    world_.Trace("{} is gone for good", Text(burnt.host->agent));
    world_.After(absl::Minutes(30), [this] {
      for (const std::string& run : witness_.ActiveRuns()) {
        if (witness_.NeedsAgent(run, places_[0].host->agent))
          CancelRun(run, "whoever knows that the machine is gone");
      }
    });
  }
  for (size_t index = 0; index < places_.size(); ++index) StartAgent(index);
}

bool Simulation::IsQuiet() {
  if (!witness_.ActiveRuns().empty()) return false;
  return std::all_of(places_.begin(), places_.end(), [](const Place& place) {
    return place.is_gone ||
           (place.host->places.empty() && place.process != nullptr && place.process->IsIdle());
  });
}

void Simulation::SayWhatRemains() {
  for (const std::string& run : witness_.ActiveRuns())
    world_.Broken("it never ends: {}", witness_.Describe(run));
  for (const Place& place : places_) {
    if (place.is_gone) continue;
    for (const auto& made : place.host->places)
      world_.Broken("{} is never undone on {}", made.first, Text(place.host->agent));
    if (place.process == nullptr || !place.process->IsIdle())
      world_.Broken("{} never comes to rest", Text(place.host->agent));
  }
}

// Once a second: who has been connected for how long, and had room all the while.
void Simulation::LookAround() {
  std::vector<Available> available;
  for (Place& place : places_) {
    const auto session = place.stream == nullptr ? sessions_.end() : sessions_.find(place.stream->Id());
    const bool is_connected = session != sessions_.end() && place.is_welcome && !place.stream->IsCut();
    const bool has_room = is_connected && place.process->Running() < place.host->max_parallel;
    if (!has_room) {
      place.room_since.reset();
    } else if (!place.room_since || *place.room_since < session->second.since) {
      place.room_since = world_.Now();
    }
    if (is_connected) available.push_back({place.host->agent, session->second.since, place.room_since});
  }
  witness_.LookForForgotten(available);
}

Outcome Simulation::Run() {
  for (const char* name : {"a", "b", "c"}) AddPlace("local", name, false);
  AddPlace("other", "a", false);
  AddPlace("other", "b", false);
  AddPlace("local", "a", true);
  ChooseDays();
  StartEngine();
  for (size_t index = 0; index + kGuests < places_.size(); ++index) StartAgent(index);
  StartRun();
  Fault();
  absl::Duration calm_since;
  absl::Duration looked_at;
  while (world_.WhatBroke().empty() && world_.Step()) {
    if (world_.Now() - looked_at >= absl::Seconds(1)) {
      looked_at = world_.Now();
      LookAround();
      if (world_.calm && IsQuiet()) break;
      if (world_.calm && world_.Now() - calm_since > kLongestCalm) SayWhatRemains();
    }
    if (!world_.calm && world_.events >= options_.least_events && world_.faults >= options_.least_faults) {
      events_with_faults_ = world_.events;
      BeginCalm();
      calm_since = world_.Now();
    }
  }
  Outcome outcome;
  outcome.events = world_.events;
  outcome.events_with_faults = events_with_faults_;
  outcome.faults = world_.faults;
  outcome.succeeded = witness_.Succeeded();
  outcome.runs = runs_;
  outcome.simulated = world_.Now();
  outcome.broken = world_.WhatBroke();
  outcome.trace = world_.Lines();
  return outcome;
}

Outcome Simulate(const SimulationOptions& options) { return Simulation(options).Run(); }

}  // namespace salvor::simulation
