// The access in use, read again as files change. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "agent/kubernetes/client/cluster_access.h"
#include "base/io/mutex.h"
#include "base/steady_time.h"

namespace salvor::kubernetes {

class AccessCache {
 public:
  explicit AccessCache(AccessLoader load) : load_(std::move(load)) {}

  // The access, at most a minute old. Where it cannot be read any more, the last one that could stays in use, and the
  // log says so: kubelet replaces tokens long before they expire.
  StatusOr<std::shared_ptr<const ClusterAccess>> Current(SteadyTime now);

  // The server refused this one (401): the next Current reads anew, unless that has happened already.
  void Refused(const std::shared_ptr<const ClusterAccess>& access);

 private:
  const AccessLoader load_;
  Mutex mutex_;
  std::shared_ptr<const ClusterAccess> access_ ABSL_GUARDED_BY(mutex_);
  SteadyTime fresh_until_ ABSL_GUARDED_BY(mutex_) = SteadyTime::InfinitePast();
};

}  // namespace salvor::kubernetes
