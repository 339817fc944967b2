// SHA-256 of a file's content, holes included without reading them.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "base/status.h"

namespace salvor::agent {

// SHA-256, 32 bytes, of the first `bytes` bytes of an open regular file. Holes count as the zeros they are. DataLoss
// when the file is shorter, Cancelled on request. `on_bytes` is called with each piece's size; may be null.
StatusOr<std::string> DigestOfFile(int fd, int64_t bytes, std::stop_token stop,
                                   const std::function<void(int64_t)>& on_bytes);

}  // namespace salvor::agent
