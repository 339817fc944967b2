#include "agent/kubernetes/client/access_cache.h"

#include <utility>

#include "base/io/log.h"

namespace salvor::kubernetes {
namespace {

constexpr absl::Duration kFresh = absl::Minutes(1);

}  // namespace

StatusOr<std::shared_ptr<const ClusterAccess>> AccessCache::Current(SteadyTime now) {
  MutexLock lock(mutex_);
  if (access_ != nullptr && now < fresh_until_) return access_;
  StatusOr<ClusterAccess> loaded = load_();
  if (!loaded.ok() && access_ == nullptr) return loaded.status();
  if (loaded.ok()) {
    access_ = std::make_shared<const ClusterAccess>(*std::move(loaded));
  } else {
    LogWarning("the access to the Kubernetes API could not be read again: {}", MessageOf(loaded.status()));
  }
  fresh_until_ = now + kFresh;
  return access_;
}

void AccessCache::Refused(const std::shared_ptr<const ClusterAccess>& access) {
  MutexLock lock(mutex_);
  if (access_ == access) fresh_until_ = SteadyTime::InfinitePast();
}

}  // namespace salvor::kubernetes
