// Addresses to listen at and to connect to, with the rule that nothing leaves the machine unencrypted.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "base/status.h"

namespace salvor {

// "unix:///run/salvor/salvord.sock", "127.0.0.1:7420", "salvor.example:7420".
struct Endpoint {
  std::string address;      // as gRPC wants it
  bool local = false;       // a unix socket or a loopback address: needs no TLS
  std::string socket_path;  // of a unix socket
};
StatusOr<Endpoint> ParseEndpoint(const std::string& text);

struct TlsFiles {
  std::string certificate;  // PEM; server
  std::string private_key;  // PEM, 0600; server
  std::string authorities;  // PEM; client: whom to trust
  bool Empty() const { return certificate.empty() && private_key.empty() && authorities.empty(); }
};

// Where metrics are served, from host:port. They have no TLS and ask for no token, so beyond this machine they are served
// only where that is said: FailedPrecondition otherwise.
StatusOr<std::string> MetricsAddress(const std::string& text, bool open);

// FailedPrecondition for an endpoint beyond this machine without TLS, with the reason.
StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(const Endpoint& endpoint,
                                                                        const TlsFiles& tls);
StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFor(const Endpoint& endpoint,
                                                                          const TlsFiles& tls);

}  // namespace salvor
