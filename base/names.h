// Names from outside are hostile: what each kind of name may look like, and how ours are made. Pure.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor {

// DNS label, as for Kubernetes objects: [a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?
Status CheckObjectName(std::string_view name);

// DNS subdomain, as for objects of Kubernetes that are not ours: at most 253 characters, and with dots between its
// parts. `of` is for the message: "a claim".
Status CheckDottedName(std::string_view name, std::string_view of);

// One object's name, or the beginning of several and a '*' after it: "web-1", "node-*", "*".
Status CheckNameOrBeginning(std::string_view pattern);

// Anything PostgreSQL can name a database but what tools could mistake for something else: no leading '-',
// no control characters, at most 63 bytes. Values go to libpq as separate key/values, never into a conninfo.
Status CheckDatabaseName(std::string_view name);

// Absolute, without "." or ".." components, without NUL.
Status CheckAbsolutePath(std::string_view path);

// "backup-shop-20261121-101500-4f2a": sorts by time within an application. `entropy` decides the last part. It is an
// object's name for every application: of a long one it has the beginning. Unique only by asking what exists.
std::string MakeRunName(std::string_view kind, std::string_view application, absl::Time now,
                        uint64_t entropy);

// The name of the agent on a node of a cluster, the same after every restart: "salvor-node-" and the node's. A node may
// have dots in its name, and more characters than an object: then the end is a digest of the whole. InvalidArgument for
// what is no node's name.
StatusOr<std::string> MakeNodeAgentName(std::string_view node);

// A part of a step or artifact id from any text: [a-z0-9.-] only, never empty; not unique by itself.
std::string Slug(std::string_view text);

}  // namespace salvor
