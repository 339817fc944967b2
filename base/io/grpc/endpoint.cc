#include "base/io/grpc/endpoint.h"

#include <arpa/inet.h>

#include "base/io/files.h"

namespace salvor {
namespace {

bool IsLoopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]" || host == "::1") return true;
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

Status WantsTls(const Endpoint& endpoint, const char* option) {
  return WithHint(
      FailedPrecondition("{} is reachable beyond this machine and would be unencrypted", endpoint.address),
      fmt::format("Give {}, or use a unix socket or a loopback address.", option));
}

}  // namespace

StatusOr<Endpoint> ParseEndpoint(const std::string& text) {
  if (text.rfind("unix://", 0) == 0) {
    std::string path = text.substr(7);
    // gRPC takes "//" at the beginning for the name of a host.
    while (path.rfind("//", 0) == 0) path.erase(0, 1);
    if (path.empty() || path[0] != '/')
      return InvalidArgument("'{}': a unix socket needs an absolute path, as in unix:///run/salvord.sock",
                             text);
    if (path.size() > 107)
      return InvalidArgument("'{}': the path of a unix socket has at most 107 bytes", text);
    return Endpoint{"unix:" + path, true, path};
  }
  const auto colon = text.rfind(':');
  const std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool number = !port.empty() && port.size() <= 5 &&
                      port.find_first_not_of("0123456789") == std::string::npos && std::stoi(port) <= 65535;
  if (host.empty() || !number) {
    return InvalidArgument("'{}' is no endpoint: write unix:///path, or host:port", text);
  }
  return Endpoint{text, IsLoopback(host), ""};
}

StatusOr<std::string> MetricsAddress(const std::string& text, bool open) {
  ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(text));
  if (!endpoint.socket_path.empty())
    return WithHint(InvalidArgument("metrics are served by HTTP, and not at a unix socket"),
                    "Give --metrics-listen as host:port.");
  if (!endpoint.local && !open)
    return WithHint(
        FailedPrecondition("metrics on {} would be reachable beyond this machine", endpoint.address),
        "Listen on a loopback address; or allow it with --metrics-open, where none but your monitoring "
        "reaches that address.");
  return endpoint.address;
}

StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFor(const Endpoint& endpoint,
                                                                        const TlsFiles& tls) {
  if (tls.certificate.empty() && tls.private_key.empty()) {
    if (!endpoint.local) return WantsTls(endpoint, "--tls-certificate and --tls-private-key");
    return grpc::InsecureServerCredentials();
  }
  grpc::SslServerCredentialsOptions options;
  ASSIGN_OR_RETURN_IN(const std::string certificate, ReadFile(tls.certificate), "TLS certificate");
  RETURN_IF_ERROR_IN(CheckSecretFile(tls.private_key), "TLS private key");
  ASSIGN_OR_RETURN_IN(const std::string key, ReadFile(tls.private_key), "TLS private key");
  options.pem_key_cert_pairs.push_back({key, certificate});
  return grpc::SslServerCredentials(options);
}

StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFor(const Endpoint& endpoint,
                                                                          const TlsFiles& tls) {
  if (tls.authorities.empty()) {
    if (!endpoint.local) return WantsTls(endpoint, "--ca-file");
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions options;
  ASSIGN_OR_RETURN_IN(options.pem_root_certs, ReadFile(tls.authorities), "certificate authorities");
  return grpc::SslCredentials(options);
}

}  // namespace salvor
