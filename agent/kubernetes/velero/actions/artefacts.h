// Velero's records of a Backup, fetched from the storage location as the velero command does: Velero signs an address,
// and the agent gets it, for it is often reachable from inside of the cluster only.
#pragma once

#include <string>
#include <string_view>

#include "agent/kubernetes/velero/actions/cluster.h"

namespace salvor::velero {

// An address over HTTP or HTTPS, without redirects, in bounded time and size. NotFound when nothing is there, Unavailable for
// other answers, FailedPrecondition where this machine does not trust the certificate. The address is a key to what it leads to: no message has it.
StatusOr<std::string> DownloadSigned(const std::string& url, const kubernetes::Call& call);

// The content of a gzip file. DataLoss for what is none or is cut short; ResourceExhausted beyond `at_most` bytes.
StatusOr<std::string> Gunzip(std::string_view compressed, size_t at_most);

// One record of a Backup or a Restore, decompressed; `kind` as Velero calls it ("BackupResults", "RestoreResults").
// The request is removed afterwards; one that a killed agent leaves, Velero removes after ten minutes. NotFound when
// Velero signs an address that leads to nothing.
StatusOr<std::string> FetchRecord(kubernetes::Kubernetes& cluster, const std::string& velero_namespace,
                                  const std::string& name, const std::string& kind,
                                  const VeleroOptions& options, const kubernetes::Call& call);

}  // namespace salvor::velero
