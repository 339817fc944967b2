// Which agents are connected, what they can do and have room for, and when the others were last heard from.
// One thread at a time: the engine's lock guards it.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/runs/engine.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"

namespace salvor::controlplane {

// A connected agent.
struct Session {
  int64_t id = 0;
  v1::AgentStatus status;
  std::set<std::string> capabilities;  // kinds of action
  std::shared_ptr<AgentLink> link;
  int credits = 0;  // tasks that it will take
  absl::Time last_seen;
  std::map<std::pair<std::string, std::string>, v1::HeldObligation>
      obligations;  // by run and name, as it last said

  void SetObligations(const v1::AgentHello& hello);
};
using SessionPointer = std::shared_ptr<Session>;

class AgentSessions {
 public:
  // What the store remembers of an agent.
  void Know(const v1::AgentStatus& agent) { known_[agent.name()] = agent; }

  SessionPointer Add(const v1::AgentHello& hello, std::shared_ptr<AgentLink> link, absl::Time now);
  // The agent is not connected any more. What to remember of it.
  v1::AgentStatus Remove(const SessionPointer& session);

  SessionPointer Find(int64_t id) const;  // null when it is not connected
  SessionPointer Find(const std::string& agent) const;
  std::vector<SessionPointer> Of(const std::string& environment) const;
  std::vector<SessionPointer> SilentSince(absl::Time time) const;
  // Of an agent that was connected since the start and is not now.
  std::optional<absl::Time> LastHeard(const std::string& agent) const;
  std::vector<v1::AgentStatus> List() const;  // connected or not, by name; without `running`

 private:
  std::map<int64_t, SessionPointer> sessions_;
  int64_t last_id_ = 0;
  std::map<std::string, absl::Time> lost_;
  std::map<std::string, v1::AgentStatus> known_;
};

}  // namespace salvor::controlplane
