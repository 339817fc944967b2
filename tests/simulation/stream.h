// One agent's stream as the network has it: each way keeps its order and takes its time, and it may be cut, which each end
// notices when it does. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controlplane/runs/agent_link.h"
#include "tests/simulation/witness.h"
#include "tests/simulation/world.h"

namespace salvor::simulation {

// Who holds the two ends. Called from events only.
class StreamEnds {
 public:
  virtual ~StreamEnds() = default;
  // The first message of `stream` arrives, with the hello.
  virtual void OnConnect(int stream, v1::AgentMessage first) = 0;
  virtual void OnMessage(int stream, v1::AgentMessage message) = 0;
  virtual void OnAgentIsGone(int stream) = 0;  // the control plane notices
  virtual void OnAnswer(int stream, v1::ControlMessage message) = 0;
  virtual void OnControlPlaneIsGone(int stream, const Status& why) = 0;  // the agent notices
};

class Stream final : public controlplane::AgentLink, public std::enable_shared_from_this<Stream> {
 public:
  Stream(World& world, Witness& witness, StreamEnds& ends, int id, AgentKey agent)
      : world_(world), witness_(witness), ends_(ends), id_(id), agent_(std::move(agent)) {}

  // Called by the agent.
  void Speak(v1::AgentMessage message);
  // Its process has died: what it has sent still arrives.
  void Hangs();
  // Called by the control plane. Both are called under its lock.
  void Send(v1::ControlMessage message) override;
  void Close(const std::string& why) override;
  // It refuses the agent.
  void Refuse(const Status& why);
  // Its process has died.
  void Dies();
  // Everything that is under way is lost, and the ends notice some time later.
  void Cut();

  int Id() const { return id_; }
  bool IsCut() const { return is_cut_; }
  const AgentKey& Agent() const { return agent_; }

  // Close judges by these a stream that the control plane gives up.
  absl::Duration heard_at;             // when the control plane last heard from it
  bool makes_way_for_another = false;  // another process of the name connects at this moment
  absl::Duration lease_duration;

 private:
  absl::Duration Latency();
  void Deliver(v1::AgentMessage message);
  void Flush();
  void TellAgent(absl::Duration after, const Status& why);
  void TellControlPlane(absl::Duration after);

  World& world_;
  Witness& witness_;
  StreamEnds& ends_;
  const int id_;
  const AgentKey agent_;
  bool is_cut_ = false, has_begun_ = false, agent_is_gone_ = false, control_plane_is_gone_ = false;
  absl::Duration last_up_, last_down_;  // when the last message of each way arrives
  bool is_writing_ = false;
  v1::ControlMessage next_;  // what waits while one is being written
};

}  // namespace salvor::simulation
