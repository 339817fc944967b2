// The Secrets of a cluster that connections name, as what libpq takes: the role's name and a password file.
#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <map>
#include <string>

#include "base/status.h"

namespace salvor::agent {

// What stands at the keys of a Secret.
using SecretReader = std::function<StatusOr<std::map<std::string, std::string>>(const std::string& name_space,
                                                                                const std::string& name)>;

// Puts them in place of each Secret that a connection in the message names, wherever that is: a password file in `folder`,
// which is private and is gone with the process's pod. The message then names no Secret, and still holds no secret.
// FailedPrecondition for a connection that leads out of the Secret's own namespace, which nothing is read for; and, naming
// Secret and key, for a key that is not there, is empty, or can't be a password of libpq's.
Status PutSecretsInPlace(google::protobuf::Message& message, const SecretReader& read,
                         const std::string& folder);

// A line of a libpq password file, for every server, database and role. Pure.
std::string PasswordLine(const std::string& password);

}  // namespace salvor::agent
