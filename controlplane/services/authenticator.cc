#include "controlplane/services/authenticator.h"

#include <utility>

namespace salvor::controlplane {
namespace {

constexpr char kPeople[] = "operator";     // one token, one role
constexpr char kAgents[] = "agent.token";  // one for all who have it
constexpr char kPeoplesHint[] = "Name the file that holds the token with --token-file or SALVOR_TOKEN_FILE.";
constexpr char kAgentsHint[] =
    "Put a valid token into the file that the agent's --token-file names; one is made with: "
    "salvor agent-token create NAME --environment ENVIRONMENT --agent AGENT";

}  // namespace

StatusOr<Principal> Authenticator::FindAgent(const std::string& secret) const {
  if (agents_.Matches(secret)) return Principal{kAgents, std::nullopt};
  ASSIGN_OR_RETURN(v1::Token token, tokens_.Recognise(secret));
  std::string name = token.name();
  return Principal{std::move(name), std::move(token)};
}

StatusOr<Principal> Authenticator::AdmitPerson(const grpc::ServerContextBase& context) const {
  const std::optional<std::string> secret = BearerOf(context);
  if (!secret) return WithHint(Unauthenticated("the call came without a token"), kPeoplesHint);
  if (people_.Matches(*secret)) return Principal{kPeople, std::nullopt};
  const StatusOr<Principal> agent = FindAgent(*secret);
  if (!agent.ok()) return WithHint(agent.status(), kPeoplesHint);
  return WithHint(PermissionDenied("the token {} is an agent's, and this is for people", agent->name),
                  kPeoplesHint);
}

StatusOr<Principal> Authenticator::AdmitAgent(const grpc::ServerContextBase& context) const {
  const std::optional<std::string> secret = BearerOf(context);
  if (!secret) return WithHint(Unauthenticated("the call came without a token"), kAgentsHint);
  StatusOr<Principal> agent = FindAgent(*secret);
  if (agent.ok()) return agent;
  if (people_.Matches(*secret))
    return WithHint(PermissionDenied("the token is people's, and this is for agents"), kAgentsHint);
  return WithHint(agent.status(), kAgentsHint);
}

}  // namespace salvor::controlplane
