// What a component's declaration says of a cluster: the Service, the Secret, and the claims of the server itself. Pure.
#pragma once

#include <vector>

#include "salvor/v1/object.pb.h"
#include "strategies/interface/declarations.h"

namespace salvor::strategies {

// Their grammar, and what they cannot stand beside.
void ValidateServiceAndSecret(const v1::PostgresConnection& connection, Problems* problems);
void ValidateOwnClaims(const v1::PostgresComponent& postgres, Problems* problems);

// What a component that is on a cluster has of a host, or lacks; and what one on hosts has of a cluster.
std::vector<FieldProblem> ProblemsOnCluster(const v1::Component& component);
std::vector<FieldProblem> ProblemsOnHosts(const v1::Component& component);

}  // namespace salvor::strategies
