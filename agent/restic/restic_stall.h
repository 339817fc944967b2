// Says what it means when restic stands still.
//
// restic 0.14 that fails to write its last pack can wait for its own dead uploader for ever, without a word
// (internal/archiver's Flush takes the context that no failure cancels): seen in about 1 of 20 backups into a
// full file system on a busy machine.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <optional>

#include "base/status.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// Pure. Ok: go on waiting. ResourceExhausted: it has been idle for a while and the repository's file system
// has no room for another pack. Unavailable: idle for minutes, whatever the reason. `free_bytes`: where
// known.
Status JudgeIdleUpload(absl::Duration idle, std::optional<int64_t> free_bytes);

// Pure. Judges any other work of restic, which waits for its storage alone (reading for a restore, listing,
// forgetting): Unavailable once it has been idle for 20 minutes. As a pipe's producer it is idle only while everything
// it gave has been taken.
Status JudgeIdleRestic(absl::Duration idle);

// Known for a repository in this host's file system; nothing for the others.
std::optional<int64_t> FreeBytesOfRepository(const v1::ResticLocation& location);

}  // namespace salvor::agent
