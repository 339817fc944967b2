#include "controlplane/runs/agent_sessions.h"

#include <algorithm>

#include "proto/time.h"

namespace salvor::controlplane {

void Session::SetObligations(const v1::AgentHello& hello) {
  obligations.clear();
  for (const v1::HeldObligation& held : hello.obligations()) obligations[{held.run(), held.name()}] = held;
}

// A store of 0.1 has it under its name alone, beside what was written since.
void AgentSessions::Know(const v1::AgentStatus& agent) {
  v1::AgentStatus& known = known_[{agent.environment(), agent.name()}];
  if (FromProto(agent.last_seen_at()) >= FromProto(known.last_seen_at())) known = agent;
}

SessionPointer AgentSessions::Add(const v1::AgentHello& hello, std::shared_ptr<AgentLink> link,
                                  const Clock& clock) {
  auto session = std::make_shared<Session>();
  session->id = ++last_id_;
  session->link = std::move(link);
  session->Hear(clock);
  session->instance = hello.instance();
  session->capabilities = {hello.capabilities().begin(), hello.capabilities().end()};
  session->SetObligations(hello);
  v1::AgentStatus& status = session->status;
  status.set_name(hello.agent());
  status.set_environment(hello.environment());
  status.set_runtime(hello.runtime());
  status.set_version(hello.version());
  status.set_host(hello.host());
  status.set_kind(hello.kind() == v1::AGENT_KIND_UNSPECIFIED ? v1::AGENT_KIND_HOST : hello.kind());
  *status.mutable_labels() = hello.labels();
  status.set_connected(true);
  sessions_[session->id] = session;
  lost_.erase(session->Key());
  return session;
}

v1::AgentStatus AgentSessions::Remove(const SessionPointer& session) {
  sessions_.erase(session->id);
  lost_[session->Key()] = session->heard_at;
  v1::AgentStatus& known = known_[session->Key()];
  known = session->status;
  known.set_connected(false);
  *known.mutable_last_seen_at() = ToProto(session->last_seen);
  return known;
}

SessionPointer AgentSessions::Find(int64_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second;
}

SessionPointer AgentSessions::Find(const AgentKey& agent) const {
  for (const auto& [id, session] : sessions_) {
    if (session->Key() == agent) return session;
  }
  return nullptr;
}

std::vector<SessionPointer> AgentSessions::All() const {
  std::vector<SessionPointer> sessions;
  for (const auto& [id, session] : sessions_) sessions.push_back(session);
  return sessions;
}

std::vector<SessionPointer> AgentSessions::Of(const std::string& environment) const {
  std::vector<SessionPointer> sessions;
  for (const auto& [id, session] : sessions_) {
    if (session->status.environment() == environment) sessions.push_back(session);
  }
  return sessions;
}

std::vector<SessionPointer> AgentSessions::SilentSince(absl::Duration time) const {
  std::vector<SessionPointer> silent;
  for (const auto& [id, session] : sessions_) {
    if (session->heard_at < time) silent.push_back(session);
  }
  return silent;
}

std::optional<absl::Duration> AgentSessions::LastHeard(const AgentKey& agent) const {
  const auto found = lost_.find(agent);
  if (found == lost_.end()) return std::nullopt;
  return found->second;
}

std::optional<absl::Time> AgentSessions::LastSeen(const AgentKey& agent) const {
  const auto found = known_.find(agent);
  if (found == known_.end() || !found->second.has_last_seen_at()) return std::nullopt;
  return FromProto(found->second.last_seen_at());
}

std::optional<absl::Time> AgentSessions::LastSeenIn(const std::string& environment) const {
  std::optional<absl::Time> last;
  for (const auto& [key, agent] : known_) {
    if (key.environment != environment || !agent.has_last_seen_at()) continue;
    last = std::max(last.value_or(absl::InfinitePast()), FromProto(agent.last_seen_at()));
  }
  return last;
}

std::vector<v1::AgentStatus> AgentSessions::List() const {
  std::map<AgentKey, v1::AgentStatus> agents = known_;
  for (const auto& [id, session] : sessions_) {
    v1::AgentStatus& status = agents[session->Key()];
    status = session->status;
    *status.mutable_last_seen_at() = ToProto(session->last_seen);
  }
  std::vector<v1::AgentStatus> listed;
  for (auto& [key, status] : agents) listed.push_back(std::move(status));
  return listed;
}

}  // namespace salvor::controlplane
