#include "strategies/postgres/server.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace salvor::strategies {
namespace {

constexpr int kDefaultPort = 5432;

}  // namespace

v1::PostgresConnection ConnectionOf(const v1::Component& component) {
  v1::PostgresConnection connection = component.postgres().connection();
  if (!connection.service().empty()) {
    connection.set_host(fmt::format("{}.{}.svc", connection.service(), component.namespace_()));
    connection.clear_service();
  }
  if (connection.has_secret() && connection.secret().namespace_().empty())
    connection.mutable_secret()->set_namespace_(component.namespace_());
  return connection;
}

std::string ServerName(const v1::PostgresConnection& connection) {
  const std::string& place = connection.host().empty() ? connection.socket_directory() : connection.host();
  return fmt::format("{}:{}", place, connection.port() == 0 ? kDefaultPort : connection.port());
}

bool IsLocal(const v1::PostgresConnection& connection) {
  const std::string& host = connection.host();
  return host.empty() || host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

std::string ServerIn(const v1::Component& component) {
  const v1::PostgresConnection connection = ConnectionOf(component);
  const std::string host = IsLocal(connection) && !component.host().empty() ? component.host() + "/" : "";
  return host + ServerName(connection);
}

DrillServer DrillServerOf(const v1::Component& component, const v1::Manifest& manifest) {
  std::vector<std::pair<std::string, std::string>> servers;  // each with its first component
  for (const v1::Component& one : manifest.components()) {
    if (!one.has_postgres()) continue;
    const auto is_same = [server = ServerIn(one)](const auto& known) { return known.first == server; };
    if (std::none_of(servers.begin(), servers.end(), is_same))
      servers.emplace_back(ServerIn(one), one.name());
  }
  const std::string server = ServerIn(component);
  DrillServer found;
  for (size_t i = 0; i < servers.size() && servers.size() > 1; ++i) {
    if (servers[i].first == server) found = {static_cast<int>(i) + 1, servers[i].second};
  }
  return found;
}

}  // namespace salvor::strategies
