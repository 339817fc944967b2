// Bearer tokens: one for the user API, one for agents, each in a 0600 file.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor {

// Holds a secret: nothing prints it.
class Token {
 public:
  explicit Token(std::string secret) : secret_(std::move(secret)) {}

  // The token in this file. With create, a missing file is made with a new random token.
  static StatusOr<Token> Load(const std::string& path, bool create);

  // Whether this is the token. Compared in constant time.
  bool Matches(std::string_view secret) const;
  void Attach(grpc::ClientContext& context) const;

 private:
  std::string secret_;
};

// The token that a call came with; nothing when it came without one.
std::optional<std::string> BearerOf(const grpc::ServerContextBase& context);

}  // namespace salvor
