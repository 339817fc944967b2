// Bearer tokens: one for the user API, one for agents, each in a 0600 file.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>

#include <string>

#include "base/status.h"

namespace salvor {

// Holds a secret: nothing prints it.
class Token {
 public:
  explicit Token(std::string secret) : secret_(std::move(secret)) {}

  // The token in this file. With create, a missing file is made with a new random token.
  static StatusOr<Token> Load(const std::string& path, bool create);

  // Unauthenticated unless the call carries this token. Compared in constant time.
  Status Check(const grpc::ServerContextBase& context) const;
  void Attach(grpc::ClientContext& context) const;

 private:
  std::string secret_;
};

}  // namespace salvor
