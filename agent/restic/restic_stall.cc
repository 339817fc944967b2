#include "agent/restic/restic_stall.h"

#include <string>

#include "agent/restic/restic_locks.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr absl::Duration kIdleOnAFullDisk = absl::Seconds(10);
// Less than the 5 minutes between restic's refreshes of its lock, which are work.
constexpr absl::Duration kIdleAnywhere = absl::Minutes(3);
// restic 0.14 tries a request 10 times in about 45 s, and a few such one after another.
constexpr absl::Duration kIdleWithoutUpload = absl::Minutes(20);
// restic 0.14 aims at packs of 16 MiB, and a blob of up to 8 MiB may overfill one.
constexpr int64_t kRoomForAPack = int64_t{24} << 20;

}  // namespace

Status JudgeIdleUpload(absl::Duration idle, std::optional<int64_t> free_bytes) {
  if (idle >= kIdleOnAFullDisk && free_bytes.has_value() && *free_bytes < kRoomForAPack) {
    return WithHint(
        MakeStatus(
            absl::StatusCode::kResourceExhausted,
            fmt::format("no space left on device: {} free where the repository is, and the upload stood "
                        "still for {}",
                        HumanBytes(*free_bytes), HumanDuration(idle))),
        "Free space where the repository lives; forgotten backups free theirs when it is pruned.");
  }
  if (idle < kIdleAnywhere) return OkStatus();
  return WithHint(Unavailable("stopped, because the upload stood still for {}", HumanDuration(idle)),
                  "Check that the repository's storage answers and has space.");
}

Status JudgeIdleRestic(absl::Duration idle) {
  if (idle < kIdleWithoutUpload) return OkStatus();
  return WithHint(Unavailable("stopped, because it stood still for {}", HumanDuration(idle)),
                  "Check that the repository's storage answers.");
}

std::optional<int64_t> FreeBytesOfRepository(const v1::ResticLocation& location) {
  const std::optional<std::string> path = LocalDirectory(location);
  if (!path.has_value()) return std::nullopt;
  const StatusOr<int64_t> free_bytes = FreeBytes(*path);
  if (!free_bytes.ok()) return std::nullopt;
  return *free_bytes;
}

}  // namespace salvor::agent
