// The channels of v5.channel.k8s.io inside of WebSocket messages, and the handshake that agrees on them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

// The only protocol offered: v4 cannot end the command's input, and leaks in old containerds.
inline constexpr char kExecProtocol[] = "v5.channel.k8s.io";

enum class Channel : unsigned char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3 };

inline constexpr std::string_view kEndOfStdin("\xFF\x00", 2);  // the half close that v5 added

// The request that turns a connection into a WebSocket; `key` is 16 random bytes in base64, `token` may be empty.
std::string UpgradeRequest(std::string_view host, std::string_view path, std::string_view key,
                           std::string_view token);

// The head of an HTTP answer.
struct UpgradeAnswer {
  int status = 0;
  std::string retry_after;
  std::optional<size_t> content_length;
  std::string accept;
  std::string protocol;
};

// `head` is all up to the empty line. kUnavailable where it is no HTTP.
StatusOr<UpgradeAnswer> ParseUpgradeAnswer(std::string_view head);

// Whether an answer with status 101 is one to our key, and speaks our protocol.
Status CheckUpgrade(const UpgradeAnswer& answer, std::string_view key);

// The value of Sec-WebSocket-Accept that belongs to a key.
std::string AcceptFor(std::string_view key);

// The exit code in the Status that ends the error channel; an error where the command could not be run.
StatusOr<int> ExitCodeIn(std::string_view status_json);

}  // namespace salvor::kubernetes
