#include "strategies/discovery/databases.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace salvor::strategies {
namespace {

struct Engine {
  std::string_view name;
  std::vector<std::string_view> words;  // of an image's name
  std::vector<int> ports;
};

const std::vector<Engine>& Engines() {
  static const auto* const engines = new std::vector<Engine>{
      {"PostgreSQL",
       {"postgres", "postgresql", "postgis", "pgvector", "timescaledb", "timescale", "spilo"},
       {5432}},
      {"MongoDB", {"mongo", "mongodb", "mongod"}, {27017}},
      {"MariaDB or MySQL", {"mariadb", "mysql", "percona"}, {3306}},
      {"Neo4j", {"neo4j"}, {7474, 7687}},
      {"Redis", {"redis", "valkey", "keydb", "dragonfly"}, {6379}},
      {"Elasticsearch or OpenSearch", {"elasticsearch", "opensearch"}, {9200}},
      {"ClickHouse", {"clickhouse"}, {}},
      {"Cassandra", {"cassandra", "scylla", "scylladb"}, {9042}},
      {"CockroachDB", {"cockroach", "cockroachdb"}, {26257}},
      {"InfluxDB", {"influxdb"}, {}},
      {"etcd", {"etcd"}, {2379}},
      {"CouchDB", {"couchdb"}, {5984}},
      {"Microsoft SQL Server", {"mssql"}, {1433}},
  };
  return *engines;
}

// What stands beside databases and is none.
constexpr std::array<std::string_view, 21> kTools = {
    "admin",   "adminer",    "agent",    "backup",    "bouncer", "client",  "commander",
    "compass", "dashboards", "exporter", "express",   "init",    "insight", "kibana",
    "manager", "metrics",    "operator", "pgbouncer", "pooler",  "proxy",   "ui"};

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

// "registry:5000/bitnami/postgresql:16@sha256:…" without registry, tag and digest: "bitnami/postgresql".
std::string RepositoryOf(const std::string& image) {
  std::string name = image.substr(0, image.find('@'));
  const size_t slash = name.rfind('/');
  const size_t tag = name.find(':', slash == std::string::npos ? 0 : slash);
  if (tag != std::string::npos) name.resize(tag);
  const size_t first = name.find('/');
  const std::string host = name.substr(0, first == std::string::npos ? 0 : first);
  const bool is_host =
      host.find('.') != std::string::npos || host.find(':') != std::string::npos || host == "localhost";
  return Lower(is_host ? name.substr(first + 1) : name);
}

// Words of letters and digits; digits at a word's end are a version, unless the word is known with them ("neo4j").
std::vector<std::string> WordsOf(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    const bool in_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (in_word) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  for (std::string& word : words) {
    const size_t end = word.find_last_not_of("0123456789");
    if (end != std::string::npos) word.resize(end + 1);
  }
  return words;
}

template <typename List>
bool HasAny(const std::vector<std::string>& words, const List& wanted) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::find(wanted.begin(), wanted.end(), word) != wanted.end();
  });
}

}  // namespace

DatabaseGuess GuessDatabase(const v1::DiscoveredContainer& container, const std::vector<int>& ports) {
  const std::string repository = RepositoryOf(container.image());
  const size_t slash = repository.rfind('/');
  const std::vector<std::string> last =
      WordsOf(slash == std::string::npos ? repository : repository.substr(slash + 1));
  if (HasAny(last, kTools)) return {};
  for (const Engine& engine : Engines()) {
    if (HasAny(last, engine.words)) return {std::string(engine.name), true, 0};
  }
  // "mysql/server": the last part alone says nothing.
  if (slash != std::string::npos &&
      HasAny(last, std::array<std::string_view, 3>{"server", "community", "enterprise"})) {
    const std::vector<std::string> before = WordsOf(repository.substr(0, slash));
    for (const Engine& engine : Engines()) {
      if (HasAny(before, engine.words)) return {std::string(engine.name), true, 0};
    }
  }
  std::vector<int> served(container.ports().begin(), container.ports().end());
  served.insert(served.end(), ports.begin(), ports.end());
  for (const Engine& engine : Engines()) {
    for (const int port : engine.ports) {
      if (std::find(served.begin(), served.end(), port) != served.end())
        return {std::string(engine.name), false, port};
    }
  }
  return {};
}

}  // namespace salvor::strategies
