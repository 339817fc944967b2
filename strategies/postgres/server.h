// The server that a component's databases are on, and the one that a drill has for them. Pure.
#pragma once

#include <string>

#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor::strategies {

// The connection as an agent uses it: the Service by its name in the cluster, and the Secret with its namespace. That of a
// host as it was declared.
v1::PostgresConnection ConnectionOf(const v1::Component& component);

// "/run/postgresql:5432": tells one server of a host from another.
std::string ServerName(const v1::PostgresConnection& connection);

// The connection leads to a server of the agent's own host.
bool IsLocal(const v1::PostgresConnection& connection);

// One server of an environment, be it named by an address or be it a named host's own: "web-1//run/postgresql:5432".
std::string ServerIn(const v1::Component& component);

struct DrillServer {
  int number = 1;
  std::string of;  // the first component that was on the same server; empty where all were on one
};

// A drill has one server for each that was backed up: two may have a database of the same name, and roles that differ.
DrillServer DrillServerOf(const v1::Component& component, const v1::Manifest& manifest);

}  // namespace salvor::strategies
