// Who calls: by the token that a call brings. People and programs have named tokens of a class; agents have named ones,
// each bound to an environment and to names, and the one of agent.token, which is bound to nothing.
#pragma once

#include <grpcpp/server_context.h>

#include <optional>
#include <string>

#include "base/io/grpc/token.h"
#include "base/status.h"
#include "controlplane/api/principal.h"
#include "controlplane/tokens/token_registry.h"

namespace salvor::controlplane {

struct AgentPrincipal {
  std::string name;                // for logs
  std::optional<v1::Token> token;  // the named one; nothing for that of the state directory
};

// Thread-safe. `tokens` must outlive it.
class Authenticator {
 public:
  Authenticator(Token agents, TokenRegistry& tokens) : agents_(std::move(agents)), tokens_(tokens) {}

  // Unauthenticated without a valid token; PermissionDenied with one of the other kind.
  StatusOr<Principal> AdmitPerson(const grpc::ServerContextBase& context) const;
  StatusOr<AgentPrincipal> AdmitAgent(const grpc::ServerContextBase& context) const;

  // Unauthenticated once the token that this caller came with is revoked: streams ask as they go on.
  Status CheckStillValid(const Principal& who) const;

 private:
  const Token agents_;
  TokenRegistry& tokens_;
};

}  // namespace salvor::controlplane
