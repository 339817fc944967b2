#include "controlplane/transport/authenticator.h"

#include <utility>

namespace salvor::controlplane {
namespace {

constexpr char kAgents[] = "agent.token";  // one for all who have it
constexpr char kPeoplesHint[] = "Name the file that holds the token with --token-file or SALVOR_TOKEN_FILE.";
constexpr char kAgentsHint[] =
    "Put a valid token into the file that the agent's --token-file names; one is made with: "
    "salvor agent-token create NAME --environment ENVIRONMENT --agent AGENT";

Status NotForPeople(const std::string& name) {
  return WithHint(PermissionDenied("the token {} is an agent's, and this is for people", name), kPeoplesHint);
}

}  // namespace

StatusOr<Principal> Authenticator::AdmitPerson(const grpc::ServerContextBase& context) const {
  const std::optional<std::string> secret = BearerOf(context);
  if (!secret) return WithHint(Unauthenticated("the call came without a token"), kPeoplesHint);
  if (agents_.Matches(*secret)) return NotForPeople(kAgents);
  const StatusOr<v1::Token> token = tokens_.Recognise(*secret);
  if (!token.ok()) return WithHint(token.status(), kPeoplesHint);
  if (token->kind() != v1::TOKEN_KIND_USER) return NotForPeople(token->name());
  return Principal{token->name(), token->token_class()};
}

StatusOr<AgentPrincipal> Authenticator::AdmitAgent(const grpc::ServerContextBase& context) const {
  const std::optional<std::string> secret = BearerOf(context);
  if (!secret) return WithHint(Unauthenticated("the call came without a token"), kAgentsHint);
  if (agents_.Matches(*secret)) return AgentPrincipal{kAgents, std::nullopt};
  StatusOr<v1::Token> token = tokens_.Recognise(*secret);
  if (!token.ok()) return WithHint(token.status(), kAgentsHint);
  if (token->kind() != v1::TOKEN_KIND_AGENT) {
    return WithHint(PermissionDenied("the token {} is a person's, and this is for agents", token->name()),
                    kAgentsHint);
  }
  std::string name = token->name();
  return AgentPrincipal{std::move(name), *std::move(token)};
}

Status Authenticator::CheckStillValid(const Principal& who) const {
  if (!tokens_.IsRevoked(who.name)) return OkStatus();
  return WithHint(Unauthenticated("the token {} was revoked", who.name), kPeoplesHint);
}

}  // namespace salvor::controlplane
