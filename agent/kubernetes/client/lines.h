// A stream of bytes as lines. Header-only; not thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor::kubernetes {

// Calls back for each line, without its end ("\n" or "\r\n"), also for an empty one. A line that is longer than
// `at_most` comes in pieces, or is refused with kResourceExhausted.
class Lines {
 public:
  enum class Longer { kInPieces, kRefused };
  using OnLine = std::function<Status(std::string_view line)>;

  Lines(size_t at_most, Longer longer, OnLine on_line)
      : at_most_(at_most), longer_(longer), on_line_(std::move(on_line)) {}

  // An error of the callback ends it; no further call is made then.
  Status Add(std::string_view bytes) {
    while (!bytes.empty()) {
      const size_t end = bytes.find('\n');
      RETURN_IF_ERROR(Append(bytes.substr(0, end)));
      if (end == std::string_view::npos) break;
      RETURN_IF_ERROR(End());
      bytes.remove_prefix(end + 1);
    }
    return OkStatus();
  }

  // The line that the stream ended in, if there is one.
  Status Finish() { return pending_.empty() ? OkStatus() : End(); }

 private:
  Status Append(std::string_view part) {
    while (pending_.size() + part.size() > at_most_) {
      if (longer_ == Longer::kRefused) {
        return ResourceExhausted("a line of the answer is longer than {} bytes", at_most_);
      }
      const size_t fits = at_most_ - pending_.size();
      pending_.append(part.substr(0, fits));
      part.remove_prefix(fits);
      RETURN_IF_ERROR(End());
    }
    pending_.append(part);
    return OkStatus();
  }

  Status End() {
    if (pending_.ends_with('\r')) pending_.pop_back();
    const Status status = on_line_(pending_);
    pending_.clear();
    return status;
  }

  const size_t at_most_;
  const Longer longer_;
  const OnLine on_line_;
  std::string pending_;
};

}  // namespace salvor::kubernetes
