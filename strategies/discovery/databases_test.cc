#include "strategies/discovery/databases.h"

#include <gtest/gtest.h>

namespace salvor::strategies {
namespace {

std::string Guess(const std::string& image, const std::vector<int>& own_ports = {},
                  const std::vector<int>& ports = {}) {
  v1::DiscoveredContainer container;
  container.set_image(image);
  for (const int port : own_ports) container.add_ports(port);
  const DatabaseGuess guess = GuessDatabase(container, ports);
  if (guess.engine.empty()) return "";
  return guess.by_image ? guess.engine : guess.engine + " by port " + std::to_string(guess.port);
}

TEST(GuessDatabase, KnowsImagesByTheirNames) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"postgres", "PostgreSQL"},
      {"postgres:16-alpine", "PostgreSQL"},
      {"docker.io/library/Postgres@sha256:00ff", "PostgreSQL"},
      {"registry.example.com:5000/team/postgres16:1", "PostgreSQL"},
      {"localhost/postgresql", "PostgreSQL"},
      {"bitnami/postgresql-repmgr:16", "PostgreSQL"},
      {"pgvector/pgvector:pg16", "PostgreSQL"},
      {"postgis/postgis", "PostgreSQL"},
      {"timescale/timescaledb-ha:pg16", "PostgreSQL"},
      {"ghcr.io/cloudnative-pg/postgresql:16.4", "PostgreSQL"},
      {"percona/percona-postgresql", "PostgreSQL"},
      {"mariadb:11", "MariaDB or MySQL"},
      {"mysql/mysql-server:8.0", "MariaDB or MySQL"},
      {"container-registry.oracle.com/mysql/community-server:8", "MariaDB or MySQL"},
      {"percona:8", "MariaDB or MySQL"},
      {"mongo:7", "MongoDB"},
      {"percona/percona-server-mongodb:7", "MongoDB"},
      {"neo4j:5-enterprise", "Neo4j"},
      {"neo4j/neo4j-admin", ""},
      {"redis:7.2", "Redis"},
      {"valkey/valkey", "Redis"},
      {"opensearchproject/opensearch:2", "Elasticsearch or OpenSearch"},
      {"opensearchproject/opensearch-dashboards:2", ""},
      {"mcr.microsoft.com/mssql/server:2022-latest", "Microsoft SQL Server"},
      {"quay.io/coreos/etcd:v3.5", "etcd"},
      {"", ""},
      {":", ""},
      {"///", ""},
      {"@", ""},
      {"salvor.test/busybox:1", ""},
      {"acme/postgresql.example", "PostgreSQL"},
      {"postgres.example.com/web:1", ""},  // a registry's name is no engine's
      {"acme/mypostgres", ""},
  };
  for (const auto& [image, engine] : table) EXPECT_EQ(Guess(image), engine) << image;
}

TEST(GuessDatabase, TakesNoToolForItsDatabaseWhateverItsPorts) {
  for (const char* image :
       {"prometheuscommunity/postgres-exporter:v0.15", "mongo-express", "bitnami/pgbouncer",
        "dpage/pgadmin-admin", "postgres-operator", "acme/mysql-backup", "redis/redis-insight"})
    EXPECT_EQ(Guess(image, {5432, 3306}), "") << image;
}

TEST(GuessDatabase, KnowsPortsWhereTheImageSaysNothing) {
  EXPECT_EQ(Guess("acme/store:1", {8080, 5432}), "PostgreSQL by port 5432");
  EXPECT_EQ(Guess("acme/store:1", {}, {3306}), "MariaDB or MySQL by port 3306");
  EXPECT_EQ(Guess("acme/store:1", {27017}), "MongoDB by port 27017");
  EXPECT_EQ(Guess("acme/store:1", {6379}), "Redis by port 6379");
  EXPECT_EQ(Guess("acme/store:1", {7687}), "Neo4j by port 7687");
  EXPECT_EQ(Guess("acme/web:1", {80, 443, 8080, 9090}), "");
  EXPECT_EQ(Guess("mariadb:11", {5432}), "MariaDB or MySQL") << "a name says more than a port";
}

}  // namespace
}  // namespace salvor::strategies
