#include "tests/simulation/stream.h"

#include <algorithm>
#include <utility>

namespace salvor::simulation {

absl::Duration Stream::Latency() {
  if (world_.FaultOneIn(60)) return world_.fate.Between(absl::Milliseconds(500), absl::Seconds(12));
  return world_.fate.Between(absl::Milliseconds(1), absl::Milliseconds(40));
}

void Stream::Speak(v1::AgentMessage message) {
  const bool doubles = message.reports_size() > 0 && world_.FaultOneIn(10);
  v1::AgentMessage again;
  if (doubles) *again.mutable_reports() = message.reports();
  Deliver(std::move(message));
  if (doubles) Deliver(std::move(again));
}

void Stream::Deliver(v1::AgentMessage message) {
  last_up_ = std::max(last_up_, world_.Now() + Latency());
  world_.After(last_up_ - world_.Now(), [self = shared_from_this(), message = std::move(message)]() mutable {
    if (self->is_cut_ || self->control_plane_is_gone_) return;
    self->heard_at = self->world_.Now();
    if (std::exchange(self->has_begun_, true)) return self->ends_.OnMessage(self->id_, std::move(message));
    self->ends_.OnConnect(self->id_, std::move(message));
  });
}

void Stream::Hangs() {
  agent_is_gone_ = true;
  last_up_ = std::max(last_up_, world_.Now());
  TellControlPlane(last_up_ - world_.Now() + world_.fate.Between(absl::ZeroDuration(), absl::Seconds(1)));
}

void Stream::Send(v1::ControlMessage message) {
  if (control_plane_is_gone_) return;
  witness_.OnSent(agent_, message);
  next_.MergeFrom(message);
  if (std::exchange(is_writing_, true)) return;
  const absl::Duration write = world_.FaultOneIn(25) ? world_.fate.Between(absl::Seconds(1), absl::Seconds(8))
                                                     : absl::Milliseconds(world_.fate.Below(10));
  world_.After(write, [self = shared_from_this()] { self->Flush(); });
}

void Stream::Flush() {
  is_writing_ = false;
  v1::ControlMessage message;
  message.Swap(&next_);
  last_down_ = std::max(last_down_, world_.Now() + Latency());
  world_.After(last_down_ - world_.Now(),
               [self = shared_from_this(), message = std::move(message)]() mutable {
                 if (self->is_cut_ || self->agent_is_gone_) return;
                 self->ends_.OnAnswer(self->id_, std::move(message));
               });
}

void Stream::Close(const std::string& why) {
  if (control_plane_is_gone_) return;
  world_.Trace("the control plane closes stream {} of {}: {}", id_, Text(agent_), why);
  const absl::Duration silent = world_.Now() - heard_at;
  if (why == "no heartbeat" && silent < lease_duration)
    world_.Broken("the stream of {} is closed for its silence, and it was heard {} ago", Text(agent_),
                  absl::FormatDuration(silent));
  if (makes_way_for_another && silent < lease_duration)
    world_.Broken("{} is connected and alive, and another process takes its place", Text(agent_));
  control_plane_is_gone_ = true;
  world_.After(absl::ZeroDuration(), [self = shared_from_this()] { self->ends_.OnAgentIsGone(self->id_); });
  TellAgent(is_cut_ ? absl::Seconds(20) : Latency(), Unavailable("closed: {}", why));
}

void Stream::Refuse(const Status& why) {
  control_plane_is_gone_ = true;
  TellAgent(Latency(), why);
}

void Stream::Dies() {
  if (control_plane_is_gone_) return;
  control_plane_is_gone_ = true;
  TellAgent(world_.fate.Between(absl::Milliseconds(1), absl::Seconds(2)),
            Unavailable("the control plane is gone"));
}

void Stream::Cut() {
  if (is_cut_) return;
  is_cut_ = true;
  world_.Trace("stream {} of {} is cut", id_, Text(agent_));
  TellAgent(world_.fate.Between(absl::Milliseconds(1), absl::Seconds(20)),
            Unavailable("the connection broke"));
  // Now and then only the agent's silence says it.
  if (!world_.fate.OneIn(3)) TellControlPlane(world_.fate.Between(absl::Milliseconds(1), absl::Seconds(20)));
}

void Stream::TellAgent(absl::Duration after, const Status& why) {
  world_.After(after, [self = shared_from_this(), why] {
    if (std::exchange(self->agent_is_gone_, true)) return;
    self->ends_.OnControlPlaneIsGone(self->id_, why);
  });
}

void Stream::TellControlPlane(absl::Duration after) {
  world_.After(after, [self = shared_from_this()] {
    if (std::exchange(self->control_plane_is_gone_, true)) return;
    self->ends_.OnAgentIsGone(self->id_);
  });
}

}  // namespace salvor::simulation
