#include "agent/kubernetes/client/exec_protocol.h"

#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <fmt/core.h>
#include <openssl/evp.h>

#include <charconv>

#include "base/redact.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

constexpr char kAcceptSuffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
constexpr size_t kMessageAtMost = 1024;

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  absl::AsciiStrToLower(&lower);
  return lower;
}

void TakeHeader(std::string_view line, UpgradeAnswer& answer) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = Lower(line.substr(0, colon));
  const std::string_view value = Trim(line.substr(colon + 1));
  if (name == "retry-after") answer.retry_after = value;
  if (name == "content-length") answer.content_length = ParseNumber<size_t>(value);
  if (name == "sec-websocket-accept") answer.accept = value;
  if (name == "sec-websocket-protocol") answer.protocol = value;
}

}  // namespace

std::string UpgradeRequest(std::string_view host, std::string_view path, std::string_view key,
                           std::string_view token) {
  std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: salvor\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: {}\r\n",
      path, host, key, kExecProtocol);
  if (!token.empty()) request += fmt::format("Authorization: Bearer {}\r\n", token);
  return request + "\r\n";
}

StatusOr<UpgradeAnswer> ParseUpgradeAnswer(std::string_view head) {
  UpgradeAnswer answer;
  bool is_first = true;
  for (const std::string& line : Split(head, '\n')) {
    if (!is_first) {
      TakeHeader(line, answer);
      continue;
    }
    is_first = false;
    if (!line.starts_with("HTTP/1.") || line.size() < 12)
      return Unavailable("the server's answer is no HTTP");
    answer.status = ParseNumber<int>(std::string_view(line).substr(9, 3)).value_or(0);
  }
  if (answer.status < 100) return Unavailable("the server's answer is no HTTP");
  return answer;
}

Status CheckUpgrade(const UpgradeAnswer& answer, std::string_view key) {
  if (answer.accept != AcceptFor(key)) return Unavailable("the answer belongs to another connection");
  if (answer.protocol == kExecProtocol) return OkStatus();
  return WithHint(FailedPrecondition("the API server does not speak {}", kExecProtocol),
                  "Kubernetes 1.30 or newer is needed to run commands in pods.");
}

std::string AcceptFor(std::string_view key) {
  const std::string text = std::string(key) + kAcceptSuffix;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) != 1) return "";
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(digest), size));
}

StatusOr<int> ExitCodeIn(std::string_view status_json) {
  const Json status = Json::parse(status_json, nullptr, /*allow_exceptions=*/false);
  const std::string outcome = TextAt(status, {"status"});
  if (outcome == "Success") return 0;
  if (outcome != "Failure") return Internal("the API server sent no status for the command");
  if (TextAt(status, {"reason"}) == "NonZeroExitCode" && status.contains("details") &&
      status["details"].is_object()) {
    const Json causes = status["details"].value("causes", Json::array());
    for (const Json& cause : causes) {
      if (TextAt(cause, {"reason"}) != "ExitCode") continue;
      if (const auto code = ParseNumber<int>(TextAt(cause, {"message"}))) return *code;
    }
  }
  const std::string message = TextAt(status, {"message"});
  return FailedPrecondition("{}", message.empty() ? "the command could not be run"
                                                  : ReportableText(CleanText(message), kMessageAtMost));
}

}  // namespace salvor::kubernetes
