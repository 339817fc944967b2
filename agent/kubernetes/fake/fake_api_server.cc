#include "agent/kubernetes/fake/fake_api_server.h"

#include <civetweb.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <thread>
#include <utility>

#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/exec_protocol.h"
#include "agent/kubernetes/client/http_requests.h"
#include "agent/kubernetes/fake/api_answers.h"
#include "agent/kubernetes/fake/exec_session.h"
#include "base/io/files.h"
#include "base/io/steady_clock.h"

namespace salvor::kubernetes {
namespace {

using Kind = Misbehaviour::Kind;

const char* TextOf(Event::Type type) {
  return type == Event::Type::kAdded ? "ADDED" : type == Event::Type::kModified ? "MODIFIED" : "DELETED";
}

std::string HeaderOf(const mg_connection* connection, const char* name) {
  const char* value = mg_get_header(connection, name);
  return value == nullptr ? "" : value;
}

std::string BodyOf(mg_connection* connection) {
  std::string body;
  char piece[4096];
  for (int count = 0; (count = mg_read(connection, piece, sizeof piece)) > 0;) body.append(piece, count);
  return body;
}

void Write(mg_connection* connection, const ApiAnswer& answer, const std::string& headers = "",
           bool is_cut = false) {
  if (is_cut) mg_disable_connection_keep_alive(connection);
  mg_printf(connection, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n",
            answer.http_status, mg_get_response_code_text(connection, answer.http_status),
            answer.content_type.c_str(), answer.body.size(), headers.c_str());
  mg_write(connection, answer.body.data(), is_cut ? answer.body.size() / 2 : answer.body.size());
}

// One watch on one connection: lines in chunks, begun with the first of them.
class WatchAnswer {
 public:
  WatchAnswer(mg_connection* connection, const Misbehaviour& order)
      : connection_(connection), order_(order) {}

  // False when the connection has ended, or is to end.
  bool Send(const char* type, const Json& object) {
    const std::string line = Dump({{"type", type}, {"object", object}}) + "\n";
    if (order_.kind == Kind::kDropWatch && sent_ == order_.count) {
      Chunk(line.substr(0, line.size() / 2));
      is_dropped_ = true;
      return false;
    }
    if (first_.empty()) first_ = line;
    ++sent_;
    return Chunk(order_.kind == Kind::kRepeatEvents ? line + line + first_ : line);
  }

  bool Chunk(const std::string& text) {
    if (!has_begun_) {
      mg_disable_connection_keep_alive(connection_);
      mg_printf(connection_,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                "Connection: close\r\n\r\n");
      has_begun_ = true;
    }
    return mg_send_chunk(connection_, text.data(), text.size()) > 0;
  }

  void End() {
    if (has_begun_ && !is_dropped_) mg_send_chunk(connection_, "", 0);
  }

  bool HasBegun() const { return has_begun_; }

 private:
  mg_connection* const connection_;
  const Misbehaviour order_;
  std::string first_;
  int sent_ = 0;
  bool has_begun_ = false;
  bool is_dropped_ = false;
};

// civetweb looks at its stop flag every two seconds, or when somebody comes.
void KnockUntil(const std::stop_token& is_over, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  do {
    const UniqueFd knock(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    static_cast<void>(::connect(knock.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
  } while (Pause({is_over}, absl::Milliseconds(20), "knock").ok());
}

Json GoneStatus() { return StatusObject(MakeApiError(410, "Expired", "too old resource version", {})); }

}  // namespace

struct FakeApiServer::State {
  explicit State(FakeKubernetes& fake) : kubernetes(fake), answers(fake) {}

  FakeKubernetes& kubernetes;
  ApiAnswers answers;
  std::stop_source stop;
  Mutex mutex;
  std::string token ABSL_GUARDED_BY(mutex) = "good";
  std::vector<Misbehaviour> orders ABSL_GUARDED_BY(mutex);
  std::vector<std::string> seen ABSL_GUARDED_BY(mutex);
  std::map<const mg_connection*, std::shared_ptr<ExecSession>> execs ABSL_GUARDED_BY(mutex);
  std::map<const mg_connection*, Misbehaviour> exec_orders ABSL_GUARDED_BY(mutex);
  int port = 0;
  mg_context* context = nullptr;

  // Notes the request, and takes the order that is meant for it.
  std::optional<Misbehaviour> Note(const mg_connection* connection) {
    const mg_request_info* info = mg_get_request_info(connection);
    std::string head = fmt::format("{} {}", info->request_method, info->request_uri);
    if (info->query_string != nullptr) head += std::string("?") + info->query_string;
    MutexLock lock(mutex);
    seen.push_back(head);
    const auto order = std::find_if(orders.begin(), orders.end(), [&](const Misbehaviour& one) {
      return head.find(one.to) != std::string::npos;
    });
    if (order == orders.end()) return std::nullopt;
    const Misbehaviour taken = *order;
    orders.erase(order);
    return taken;
  }

  bool IsWelcome(const mg_connection* connection) {
    MutexLock lock(mutex);
    return HeaderOf(connection, "Authorization") == "Bearer " + token;
  }

  ApiQuestion QuestionOf(mg_connection* connection, const Route& route) {
    const mg_request_info* info = mg_get_request_info(connection);
    return {info->request_method, route, Parameters(info->query_string == nullptr ? "" : info->query_string),
            HeaderOf(connection, "Content-Type"), BodyOf(connection)};
  }

  void Handle(mg_connection* connection);
  void HandleWatch(mg_connection* connection, const ApiQuestion& question, const Misbehaviour& order);
  bool Refuse(mg_connection* connection, const Misbehaviour& order);
  int AcceptExec(mg_connection* connection);
  void StartExec(mg_connection* connection);

  static int OnRequest(mg_connection* connection, void* state) {
    static_cast<State*>(state)->Handle(connection);
    return 1;
  }
  static int OnConnect(const mg_connection* connection, void* state) {
    return static_cast<State*>(state)->AcceptExec(const_cast<mg_connection*>(connection));
  }
  static void OnReady(mg_connection* connection, void* state) {
    static_cast<State*>(state)->StartExec(connection);
  }
  static int OnData(mg_connection* connection, int bits, char* data, size_t size, void* state) {
    const std::shared_ptr<ExecSession> exec = static_cast<State*>(state)->ExecOf(connection);
    const int opcode = bits & 0xF;
    if (opcode == MG_WEBSOCKET_OPCODE_PING && !static_cast<State*>(state)->IsMute(connection)) {
      mg_websocket_write(connection, MG_WEBSOCKET_OPCODE_PONG, data, size);
    } else if (exec && opcode == MG_WEBSOCKET_OPCODE_BINARY) {
      exec->Take(std::string_view(data, size));
    }
    return opcode == MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE ? 0 : 1;
  }
  static void OnClose(const mg_connection* connection, void* state) {
    auto* self = static_cast<State*>(state);
    if (const auto exec = self->ExecOf(connection)) exec->End();
    MutexLock lock(self->mutex);
    self->execs.erase(connection);
  }

  bool IsMute(const mg_connection* connection) {
    MutexLock lock(mutex);
    return exec_orders[connection].kind == Kind::kMuteExec;
  }

  std::shared_ptr<ExecSession> ExecOf(const mg_connection* connection) {
    MutexLock lock(mutex);
    const auto found = execs.find(connection);
    return found == execs.end() ? nullptr : found->second;
  }
};

// What is answered before anything else is looked at. False: nothing was.
bool FakeApiServer::State::Refuse(mg_connection* connection, const Misbehaviour& order) {
  switch (order.kind) {
    case Kind::kAnswer: {
      const Json status = StatusObject(MakeApiError(order.http_status, order.reason, "as ordered", {}));
      const std::string retry =
          order.retry_after_s == 0 ? "" : fmt::format("Retry-After: {}\r\n", order.retry_after_s);
      Write(connection, {order.http_status, Dump(status)}, retry);
      return true;
    }
    case Kind::kProxyAnswer:
      Write(connection, {order.http_status, "<html><body>password=hunter2</body></html>", "text/html"});
      return true;
    case Kind::kGarbage:
      Write(connection, {200, "{\"kind\": \"Con"});
      return true;
    case Kind::kRedirect:
      Write(connection, {302, ""}, "Location: /api/v1/namespaces/default\r\n");
      return true;
    case Kind::kSilence:
      mg_disable_connection_keep_alive(connection);
      static_cast<void>(Pause({stop.get_token()}, absl::Hours(1), "silence"));
      return true;
    default:
      return false;
  }
}

void FakeApiServer::State::Handle(mg_connection* connection) {
  const Misbehaviour order =
      Note(connection).value_or(Misbehaviour{Kind::kDropExec, ""});  // of no meaning here
  if (!IsWelcome(connection)) {
    return Write(connection,
                 {401, Dump(StatusObject(MakeApiError(401, "Unauthorized", "Unauthorized", {})))});
  }
  const std::string uri = mg_get_request_info(connection)->request_uri;
  const auto route = ReadRoute(uri);
  if (Refuse(connection, order)) return;
  if (uri == "/version") {
    const std::string version = kubernetes.Version({stop.get_token()}).value_or(ServerVersion()).git_version;
    return Write(connection, {200, Dump({{"major", "1"}, {"minor", "34+"}, {"gitVersion", version}})});
  }
  if (!route) return Write(connection, {404, "404 page not found", "text/plain"});
  const ApiQuestion question = QuestionOf(connection, *route);
  if (question.parameters.Get("watch") == "1") return HandleWatch(connection, question, order);
  const ApiAnswer answer = answers.Answer(question, {stop.get_token()});
  if (order.kind == Kind::kCloseUnanswered) return mg_disable_connection_keep_alive(connection);
  Write(connection, answer, "", order.kind == Kind::kCut);
}

void FakeApiServer::State::HandleWatch(mg_connection* connection, const ApiQuestion& question,
                                       const Misbehaviour& order) {
  WatchAnswer answer(connection, order);
  if (order.kind == Kind::kLongLine) {
    answer.Chunk(std::string(order.count, 'x'));
    return answer.End();
  }
  if (order.kind == Kind::kGoneEvent) {
    answer.Send("ERROR", GoneStatus());
    return answer.End();
  }
  const Route& route = question.route;
  const auto type = kubernetes.TypeOf(route.group, route.version, route.plural);
  if (!type) return Write(connection, answers.Answer(question, {stop.get_token()}));
  std::string version = question.parameters.Get("resourceVersion");
  const Selection selection{question.parameters.Get("labelSelector"),
                            question.parameters.Get("fieldSelector")};
  const auto timeout =
      absl::Seconds(std::max(1, std::atoi(question.parameters.Get("timeoutSeconds").c_str())));
  const Status ended =
      kubernetes.WatchFrom(*type, route.name_space, selection, version,
                           [&](const Event& event) { return answer.Send(TextOf(event.type), event.object); },
                           {stop.get_token(), SteadyNow() + timeout});
  if (ended.code() == absl::StatusCode::kDeadlineExceeded) {
    answer.Send("BOOKMARK",
                {{"kind", kubernetes.KindOf(*type)}, {"metadata", {{"resourceVersion", version}}}});
  } else if (IsGone(ended)) {
    answer.Send("ERROR", GoneStatus());
  } else if (!ended.ok() && !answer.HasBegun() && ApiErrorOf(ended)) {
    const Json status = StatusObject(ended);
    return Write(connection, {status["code"].get<int>(), Dump(status)});
  }
  answer.End();
}

// 0 accepts the WebSocket.
int FakeApiServer::State::AcceptExec(mg_connection* connection) {
  const auto order = Note(connection);
  if (!IsWelcome(connection)) {
    Write(connection, {401, Dump(StatusObject(MakeApiError(401, "Unauthorized", "Unauthorized", {})))});
    return 1;
  }
  if (order && Refuse(connection, *order)) return 1;
  if (order && order->kind == Kind::kOldExec) {
    const std::string accept = AcceptFor(HeaderOf(connection, "Sec-WebSocket-Key"));
    mg_printf(connection,
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n",
              accept.c_str());
    return 1;
  }
  const auto route = ReadRoute(mg_get_request_info(connection)->request_uri);
  const auto pod = kubernetes.Get({{"", "v1", "pods"}, route->name_space, route->name}, {stop.get_token()});
  if (!pod.ok()) {
    const Json status = StatusObject(pod.status());
    Write(connection, {status["code"].get<int>(), Dump(status)});
    return 1;
  }
  MutexLock lock(mutex);
  exec_orders[connection] = order.value_or(Misbehaviour());
  return 0;
}

void FakeApiServer::State::StartExec(mg_connection* connection) {
  const mg_request_info* info = mg_get_request_info(connection);
  const auto route = ReadRoute(info->request_uri);
  const Parameters parameters(info->query_string == nullptr ? "" : info->query_string);
  ExecCommand command;
  command.name_space = route->name_space;
  command.pod = route->name;
  command.container = parameters.Get("container");
  command.argv = parameters.All("command");
  MutexLock lock(mutex);
  execs[connection] =
      std::make_shared<ExecSession>(kubernetes, connection, std::move(command), parameters.Has("stdin"),
                                    exec_orders[connection].kind == Kind::kDropExec);
}

FakeApiServer::FakeApiServer(FakeKubernetes& kubernetes) : state_(std::make_unique<State>(kubernetes)) {
  const char* options[] = {
      "listening_ports",       "127.0.0.1:0", "num_threads", "24", "enable_keep_alive", "yes",
      "keep_alive_timeout_ms", "60000",       nullptr};
  mg_callbacks callbacks;
  std::memset(&callbacks, 0, sizeof callbacks);
  state_->context = mg_start(&callbacks, nullptr, options);
  if (state_->context == nullptr) return;
  mg_server_port port;
  std::memset(&port, 0, sizeof port);
  if (mg_get_server_ports(state_->context, 1, &port) == 1) state_->port = port.port;
  static const char* kProtocols[] = {kExecProtocol};
  static mg_websocket_subprotocols accepted = {1, kProtocols};
  mg_set_request_handler(state_->context, "/", State::OnRequest, state_.get());
  mg_set_websocket_handler_with_subprotocols(state_->context, "/api/v1/namespaces/*/pods/*/exec", &accepted,
                                             State::OnConnect, State::OnReady, State::OnData, State::OnClose,
                                             state_.get());
}

FakeApiServer::~FakeApiServer() {
  state_->stop.request_stop();
  {
    MutexLock lock(state_->mutex);
    for (const auto& [connection, exec] : state_->execs) {
      if (exec) exec->Stop();
    }
  }
  if (state_->context == nullptr) return;
  const std::jthread knocking(
      [port = state_->port](const std::stop_token& is_over) { KnockUntil(is_over, port); });
  mg_stop(state_->context);
}

ClusterAccess FakeApiServer::Access() const {
  ClusterAccess access;
  access.server = fmt::format("http://127.0.0.1:{}", state_->port);
  access.token = "good";
  return access;
}

void FakeApiServer::AcceptToken(const std::string& token) {
  MutexLock lock(state_->mutex);
  state_->token = token;
}

void FakeApiServer::Misbehave(const Misbehaviour& misbehaviour) {
  MutexLock lock(state_->mutex);
  state_->orders.push_back(misbehaviour);
}

std::vector<std::string> FakeApiServer::Seen() const {
  MutexLock lock(state_->mutex);
  return state_->seen;
}

}  // namespace salvor::kubernetes
