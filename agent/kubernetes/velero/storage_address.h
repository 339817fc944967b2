// Where an agent reads Velero's records of a Backup, as far as the storage location says it before there is a Backup. Pure.
#pragma once

#include <string>

#include "agent/kubernetes/velero/reading.h"

namespace salvor::velero {

// The address whose certificate the agent has to trust: "https://minio.example:9000/", and with the bucket in its name
// where Velero signs such addresses. "" where the location does not say it: one of a public cloud, whose certificates every
// machine trusts, one over HTTP, and one of a plug-in that is not known.
std::string RecordsAddress(const Json& location);

}  // namespace salvor::velero
