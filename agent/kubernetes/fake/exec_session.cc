#include "agent/kubernetes/fake/exec_session.h"

#include <sys/socket.h>

#include <utility>

#include "agent/kubernetes/client/exec_protocol.h"
#include "agent/kubernetes/client/http_requests.h"

namespace salvor::kubernetes {
namespace {

Json StatusOf(const StatusOr<int>& exit_code) {
  if (exit_code.ok() && *exit_code == 0) return {{"metadata", Json::object()}, {"status", "Success"}};
  Json status = {{"metadata", Json::object()}, {"status", "Failure"}};
  if (!exit_code.ok()) {
    status["reason"] = "InternalError";
    status["message"] = MessageOf(exit_code.status());
    return status;
  }
  status["reason"] = "NonZeroExitCode";
  status["message"] = "command terminated with non-zero exit code";
  status["details"]["causes"] =
      Json::array({{{"reason", "ExitCode"}, {"message", std::to_string(*exit_code)}}});
  return status;
}

}  // namespace

ExecSession::ExecSession(FakeKubernetes& kubernetes, mg_connection* connection, ExecCommand command,
                         bool has_stdin, bool drops_status)
    : connection_(connection), command_(std::move(command)), drops_status_(drops_status) {
  int pair[2] = {-1, -1};
  if (has_stdin && ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
    input_ = UniqueFd(pair[0]);
    input_writer_ = UniqueFd(pair[1]);
  }
  command_.stdin_fd = input_.Get();
  command_.on_stdout = [this](std::string_view data) {
    Send(1, data);
    return OkStatus();
  };
  command_.on_stderr = [this](std::string_view data) {
    Send(2, data);
    return OkStatus();
  };
  thread_ = std::thread([this, &kubernetes] {
    Send(1, "");  // real servers greet so
    const StatusOr<int> exit_code = kubernetes.Exec(command_, {stop_.get_token()});
    if (!drops_status_) Send(3, Dump(StatusOf(exit_code)));
    if (input_.Valid()) ::shutdown(input_.Get(), SHUT_RDWR);
    mg_websocket_write(connection_, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, "\x03\xE8", 2);
  });
}

void ExecSession::Take(std::string_view message) {
  if (!input_writer_.Valid() || message.empty()) return;
  if (message == kEndOfStdin) {
    ::shutdown(input_writer_.Get(), SHUT_WR);
    return;
  }
  if (message.front() != '\0') return;
  message.remove_prefix(1);
  while (!message.empty()) {
    const ssize_t sent = ::send(input_writer_.Get(), message.data(), message.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the command has ended
    message.remove_prefix(sent);
  }
}

void ExecSession::End() {
  Stop();
  if (input_.Valid()) ::shutdown(input_.Get(), SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
}

void ExecSession::Send(char channel, std::string_view data) const {
  std::string message(1, channel);
  message += data;
  mg_websocket_write(connection_, MG_WEBSOCKET_OPCODE_BINARY, message.data(), message.size());
}

}  // namespace salvor::kubernetes
