// What runs in a namespace, read from the objects of the cluster: the facts from which a declaration is proposed. Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/kubernetes/velero/claims.h"
#include "agent/kubernetes/velero/preflight.h"
#include "agent/kubernetes/velero/reading.h"
#include "salvor/v1/discovery.pb.h"

namespace salvor::velero {

// Objects of one kind that make pods: {"Deployment", …}. A list does not say the kind of its items everywhere.
struct WorkloadObjects {
  std::string kind;
  std::vector<Json> objects;
};

// The objects of one namespace, as the API server has them.
struct NamespaceObjects {
  NamespaceFacts name_space;
  std::vector<Claim> claims;
  std::vector<v1::VeleroVolume> volumes;  // of the claims, with their methods decided
  std::vector<Json> pods, services;
  std::vector<WorkloadObjects> workloads;
};

// The facts, in the order of names. A pod belongs to the workload that its controller leads to; one that has ended is
// left out. Texts are valid UTF-8 and cut at 300 bytes.
v1::Discovery ReadDiscovery(const NamespaceObjects& objects);

// What to do where the API server refused a list for want of a right, by the server's own words, which name who asked.
std::string HintToOptIn(const std::string& refusal, const std::string& name_space);

}  // namespace salvor::velero
