#include "strategies/postgres/on_cluster.h"

#include <fmt/core.h>

#include <set>
#include <string>

#include "base/names.h"

namespace salvor::strategies {
namespace {

constexpr char kConnection[] = "postgres.connection";
constexpr char kSecret[] = "postgres.connection.secret";

// Kubernetes' own grammar of keys.
void CheckKey(const std::string& field, const std::string& key, Problems* problems) {
  static constexpr char kAllowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (key.size() > 253 || key.find_first_not_of(kAllowed) != std::string::npos)
    problems->Add(field, "must be the name of a key in the Secret, never what stands there");
}

}  // namespace

void ValidateServiceAndSecret(const v1::PostgresConnection& connection, Problems* problems) {
  if (!connection.service().empty()) {
    problems->Check(std::string(kConnection) + ".service", CheckObjectName(connection.service()));
    if (!connection.host().empty() || !connection.socket_directory().empty())
      problems->Add(std::string(kConnection) + ".service",
                    "stands instead of host and socketDirectory, not beside them");
  }
  if (!connection.has_secret()) return;
  const v1::ClusterSecret& secret = connection.secret();
  if (secret.name().empty()) {
    problems->AddIncomplete(std::string(kSecret) + ".name", "is needed");
  } else {
    problems->Check(std::string(kSecret) + ".name", CheckDottedName(secret.name(), "a Secret"));
  }
  if (connection.service().empty())
    problems->AddIncomplete(
        kSecret,
        "goes to a Service alone: name connection.service; a server outside of the cluster has "
        "one of the type ExternalName");
  CheckKey(std::string(kSecret) + ".userKey", secret.user_key(), problems);
  CheckKey(std::string(kSecret) + ".passwordKey", secret.password_key(), problems);
  if (!secret.namespace_().empty())
    problems->Check(std::string(kSecret) + ".namespace", CheckObjectName(secret.namespace_()));
  if (!secret.user_key().empty() && !connection.user().empty())
    problems->Add(std::string(kSecret) + ".userKey", "stands instead of connection.user, not beside it");
  if (!connection.passfile().empty())
    problems->Add(kSecret, "is of a cluster, and passfile of a host: name one of them");
}

void ValidateOwnClaims(const v1::PostgresComponent& postgres, Problems* problems) {
  std::set<std::string> seen;
  for (int i = 0; i < postgres.claims_size(); ++i) {
    const std::string field = fmt::format("postgres.claims[{}]", i);
    problems->Check(field, CheckDottedName(postgres.claims(i), "a claim"));
    if (!seen.insert(postgres.claims(i)).second) problems->Add(field, "is there already");
  }
}

std::vector<FieldProblem> ProblemsOnCluster(const v1::Component& component) {
  const v1::PostgresComponent& postgres = component.postgres();
  const v1::PostgresConnection& connection = postgres.connection();
  Problems problems;
  if (!connection.socket_directory().empty())
    problems.Add(std::string(kConnection) + ".socketDirectory",
                 "is of a host, and this environment is a cluster; name the server's Service instead");
  if (!connection.passfile().empty())
    problems.Add(std::string(kConnection) + ".passfile",
                 "is a file of a host, and this environment is a cluster; name connection.secret instead");
  if (postgres.capture() == v1::CAPTURE_VOLUME)
    problems.Add("postgres.capture",
                 "Volume is not there on a cluster in this version; Stream needs no scratch space");
  const std::string& of_secret = connection.secret().namespace_();
  if (!of_secret.empty() && of_secret != component.namespace_())
    problems.Add(std::string(kSecret) + ".namespace", "must be that of the server's Service; leave it out");
  if (component.namespace_().empty())
    problems.Add(
        "namespace",
        "is missing: where the server is; say it here, or once for all components in spec.namespace");
  return problems.Take();
}

std::vector<FieldProblem> ProblemsOnHosts(const v1::Component& component) {
  const v1::PostgresComponent& postgres = component.postgres();
  Problems problems;
  if (!postgres.connection().service().empty())
    problems.Add(std::string(kConnection) + ".service",
                 "is of a cluster, and this environment is a set of hosts; name host or socketDirectory");
  if (postgres.connection().has_secret())
    problems.Add(kSecret, "is of a cluster, and this environment is a set of hosts; name passfile");
  if (!postgres.claims().empty())
    problems.Add("postgres.claims", "are volumes of a cluster, and this environment is a set of hosts");
  return problems.Take();
}

}  // namespace salvor::strategies
