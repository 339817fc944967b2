#include "tests/simulation/witness.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <variant>

#include "flows/run/invariants.h"
#include "flows/run/reducer.h"
#include "proto/time.h"

namespace salvor::simulation {
namespace {

// The store and the network may take so long on a bad day, and this is a little more.
constexpr absl::Duration kPatience = absl::Seconds(40);

bool Waits(v1::StepPhase phase) { return phase == v1::STEP_PHASE_BACKOFF || phase == v1::STEP_PHASE_READY; }

}  // namespace

Lease LeaseOf(const v1::LeaseKey& lease) {
  return {lease.run(), lease.step(), lease.attempt(), lease.epoch()};
}
std::string Text(const v1::LeaseKey& lease) {
  return fmt::format("{} {} (attempt {}, epoch {})", lease.run(), lease.step(), lease.attempt(),
                     lease.epoch());
}
std::string Text(const AgentKey& agent) { return agent.environment + "/" + agent.name; }

void Witness::OnDurable(const controlplane::Batch& batch, absl::Duration committed_at) {
  bool has_events = false;
  for (const controlplane::Change& change : batch.changes) {
    if (const auto* put = std::get_if<controlplane::PutRun>(&change)) {
      Begin(*put);
    } else if (const auto* append = std::get_if<controlplane::AppendEvents>(&change)) {
      Run& run = runs_.at(append->run);
      for (const v1::Event& event : append->events.events()) Apply(run, event, committed_at);
      CheckRun(run);
      has_events = true;
    } else if (const auto* finish = std::get_if<controlplane::FinishRun>(&change)) {
      const std::string& name = finish->summary.header().name();
      Run& run = runs_.at(name);
      world_.Trace("durable: {} is over: {} {}", name, v1::RunPhase_Name(finish->summary.phase()),
                   finish->summary.reason());
      if (finish->summary.phase() != run.state.phase)
        world_.Broken("{} ends otherwise than its events say", name);
      succeeded_ += finish->summary.phase() == v1::RUN_PHASE_SUCCEEDED ? 1 : 0;
      active_.erase(name);
    }
  }
  if (has_events) CheckKeys();
}

void Witness::Begin(const controlplane::PutRun& put) {
  auto graph = flows::Graph::Make(*put.flow);
  if (!graph.ok()) std::abort();
  Run& run = runs_[put.header.name()];
  run.header = put.header;
  run.state = flows::NewRun(std::make_shared<const flows::Graph>(*std::move(graph)));
  for (const v1::Place& place : put.flow->places()) {
    if (!place.agent().empty()) run.bound[place.name()] = place.agent();
  }
  active_.insert(put.header.name());
}

void Witness::Apply(Run& run, const v1::Event& event, absl::Duration committed_at) {
  if (world_.Traces()) world_.Trace("durable: {}: {}", run.header.name(), event.ShortDebugString());
  const std::string& name = run.header.name();
  if (event.has_step_granted()) {
    const v1::StepGranted& granted = event.step_granted();
    Grant& grant = run.grants[granted.step()];
    if (granted.attempt() <= grant.attempt || granted.epoch() <= grant.epoch)
      world_.Broken("{}: a grant of {} goes back", name, granted.step());
    grant = {granted.attempt(), granted.epoch(), granted.agent(), committed_at, control_planes_};
    const int step = run.state.graph->Find(granted.step());
    const v1::Place& place = run.state.graph->PlaceOf(step);
    std::string& bound = run.bound[place.name()];
    if (!place.movable() && !bound.empty() && bound != granted.agent())
      world_.Broken("{}: {} moves to {}, and never may", name, granted.step(), granted.agent());
    bound = granted.agent();
  }
  if (event.has_step_reported()) CheckReport(run, event.step_reported());
  if (event.has_timer_fired()) CheckTimer(run, event.timer_fired(), committed_at);
  const flows::RunState before = run.state;
  flows::Effects ignored;
  if (const Status status = flows::Reduce(run.state, event, ignored); !status.ok())
    return world_.Broken("{}: a stored event can't be applied: {}", name, MessageOf(status));
  for (const std::string& broken : flows::BrokenBetween(before, run.state))
    world_.Broken("{}: {}", name, broken);
  if (!event.has_step_reported()) return;
  const v1::StepReported& reported = event.step_reported();
  const int step = run.state.graph->Find(reported.step());
  if (run.At(step).phase == v1::STEP_PHASE_SUCCEEDED &&
      in_vain_.count({name, reported.step(), reported.attempt(), reported.epoch()}) > 0)
    world_.Broken("{}: {} succeeded although what it relied on was undone before it began", name,
                  reported.step());
  if (run.At(step).phase == v1::STEP_PHASE_SUCCEEDED) TakeBindings(run, reported);
}

// Those of a success count.
void Witness::TakeBindings(Run& run, const v1::StepReported& reported) {
  for (const v1::Binding& binding : reported.result().bindings()) {
    const flows::Graph& graph = *run.state.graph;
    const int place = graph.FindPlace(binding.place());
    std::string& bound = run.bound[binding.place()];
    if (bound == binding.agent()) continue;
    if (!graph.Places()[static_cast<size_t>(place)].movable() && !bound.empty())
      world_.Broken("{}: the result of {} moves {} to {}, and it never may", run.header.name(),
                    reported.step(), binding.place(), binding.agent());
    bound = binding.agent();
    // The agent that its steps wait for has changed.
    std::erase_if(run.ready_since, [&](const auto& ready) { return graph.At(ready.first).place == place; });
  }
}

// The check does without the reducer's own fence: what that lets through is judged here.
void Witness::CheckReport(Run& run, const v1::StepReported& reported) {
  const std::string& name = run.header.name();
  const Lease lease{name, reported.step(), reported.attempt(), reported.epoch()};
  const Grant& grant = run.grants[reported.step()];
  if (grant.attempt != reported.attempt() || grant.epoch != reported.epoch())
    world_.Broken("{}: a report of {} from behind the fence counts", name, reported.step());
  if (!run.reported.insert(lease).second)
    world_.Broken("{}: two reports of one attempt of {} count", name, reported.step());
  if (reported.result().has_error()) return;
  const auto performed = performed_.find(lease);
  if (performed == performed_.end() || performed->second != grant.agent)
    world_.Broken("{}: {} succeeded, and no agent performed it", name, reported.step());
}

// Across a restart the engine has nothing but the time that somebody may set.
void Witness::CheckTimer(Run& run, const v1::TimerFired& fired, absl::Duration committed_at) {
  if (fired.kind() != v1::TimerFired::KIND_ATTEMPT_TIMEOUT) return;
  const Grant& grant = run.grants[fired.step()];
  const v1::Step& step = run.state.graph->Step(run.state.graph->Find(fired.step()));
  if (grant.attempt != fired.attempt() || grant.control_plane != control_planes_) return;
  if (committed_at - grant.committed_at < FromProto(step.attempt_timeout()))
    world_.Broken("{}: {} timed out before its time", run.header.name(), fired.step());
}

void Witness::CheckRun(Run& run) {
  for (const std::string& broken : flows::BrokenInvariants(run.state))
    world_.Broken("{}: {}", run.header.name(), broken);
  for (int step = 0; step < run.state.graph->StepCount(); ++step) {
    const flows::StepState& at = run.At(step);
    const bool is_abandoned = at.phase == v1::STEP_PHASE_RUNNING && at.lease_expired &&
                              run.state.phase == v1::RUN_PHASE_RUNNING &&
                              run.state.graph->PlaceOf(step).movable();
    if (at.phase == v1::STEP_PHASE_READY || is_abandoned) {
      run.ready_since.emplace(step, world_.Now());
    } else {
      run.ready_since.erase(step);
    }
  }
}

void Witness::CheckKeys() {
  struct Held {
    int holders = 0, exclusive = 0, limit = 0;
  };
  std::map<std::string, Held> held;
  for (const std::string& name : active_) {
    const Run& run = runs_.at(name);
    for (int step = 0; step < run.state.graph->StepCount(); ++step) {
      if (run.At(step).phase != v1::STEP_PHASE_RUNNING) continue;
      for (const v1::ConcurrencyKey& key : run.state.graph->Step(step).keys()) {
        Held& of = held[key.name()];
        ++of.holders;
        of.exclusive += key.exclusive() ? 1 : 0;
        of.limit = key.limit();
      }
    }
  }
  for (const auto& [key, of] : held) {
    if ((of.exclusive > 0 && of.holders > 1) || (of.limit > 0 && of.holders > of.limit))
      world_.Broken("{} is held by {}, {} of them exclusively, and {} may", key, of.holders, of.exclusive,
                    of.limit);
  }
}

void Witness::OnRecovered(const v1::Run& run) {
  const Run& known = runs_.at(run.header().name());
  for (int step = 0; step < run.steps_size(); ++step) {
    const v1::StepStatus& status = run.steps(step);
    const flows::StepState& at = known.At(step);
    if (status.phase() == at.phase && status.attempt() == at.attempt && status.agent() == at.agent) continue;
    world_.Broken("{}: {} is {} in the store, and {} when it was read", run.header().name(), status.id(),
                  v1::StepPhase_Name(at.phase), v1::StepPhase_Name(status.phase()));
  }
}

void Witness::OnStartIsDurable(const std::string& run) {
  if (runs_.count(run) == 0)
    world_.Broken("the start of {} was confirmed, and the store does not have it", run);
}

void Witness::OnCancelIsDurable(const std::string& run) {
  const flows::RunState& state = runs_.at(run).state;
  if (state.phase != v1::RUN_PHASE_CANCELLING && !state.Finished())
    world_.Broken("the cancel of {} was confirmed, and the store does not have it", run);
}

void Witness::OnSent(const AgentKey& agent, const v1::ControlMessage& message) {
  for (const v1::Task& task : message.tasks()) {
    const v1::LeaseKey& lease = task.lease();
    const auto run = runs_.find(lease.run());
    const Grant* grant = nullptr;
    if (run != runs_.end() && run->second.grants.count(lease.step()) > 0)
      grant = &run->second.grants.at(lease.step());
    // A later grant may be on record by now, an earlier one may not.
    if (grant == nullptr || grant->attempt < lease.attempt() || grant->epoch < lease.epoch() ||
        (grant->attempt == lease.attempt() && grant->agent != agent.name))
      world_.Broken("{} is sent {}, which is not on record", Text(agent), Text(lease));
  }
  for (const v1::LeaseKey& lease : message.acks()) CheckAnswer(agent, lease, true);
  for (const v1::LeaseKey& lease : message.superseded()) CheckAnswer(agent, lease, false);
}

void Witness::CheckAnswer(const AgentKey& agent, const v1::LeaseKey& lease, bool is_acknowledged) {
  const auto found = runs_.find(lease.run());
  if (found == runs_.end() || found->second.state.Finished()) return;
  const Run& run = found->second;
  const bool is_recorded = run.reported.count(LeaseOf(lease)) > 0;
  if (is_acknowledged && !is_recorded)
    return world_.Broken("{} was told that the result of {} is kept, and it is not", Text(agent),
                         Text(lease));
  const int step = run.state.graph->Find(lease.step());
  if (is_acknowledged || is_recorded || step < 0) return;
  const flows::StepState& at = run.At(step);
  const bool holds = agent == AgentKey{run.EnvironmentOf(step), at.agent};
  if (holds && at.attempt == lease.attempt() && at.epoch == lease.epoch() && Waits(at.phase))
    world_.Broken("the result of {} is thrown away although nobody was granted since", Text(lease));
}

void Witness::OnCancelArrives(int process, const v1::LeaseKey& lease) {
  cancelled_[{process, LeaseOf(lease)}] = true;
  const auto work = at_work_.find({process, LeaseOf(lease)});
  if (work != at_work_.end() && !work->second.is_stopped())
    world_.Broken("{} has the cancel of {} and works on", Text(work->second.agent), Text(lease));
}

void Witness::LookForForgotten(const std::vector<Available>& available) {
  for (const Available& agent : available) last_connected_[agent.agent] = world_.Now();
  for (const std::string& name : active_) {
    const Run& run = runs_.at(name);
    for (const auto& [step, since] : run.ready_since) LookForForgotten(run, step, since, available);
  }
}

void Witness::LookForForgotten(const Run& run, int step, absl::Duration since,
                               const std::vector<Available>& available) {
  const v1::Step& what = run.state.graph->Step(step);
  const flows::StepState& at = run.At(step);
  const bool releases = run.state.graph->At(step).releases >= 0;
  const bool is_taken_over = at.phase == v1::STEP_PHASE_RUNNING;
  if (!what.keys().empty() && !is_taken_over) return;  // it may wait for others for long
  // A place that moves stays all the same with an agent that is connected.
  const AgentKey bound{run.EnvironmentOf(step), run.BoundAt(step)};
  const bool is_there = std::any_of(available.begin(), available.end(),
                                    [&](const Available& agent) { return agent.agent == bound; });
  const bool stays = !run.state.graph->PlaceOf(step).movable() || is_there;
  // It is anybody's from when that was seen last.
  if (const auto seen = last_connected_.find(bound); !is_there && seen != last_connected_.end())
    since = std::max(since, seen->second);
  for (const Available& agent : available) {
    if (agent.agent.environment != run.EnvironmentOf(step)) continue;
    if (is_taken_over && agent.agent.name == at.agent) continue;
    if (!bound.name.empty() && agent.agent.name != bound.name && stays) continue;
    // A step that undoes something waits for nobody's room.
    const auto could_since = releases ? std::optional(agent.connected_since) : agent.room_since;
    if (!could_since || world_.Now() - std::max(since, *could_since) < kPatience) continue;
    return world_.Broken("{}: {} could go to {} since long, and does not", run.header.name(), what.id(),
                         Text(agent.agent));
  }
}

void Witness::OnBegins(Work work, const std::vector<v1::EarlyRelease>& released_early) {
  const v1::LeaseKey& lease = work.lease;
  for (const auto& [key, other] : at_work_) {
    if (other.process == work.process && other.lease.run() == lease.run() &&
        other.lease.step() == lease.step())
      world_.Broken("{} is at work on {} beside {}", Text(work.agent), Text(lease), Text(other.lease));
  }
  if (cancelled_.count({work.process, LeaseOf(lease)}) > 0 && !work.is_stopped())
    world_.Broken("{} has the cancel of {} and begins it", Text(work.agent), Text(lease));
  if (ReleasedBefore(lease, released_early)) in_vain_.insert(LeaseOf(lease));
  at_work_.emplace(std::pair{work.process, LeaseOf(lease)}, std::move(work));
}

// Whether this attempt relies on what the agent has undone already.
bool Witness::ReleasedBefore(const v1::LeaseKey& lease,
                             const std::vector<v1::EarlyRelease>& released_early) const {
  const auto found = runs_.find(lease.run());
  if (found == runs_.end()) return false;
  const flows::Graph& graph = *found->second.state.graph;
  for (const v1::EarlyRelease& early : released_early) {
    if (early.run() != lease.run()) continue;
    for (int i = 0; i < graph.Flow().obligations_size(); ++i) {
      if (graph.ObligationAt(i).name() != early.name()) continue;
      for (const std::string& guard : graph.ObligationAt(i).guards()) {
        if (guard == lease.step()) return true;
      }
    }
  }
  return false;
}

void Witness::OnEnds(int process, const v1::LeaseKey& lease, bool succeeded) {
  const auto work = at_work_.find({process, LeaseOf(lease)});
  if (work == at_work_.end()) return;
  if (succeeded) performed_[LeaseOf(lease)] = work->second.agent.name;
  at_work_.erase(work);
}

void Witness::OnDies(int process) {
  std::erase_if(at_work_, [&](const auto& work) { return work.first.first == process; });
  std::erase_if(cancelled_, [&](const auto& cancel) { return cancel.first.first == process; });
}

// While its run goes on only its deadline is a reason.
void Witness::OnUndoneByItself(const AgentKey& agent, const std::string& run, const std::string& what,
                               absl::Duration age) {
  const auto found = runs_.find(run);
  if (found == runs_.end() || found->second.state.Finished()) return;
  for (const v1::Obligation& obligation : found->second.state.graph->Flow().obligations()) {
    if (obligation.undo().scratch_stop().name() != what) continue;
    if (!obligation.has_deadline() || age < FromProto(obligation.deadline()))
      world_.Broken("{} undoes {} after {}, before its time", Text(agent), what, absl::FormatDuration(age));
  }
}

std::vector<std::string> Witness::ActiveRuns() const { return {active_.begin(), active_.end()}; }

std::vector<std::string> Witness::AbandonedRuns() const {
  std::vector<std::string> abandoned;
  for (const std::string& name : active_) {
    const Run& run = runs_.at(name);
    const bool waits = std::any_of(run.ready_since.begin(), run.ready_since.end(), [&](const auto& ready) {
      return run.At(ready.first).phase == v1::STEP_PHASE_RUNNING;
    });
    if (waits) abandoned.push_back(name);
  }
  return abandoned;
}

std::optional<v1::LeaseKey> Witness::HeldByAnother(const AgentKey& agent) {
  std::vector<v1::LeaseKey> leases;
  for (const std::string& name : active_) {
    const Run& run = runs_.at(name);
    for (int step = 0; step < run.state.graph->StepCount(); ++step) {
      const flows::StepState& at = run.At(step);
      const AgentKey holder = {run.EnvironmentOf(step), at.agent};
      if (at.phase != v1::STEP_PHASE_RUNNING || holder == agent) continue;
      v1::LeaseKey& lease = leases.emplace_back();
      lease.set_run(name);
      lease.set_step(run.state.graph->Step(step).id());
      lease.set_attempt(at.attempt);
      lease.set_epoch(at.epoch);
    }
  }
  if (leases.empty()) return std::nullopt;
  return leases[static_cast<size_t>(world_.fate.Below(static_cast<int>(leases.size())))];
}

std::optional<v1::Binding> Witness::DrawBinding(const std::string& name) {
  const auto found = runs_.find(name);
  if (found == runs_.end() || found->second.state.graph->Flow().places().empty()) return std::nullopt;
  const Run& run = found->second;
  const v1::Flow& flow = run.state.graph->Flow();
  const v1::Place& place = flow.places(world_.fate.Below(flow.places_size()));
  const auto bound = run.bound.find(place.name());
  v1::Binding binding;
  binding.set_place(place.name());
  binding.set_agent(world_.fate.OneIn(2) ? "a" : "b");
  if (bound != run.bound.end() && !place.movable() && !world_.fate.OneIn(4)) binding.set_agent(bound->second);
  return binding;
}

bool Witness::NeedsAgent(const std::string& name, const AgentKey& agent) const {
  const Run& run = runs_.at(name);
  const std::vector<v1::Place>& places = run.state.graph->Places();
  return std::any_of(places.begin(), places.end(), [&](const v1::Place& place) {
    const auto bound = run.bound.find(place.name());
    return !place.movable() && bound != run.bound.end() &&
           AgentKey{run.EnvironmentOf(place), bound->second} == agent;
  });
}

std::string Witness::Describe(const std::string& name) const {
  const Run& run = runs_.at(name);
  std::string text = fmt::format("{} ({}", name, v1::RunPhase_Name(run.state.phase));
  for (const auto& [place, agent] : run.bound) text += fmt::format(", {} at {}", place, agent);
  text += "):";
  for (int step = 0; step < run.state.graph->StepCount(); ++step) {
    const flows::StepState& at = run.At(step);
    if (flows::IsTerminal(at.phase)) continue;
    text += fmt::format(" {} is {} since {} (attempt {}, agent {}{}{});", run.state.graph->Step(step).id(),
                        v1::StepPhase_Name(at.phase).substr(11),
                        absl::FormatTime(at.ready_at, absl::UTCTimeZone()), at.attempt, at.agent,
                        at.lease_expired ? ", lease expired" : "", at.reason.empty() ? "" : ", " + at.reason);
  }
  return text;
}

}  // namespace salvor::simulation
