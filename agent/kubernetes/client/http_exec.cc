#include "agent/kubernetes/client/http_exec.h"

#include <absl/strings/escaping.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <utility>

#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/curl_access.h"
#include "agent/kubernetes/client/exec_protocol.h"
#include "agent/kubernetes/client/websocket.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

constexpr size_t kHeadAtMost = 64 << 10;
constexpr size_t kErrorBodyAtMost = 1 << 20;
constexpr size_t kPiece = 32 << 10;
constexpr int kPiecesInARow = 32;
constexpr size_t kUnsentAtMost = 256 << 10;  // then the command's input is not read
constexpr absl::Duration kHandshakeAtMost = absl::Minutes(1);

std::string HostOf(const std::string& server) {
  const std::string host = server.substr(server.find("://") + 3);
  return host.substr(0, host.find('/'));
}

std::string PathPrefixOf(const std::string& server) {
  const size_t slash = server.find('/', server.find("://") + 3);
  return slash == std::string::npos ? std::string() : server.substr(slash);
}

// A connection that libcurl opened (TLS, client certificates, proxy) and that is ours from then on. Nothing blocks
// but Wait.
class Wire {
 public:
  Wire() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), easy_(NewCurlEasy()) {}

  // The connect is libcurl's, which asks OnProgress whether to go on.
  Status Open(const ClusterAccess& access, const Call& call) {
    if (!easy_ || !wake_.Valid()) return Internal("libcurl does not start");
    char error_text[CURL_ERROR_SIZE];
    SetAccess(easy_.get(), access, access.server, error_text);
    curl_easy_setopt(easy_.get(), CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy_.get(), CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy_.get(), CURLOPT_XFERINFOFUNCTION, OnProgress);
    curl_easy_setopt(easy_.get(), CURLOPT_XFERINFODATA, &call);
    const CURLcode code = curl_easy_perform(easy_.get());
    curl_easy_setopt(easy_.get(), CURLOPT_ERRORBUFFER, nullptr);
    RETURN_IF_ERROR(CheckCall(call, "connect"));
    if (code != CURLE_OK) return CurlError(code, error_text);
    curl_easy_getinfo(easy_.get(), CURLINFO_ACTIVESOCKET, &socket_);
    return OkStatus();
  }

  void Write(std::string bytes) {
    unsent_bytes_ += bytes.size();
    unsent_.push_back(std::move(bytes));
  }
  size_t Unsent() const { return unsent_bytes_; }

  // Sends what the socket takes now. A piece that was not taken stays where it is, whole and unmoved: OpenSSL wants the
  // same bytes from the same place again, else the connection is broken ("bad write retry").
  Status Flush() {
    while (!unsent_.empty()) {
      const std::string& front = unsent_.front();
      size_t sent = 0;
      const CURLcode code =
          curl_easy_send(easy_.get(), front.data() + front_sent_, front.size() - front_sent_, &sent);
      if (code == CURLE_AGAIN) return OkStatus();
      if (code != CURLE_OK) return Unavailable("the connection broke: {}", curl_easy_strerror(code));
      unsent_bytes_ -= sent;
      front_sent_ += sent;
      if (front_sent_ < front.size()) continue;
      unsent_.pop_front();
      front_sent_ = 0;
    }
    return OkStatus();
  }

  // Appends what has come, at most a piece. False: nothing is there now. kUnavailable: the server closed the
  // connection.
  StatusOr<bool> Read(std::string& into) {
    std::array<char, kPiece> piece;
    size_t count = 0;
    const CURLcode code = curl_easy_recv(easy_.get(), piece.data(), piece.size(), &count);
    if (code == CURLE_AGAIN) return false;
    if (code != CURLE_OK) return Unavailable("the connection broke: {}", curl_easy_strerror(code));
    if (count == 0) return Unavailable("the server closed the connection");
    into.append(piece.data(), count);
    return true;
  }

  // Waits until the socket can go on, `input` (unless -1) has something, the call is stopped, or the time is over.
  // True when it is the input.
  bool Wait(int input, SteadyTime until, const Call& call) {
    const std::stop_callback wake(call.stop, [this] { ::eventfd_write(wake_.Get(), 1); });
    const short events = unsent_.empty() ? POLLIN : POLLIN | POLLOUT;
    std::array<pollfd, 3> fds = {pollfd{socket_, events, 0}, pollfd{wake_.Get(), POLLIN, 0},
                                 pollfd{input, POLLIN, 0}};
    const absl::Duration left =
        std::min({until - SteadyNow(), call.deadline - SteadyNow(), absl::Seconds(5)});
    const int64_t wait_ms = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::max<int64_t>(0, wait_ms)));
    return ready > 0 && fds[2].revents != 0;
  }

 private:
  static int OnProgress(void* call, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return CheckCall(*static_cast<const Call*>(call), "connect").ok() ? 0 : 1;
  }

  UniqueFd wake_;
  CurlEasy easy_;
  curl_socket_t socket_ = -1;
  std::deque<std::string> unsent_;  // a deque moves no piece when others come and go
  size_t front_sent_ = 0;           // of the first piece
  size_t unsent_bytes_ = 0;         // of all
};

// The conversation, once the connection is a WebSocket.
class Conversation {
 public:
  Conversation(Wire& wire, const ExecCommand& command, const ExecPatience& patience,
               std::string_view first_bytes)
      : wire_(wire), command_(command), patience_(patience), input_(command.stdin_fd) {
    reader_.Add(first_bytes);
  }

  StatusOr<int> Run(const Call& call) {
    while (true) {
      RETURN_IF_ERROR(CheckCall(call, "exec"));
      ASSIGN_OR_RETURN(const bool is_more, Listen());
      if (exit_code_) return *exit_code_;
      const SteadyTime now = SteadyNow();
      if (now - heard_at_ > patience_.silence_at_most)
        return Unavailable("the API server has not been heard of for {}",
                           HumanDuration(patience_.silence_at_most));
      if (now >= ping_at_) {
        Send(Opcode::kPing, "");
        ping_at_ = now + patience_.ping_every;
      }
      RETURN_IF_ERROR(Flush());
      if (exit_code_) return *exit_code_;
      const bool wants_input = input_ >= 0 && wire_.Unsent() < kUnsentAtMost;
      if (wire_.Wait(wants_input ? input_ : -1, is_more ? now : ping_at_, call)) RETURN_IF_ERROR(PassInput());
    }
  }

 private:
  // A command that ends without reading its input ends the connection while we write: its exit code then lies unread
  // behind what has come.
  Status Flush() {
    const Status flushed = wire_.Flush();
    if (flushed.ok()) return flushed;
    for (bool is_more = true; is_more && !exit_code_;) {
      ASSIGN_OR_RETURN(is_more, Listen());
    }
    return exit_code_ ? OkStatus() : flushed;
  }

  // Takes what has come, but not for ever; true when there may be more. The end of the connection before the command's
  // status is an error.
  StatusOr<bool> Listen() {
    for (int pieces = 0; pieces < kPiecesInARow; ++pieces) {
      RETURN_IF_ERROR(TakeMessages());
      if (exit_code_) return true;
      std::string bytes;
      ASSIGN_OR_RETURN(const bool came, wire_.Read(bytes));
      if (!came) return false;
      heard_at_ = SteadyNow();
      reader_.Add(bytes);
    }
    return true;
  }

  Status TakeMessages() {
    while (!exit_code_) {
      ASSIGN_OR_RETURN(const std::optional<WebSocketMessage> message, reader_.Next());
      if (!message) break;
      RETURN_IF_ERROR(Take(*message));
    }
    return OkStatus();
  }

  Status Take(const WebSocketMessage& message) {
    switch (message.opcode) {
      case Opcode::kPing:
        Send(Opcode::kPong, message.payload);
        return OkStatus();
      case Opcode::kClose:
        return Unavailable("the API server ended the connection before the command's status came");
      case Opcode::kBinary:
        return message.payload.empty() ? OkStatus() : TakeChannel(message.payload);
      default:
        return OkStatus();
    }
  }

  Status TakeChannel(const std::string& payload) {
    const std::string_view data = std::string_view(payload).substr(1);
    switch (static_cast<Channel>(static_cast<unsigned char>(payload[0]))) {
      case Channel::kStdout:
        return data.empty() || !command_.on_stdout ? OkStatus() : command_.on_stdout(data);
      case Channel::kStderr:
        return data.empty() || !command_.on_stderr ? OkStatus() : command_.on_stderr(data);
      case Channel::kError:
        if (!data.empty()) exit_code_ = ExitCodeIn(data);
        return OkStatus();
      default:
        return OkStatus();  // a half close of the server's side
    }
  }

  Status PassInput() {
    std::string piece(1 + kPiece, '\0');  // begins with the number of channel 0
    const ssize_t count = ::read(input_, piece.data() + 1, kPiece);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return OkStatus();
    if (count < 0) return ErrnoStatus(errno, "read the command's input");
    if (count == 0) {
      input_ = -1;
      Send(Opcode::kBinary, kEndOfStdin);
      return OkStatus();
    }
    piece.resize(1 + count);
    Send(Opcode::kBinary, piece);
    return OkStatus();
  }

  void Send(Opcode opcode, std::string_view payload) {
    const std::string random = RandomBytes(4);
    wire_.Write(EncodeFrame(opcode, payload, {random[0], random[1], random[2], random[3]}));
  }

  Wire& wire_;
  const ExecCommand& command_;
  const ExecPatience patience_;
  int input_;  // -1 after its end
  WebSocketReader reader_;
  std::optional<StatusOr<int>> exit_code_;
  SteadyTime heard_at_ = SteadyNow();
  SteadyTime ping_at_ = SteadyNow() + patience_.ping_every;
};

// Reads until `text` holds `wanted` bytes or, for npos, an empty line.
Status ReadUntil(Wire& wire, std::string& text, size_t wanted, size_t at_most, const Call& call) {
  const SteadyTime give_up_at = SteadyNow() + kHandshakeAtMost;
  while (wanted == std::string::npos ? text.find("\r\n\r\n") == std::string::npos : text.size() < wanted) {
    RETURN_IF_ERROR(CheckCall(call, "exec"));
    if (SteadyNow() > give_up_at) return Unavailable("the API server does not answer");
    if (text.size() > at_most)
      return ResourceExhausted("the API server's answer is longer than {} bytes", at_most);
    RETURN_IF_ERROR(wire.Flush());
    ASSIGN_OR_RETURN(const bool came, wire.Read(text));
    if (!came) wire.Wait(-1, give_up_at, call);
  }
  return OkStatus();
}

// Makes the connection a WebSocket; returns the bytes that came after its head.
StatusOr<std::string> Upgrade(Wire& wire, const ClusterAccess& access, const std::string& path,
                              const ApiRequest& what, const Call& call) {
  const std::string random = RandomBytes(16);
  const std::string key = absl::Base64Escape(absl::string_view(random.data(), random.size()));
  wire.Write(UpgradeRequest(HostOf(access.server), PathPrefixOf(access.server) + path, key, access.token));
  std::string text;
  RETURN_IF_ERROR(ReadUntil(wire, text, std::string::npos, kHeadAtMost, call));
  const size_t head = text.find("\r\n\r\n") + 4;
  ASSIGN_OR_RETURN(const UpgradeAnswer answer, ParseUpgradeAnswer(std::string_view(text).substr(0, head)));
  text.erase(0, head);
  if (answer.status == 101) {
    RETURN_IF_ERROR(CheckUpgrade(answer, key));
    return text;
  }
  const size_t body = std::min(answer.content_length.value_or(kErrorBodyAtMost), kErrorBodyAtMost);
  if (const Status whole = ReadUntil(wire, text, body, kErrorBodyAtMost, call); !whole.ok()) {
    RETURN_IF_ERROR(CheckCall(call, "exec"));  // else the body ends with the connection
  }
  return DecodeApiError(answer.status, text, answer.retry_after, what);
}

}  // namespace

ExecOutcome ExecOverWebSocket(const ClusterAccess& access, const std::string& path, const ApiRequest& what,
                              const ExecCommand& command, const ExecPatience& patience, const Call& call) {
  const std::string where = fmt::format("exec in pod {}/{}", what.name_space, what.name);
  Wire wire;
  if (const Status opened = wire.Open(access, call); !opened.ok()) {
    return {WithContext(opened, where), /*may_have_begun=*/false};
  }
  const StatusOr<std::string> first_bytes = Upgrade(wire, access, path, what, call);
  if (!first_bytes.ok()) {
    const auto refused = ApiErrorOf(first_bytes.status());
    const bool is_untouched = refused && (refused->http_status == 401 || refused->http_status == 429);
    return {WithContext(first_bytes.status(), where), !is_untouched};
  }
  const StatusOr<int> exit_code = Conversation(wire, command, patience, *first_bytes).Run(call);
  if (exit_code.ok()) return {exit_code};
  return {WithContext(exit_code.status(), where)};
}

}  // namespace salvor::kubernetes
