#include "agent/kubernetes/client/websocket.h"

#include <cstdint>
#include <utility>

namespace salvor::kubernetes {
namespace {

constexpr unsigned char kFinal = 0x80;
constexpr unsigned char kMasked = 0x80;
constexpr size_t kControlAtMost = 125;

unsigned char ByteAt(std::string_view bytes, size_t at) { return static_cast<unsigned char>(bytes[at]); }

bool IsControl(Opcode opcode) { return static_cast<unsigned char>(opcode) >= 8; }

bool IsKnown(unsigned char opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

void AppendBigEndian(std::string& out, uint64_t number, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out += static_cast<char>((number >> shift) & 0xFF);
}

uint64_t BigEndian(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t at = 0; at < bytes.size(); ++at) number = number << 8 | ByteAt(bytes, at);
  return number;
}

}  // namespace

std::string EncodeFrame(Opcode opcode, std::string_view payload, const std::array<char, 4>& mask) {
  std::string frame;
  frame += static_cast<char>(kFinal | static_cast<unsigned char>(opcode));
  if (payload.size() <= 125) {
    frame += static_cast<char>(kMasked | payload.size());
  } else if (payload.size() <= 0xFFFF) {
    frame += static_cast<char>(kMasked | 126);
    AppendBigEndian(frame, payload.size(), 2);
  } else {
    frame += static_cast<char>(kMasked | 127);
    AppendBigEndian(frame, payload.size(), 8);
  }
  frame.append(mask.data(), mask.size());
  for (size_t at = 0; at < payload.size(); ++at)
    frame += static_cast<char>(payload[at] ^ mask[at % mask.size()]);
  return frame;
}

StatusOr<std::optional<WebSocketReader::Frame>> WebSocketReader::NextFrame() {
  const std::optional<Frame> none;
  if (bytes_.size() < 2) return none;
  const unsigned char first = ByteAt(bytes_, 0);
  const unsigned char second = ByteAt(bytes_, 1);
  const unsigned char code = first & 0x0F;
  if ((first & 0x70) != 0 || !IsKnown(code))
    return Internal("the server sent a WebSocket frame of an unknown kind");
  if ((second & kMasked) != 0) return Internal("the server sent a masked WebSocket frame");
  const auto opcode = static_cast<Opcode>(code);
  const int short_size = second & 0x7F;
  const size_t size_bytes = short_size == 126 ? 2 : short_size == 127 ? 8 : 0;
  if (bytes_.size() < 2 + size_bytes) return none;
  const uint64_t size =
      size_bytes == 0 ? short_size : BigEndian(std::string_view(bytes_).substr(2, size_bytes));
  if (IsControl(opcode) && (size > kControlAtMost || (first & kFinal) == 0)) {
    return Internal("the server sent a WebSocket control frame that is too long or in pieces");
  }
  if (size > kMessageAtMost) return ResourceExhausted("the server sent a WebSocket frame of {} bytes", size);
  const size_t head = 2 + size_bytes;
  if (bytes_.size() - head < size) return none;
  Frame frame{(first & kFinal) != 0, opcode, bytes_.substr(head, size)};
  bytes_.erase(0, head + size);
  return std::optional<Frame>(std::move(frame));
}

StatusOr<std::optional<WebSocketMessage>> WebSocketReader::Next() {
  while (true) {
    ASSIGN_OR_RETURN(std::optional<Frame> frame, NextFrame());
    if (!frame) return std::optional<WebSocketMessage>();
    if (IsControl(frame->opcode)) {
      return std::optional(WebSocketMessage{frame->opcode, std::move(frame->payload)});
    }
    if ((frame->opcode == Opcode::kContinuation) != joined_.has_value()) {
      return Internal("the server sent the fragments of a WebSocket message out of order");
    }
    if (!joined_) joined_ = WebSocketMessage{frame->opcode, ""};
    if (joined_->payload.size() + frame->payload.size() > kMessageAtMost) {
      return ResourceExhausted("the server sent a WebSocket message over {} bytes", kMessageAtMost);
    }
    joined_->payload += frame->payload;
    if (frame->is_last) return std::exchange(joined_, std::nullopt);
  }
}

}  // namespace salvor::kubernetes
