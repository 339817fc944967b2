// A watch's lines as events, and how far it has come. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

// Whether the version is newer than the other. Versions are compared as numbers where both are numbers, as those of
// every API server over etcd are; others are newer when they differ.
bool IsNewer(std::string_view version, std::string_view than);

// Follows one watch over all its connections. Not thread-safe.
class WatchProgress {
 public:
  explicit WatchProgress(std::string resource_version) : resource_version_(std::move(resource_version)) {}

  // The event in a line; nothing for a bookmark, and for an event that is not newer than the last one: a server that
  // lags behind repeats what another has told. An error: the server's own (IsGone …), or kInternal where the line is
  // none of a watch.
  StatusOr<std::optional<Event>> Read(std::string_view line, const ApiRequest& request);

  // Where a new connection goes on.
  const std::string& ResourceVersion() const { return resource_version_; }

 private:
  std::string resource_version_;
};

}  // namespace salvor::kubernetes
