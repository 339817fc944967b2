// Whether this machine would read from a storage location, asked before there is anything to read.
#pragma once

#include <string>

#include "agent/kubernetes/client/kubernetes.h"
#include "base/status.h"

namespace salvor::velero {

// Connects to that address, which begins with https://, and sends nothing. FailedPrecondition, with libcurl's reason, where
// this machine does not trust the certificate that is shown; Unavailable where nobody speaks TLS there. `authorities` is
// the file of those that are trusted, "" for the machine's own, as DownloadSigned has them.
Status CheckCertificate(const std::string& address, const kubernetes::Call& call,
                        const std::string& authorities = "");

}  // namespace salvor::velero
