// The sessions of agents: which are connected, what they can do and have room for, and when the others were last heard
// from. One thread at a time: the engine's lock guards it.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "controlplane/runs/agent_link.h"
#include "controlplane/store/contract/keys.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"

namespace salvor::controlplane {

// A connected agent.
struct Session {
  int64_t id = 0;
  v1::AgentStatus status;
  std::set<std::string> capabilities;  // kinds of action
  std::shared_ptr<AgentLink> link;
  // Tasks that it will take: how many in all on this stream, or, of an agent of 0.1, how many more.
  std::optional<int64_t> task_limit;
  int64_t tasks_sent = 0;
  int64_t credits = 0;
  absl::Time last_seen;     // for people
  absl::Duration heard_at;  // by the clock that nobody sets
  std::string instance;     // of the agent's process; empty for 0.1
  std::map<std::pair<std::string, std::string>, v1::HeldObligation>
      obligations;  // by run and name, as it last said

  AgentKey Key() const { return {status.environment(), status.name()}; }
  int64_t Room() const { return task_limit ? *task_limit - tasks_sent : credits; }
  void TakeRoom() {
    ++tasks_sent;
    --credits;
  }
  void Hear(const Clock& clock) {
    last_seen = clock.Now();
    heard_at = clock.Monotonic();
  }
  void SetObligations(const v1::AgentHello& hello);
};
using SessionPointer = std::shared_ptr<Session>;

class AgentSessions {
 public:
  // Takes over what the store remembers of an agent.
  void Know(const v1::AgentStatus& agent);

  SessionPointer Add(const v1::AgentHello& hello, std::shared_ptr<AgentLink> link, const Clock& clock);
  // The agent is not connected any more. What to remember of it.
  v1::AgentStatus Remove(const SessionPointer& session);

  SessionPointer Find(int64_t id) const;  // null when it is not connected
  SessionPointer Find(const AgentKey& agent) const;
  std::vector<SessionPointer> All() const;
  std::vector<SessionPointer> Of(const std::string& environment) const;
  std::vector<SessionPointer> SilentSince(absl::Duration time) const;
  // Known for an agent that was connected since the start and is not now.
  std::optional<absl::Duration> LastHeard(const AgentKey& agent) const;
  // The time at which an agent, or the last one of an environment, that is not connected was last seen, as far as is
  // known.
  std::optional<absl::Time> LastSeen(const AgentKey& agent) const;
  std::optional<absl::Time> LastSeenIn(const std::string& environment) const;
  std::vector<v1::AgentStatus> List() const;  // connected or not, by environment and name; without `running`

 private:
  std::map<int64_t, SessionPointer> sessions_;
  int64_t last_id_ = 0;
  std::map<AgentKey, absl::Duration> lost_;  // when they were last heard
  std::map<AgentKey, v1::AgentStatus> known_;
};

}  // namespace salvor::controlplane
