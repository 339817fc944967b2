#include "tools/cli/client/client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/io/files.h"
#include "base/io/grpc/endpoint.h"
#include "base/io/grpc/keepalive.h"
#include "base/io/grpc/limits.h"
#include "base/io/grpc/status.h"
#include "base/text.h"

namespace salvor::cli {
namespace {

StatusOr<std::optional<Token>> ReadToken(const ClientOptions& options) {
  if (options.token_file.empty()) return std::optional<Token>();
  StatusOr<std::string> token = ReadSecretFile(options.token_file);
  if (!token.ok()) {
    if (options.token_file_is_default && token.status().code() == absl::StatusCode::kNotFound) {
      return std::optional<Token>();
    }
    if (token.status().code() == absl::StatusCode::kNotFound) {
      return WithHint(Unauthenticated("no token: {} does not exist", options.token_file),
                      "Name the file that holds it with --token-file or SALVOR_TOKEN_FILE.");
    }
    return Unauthenticated("read the token: {}", MessageOf(token.status()));
  }
  const bool printable = !token->empty() && std::all_of(token->begin(), token->end(), [](unsigned char c) {
    return c > 0x20 && c < 0x7F;  // gRPC ends the program over anything else in a header
  });
  if (!printable) return Unauthenticated("the first line of {} is not a token", options.token_file);
  return std::optional<Token>(Token(*std::move(token)));
}

}  // namespace

Status EndOfCall(const grpc::Status& status, const grpc::ClientContext& context) {
  const Status ours = FromGrpc(status, context);
  if (ours.ok()) return ours;
  std::string message = MessageOf(ours);
  for (const std::string prefix : {"failed to connect to all addresses; last error: ", "UNKNOWN: "}) {
    if (message.rfind(prefix, 0) == 0) message.erase(0, prefix.size());
  }
  if (message.empty()) message = "the control plane gave no reason";
  const std::string hint = HintOf(ours);
  const Status readable = MakeStatus(ours.code(), message);
  return hint.empty() ? readable : WithHint(readable, hint);
}

StatusOr<std::unique_ptr<Client>> Client::Make(const ClientOptions& options) {
  ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(options.server));
  TlsFiles tls;
  tls.authorities = options.ca_file;
  ASSIGN_OR_RETURN(const std::shared_ptr<grpc::ChannelCredentials> credentials,
                   ChannelCredentialsFor(endpoint, tls));
  ASSIGN_OR_RETURN(std::optional<Token> token, ReadToken(options));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMostAnswerBytes);
  // Somebody waits for the control plane to come back: look often.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  KeepAlive(arguments);
  // A proxy of the surroundings has no business between us and our own machine.
  if (endpoint.local) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  auto channel = grpc::CreateCustomChannel(endpoint.address, credentials, arguments);
  return std::unique_ptr<Client>(new Client(options, std::move(token), std::move(channel)));
}

Client::Client(ClientOptions options, std::optional<Token> token, std::shared_ptr<grpc::Channel> channel)
    : options_(std::move(options)), token_(std::move(token)), stub_(v1::ControlService::NewStub(channel)) {}

std::unique_ptr<grpc::ClientContext> Client::MakeContext(absl::Duration timeout) const {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
  if (token_.has_value()) token_->Attach(*context);
  return context;
}

std::unique_ptr<RunStream> Client::WatchRun(const std::string& name, absl::Duration timeout) {
  v1::GetRunRequest request;
  request.set_name(name);
  request.set_changes_only(true);
  return std::make_unique<RunStream>(MakeContext(timeout),
                                     [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
                                       return stub_->PrepareAsyncWatchRun(context, request, queue);
                                     });
}

std::unique_ptr<LogStream> Client::GetRunLogs(const v1::GetRunLogsRequest& request, absl::Duration timeout) {
  return std::make_unique<LogStream>(MakeContext(timeout),
                                     [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
                                       return stub_->PrepareAsyncGetRunLogs(context, request, queue);
                                     });
}

Status Client::RefuseVersion0_1(const std::string& what) {
  ASSIGN_OR_RETURN(const v1::GetVersionResponse answer,
                   Call(&ControlStub::GetVersion, v1::GetVersionRequest()));
  if (answer.version().rfind("0.1.", 0) != 0) return OkStatus();
  return WithHint(FailedPrecondition("the control plane, version {}, does not know {}",
                                     CleanText(answer.version()), what),
                  "Nothing was asked of it. Update salvord, or leave that out.");
}

Status Client::Explain(const Status& status) const {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return WithHint(WithContext(status, "control plane not reachable at " + options_.server),
                      "Is salvord running there? --server or SALVOR_SERVER says where it is.");
    case absl::StatusCode::kDeadlineExceeded:
      return WithHint(WithContext(status, "no answer from " + options_.server + " in time"),
                      "Look at salvord's log, or give it more time with --request-timeout.");
    case absl::StatusCode::kUnauthenticated:
      if (token_.has_value()) return WithHint(status, "The token came from " + options_.token_file + ".");
      return WithHint(Unauthenticated("no token: {} does not exist", options_.token_file),
                      "salvord writes it into its state directory at its first start; --token-file or "
                      "SALVOR_TOKEN_FILE says where it is.");
    default:
      return status;
  }
}

}  // namespace salvor::cli
