// Calls of the engine that return once what they asked for is durable, for threads that may wait: those of the transport.
// An error says that it was refused, or that the store could not write it.
#pragma once

#include <string>

#include "controlplane/runs/engine.h"

namespace salvor::controlplane {

// Everything that others began before this call is durable when it returns OK.
Status WaitUntilDurable(Engine& engine);
// AlreadyExists only once the run that is there is durable: whoever is told of it may rely on it.
// FailedPrecondition only once what it refers to is: a deletion that is told of has begun.
Status StartRunAndWait(Engine& engine, v1::RunHeader header, v1::Flow flow,
                       const std::string& backup_location, const verdicts::DeletionTerms& terms = {});
Status CancelRunAndWait(Engine& engine, const std::string& name, const std::string& by,
                        const std::string& reason);
StatusOr<v1::Backup> AcceptBackupAndWait(Engine& engine, const std::string& reference, const std::string& by,
                                         const std::string& reason);

}  // namespace salvor::controlplane
