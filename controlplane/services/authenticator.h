// Who calls: by the token that a call brings. People have one token, api.token; agents have named ones, each bound
// to an environment and to names, and the one of agent.token, which is bound to nothing.
#pragma once

#include <grpcpp/server_context.h>

#include <optional>
#include <string>

#include "base/io/grpc/token.h"
#include "base/status.h"
#include "controlplane/tokens/token_registry.h"

namespace salvor::controlplane {

struct Principal {
  std::string name;                // for records and logs: "who"
  std::optional<v1::Token> token;  // the named one; nothing for the two of the state directory
};

// Thread-safe. `tokens` must outlive it.
class Authenticator {
 public:
  Authenticator(Token people, Token agents, TokenRegistry& tokens)
      : people_(std::move(people)), agents_(std::move(agents)), tokens_(tokens) {}

  // Unauthenticated without a valid token; PermissionDenied with one of the other kind.
  StatusOr<Principal> AdmitPerson(const grpc::ServerContextBase& context) const;
  StatusOr<Principal> AdmitAgent(const grpc::ServerContextBase& context) const;

 private:
  // The named or unnamed agent with this token.
  StatusOr<Principal> FindAgent(const std::string& secret) const;

  const Token people_, agents_;
  TokenRegistry& tokens_;
};

}  // namespace salvor::controlplane
