// Bytes of a tool's output as lines. Header-only; not thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace salvor::agent {

// Calls back once a line, without its end ("\n", "\r" or both); lines over 64 KiB come in pieces. Without a
// callback it does nothing.
class LineSplitter {
 public:
  using Callback = std::function<void(std::string_view line)>;

  LineSplitter() = default;
  explicit LineSplitter(Callback on_line) : on_line_(std::move(on_line)) {}

  void Add(std::string_view bytes) {
    if (!on_line_) return;
    while (!bytes.empty()) {
      const size_t end = bytes.find_first_of("\r\n");
      pending_.append(bytes.substr(0, end));
      if (end == std::string_view::npos) break;
      End();
      bytes.remove_prefix(end + 1);
    }
    if (pending_.size() >= kLongestLine) End();
  }

  // Gives the rest when the output has ended without an end of line. Empty lines are not worth a call.
  void End() {
    if (on_line_ && !pending_.empty()) on_line_(pending_);
    pending_.clear();
  }

 private:
  static constexpr size_t kLongestLine = 64 << 10;
  Callback on_line_;
  std::string pending_;
};

}  // namespace salvor::agent
