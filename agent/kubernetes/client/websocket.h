// Frames of the WebSocket protocol (RFC 6455), as a client writes and reads them. Pure.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor::kubernetes {

enum class Opcode : unsigned char {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

// One whole frame, masked with these four random bytes, as a client must.
std::string EncodeFrame(Opcode opcode, std::string_view payload, const std::array<char, 4>& mask);

// A message, joined from its frames, or a control frame.
struct WebSocketMessage {
  Opcode opcode;
  std::string payload;
};

// Takes bytes as they come, and gives messages.
class WebSocketReader {
 public:
  static constexpr size_t kMessageAtMost = 8 << 20;

  void Add(std::string_view bytes) { bytes_.append(bytes); }

  // The next whole message; nothing while its bytes are not all there. kInternal when the server breaks the protocol
  // (a masked frame, reserved bits, a fragment of nothing), kResourceExhausted for a message over kMessageAtMost:
  // both are final.
  StatusOr<std::optional<WebSocketMessage>> Next();

 private:
  struct Frame {
    bool is_last;
    Opcode opcode;
    std::string payload;
  };
  StatusOr<std::optional<Frame>> NextFrame();

  std::string bytes_;
  std::optional<WebSocketMessage> joined_;  // the fragments so far
};

}  // namespace salvor::kubernetes
