// The control plane, seen from the command line: channel, authentication, deadlines, errors with hints.
#pragma once

#include <absl/time/time.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>

#include "base/io/grpc/token.h"
#include "base/status.h"
#include "salvor/v1/control_service.grpc.pb.h"
#include "tools/cli/client/client_stream.h"

namespace salvor::cli {

struct ClientOptions {
  std::string server;                  // see ParseEndpoint
  std::string token_file;              // mode 0600; empty: no token is sent
  bool token_file_is_default = false;  // then it need not be there
  std::string ca_file;                 // PEM; asks for TLS, and must be given for a server elsewhere
  absl::Duration request_timeout = absl::Seconds(10);
};

using RunStream = ClientStream<v1::Run>;
using LogStream = ClientStream<v1::LogLines>;

// One thread. Making one connects to nothing yet.
class Client {
 public:
  static StatusOr<std::unique_ptr<Client>> Make(const ClientOptions& options);

  // A call of the service's stub, within the request timeout:
  // Call(&ControlStub::ListRuns, request).
  template <typename Request, typename Response>
  StatusOr<Response> Call(grpc::Status (v1::ControlService::Stub::*method)(grpc::ClientContext*,
                                                                           const Request&, Response*),
                          const Request& request) {
    const std::unique_ptr<grpc::ClientContext> context = MakeContext(options_.request_timeout);
    Response response;
    const grpc::Status status = (stub_.get()->*method)(context.get(), request, &response);
    if (!status.ok()) return Explain(EndOfCall(status, *context));
    return response;
  }

  // Its messages are for TakeNext (proto/run_change.h): a control plane of 0.1 sends the whole run each time.
  std::unique_ptr<RunStream> WatchRun(const std::string& name, absl::Duration timeout);
  std::unique_ptr<LogStream> GetRunLogs(const v1::GetRunLogsRequest& request, absl::Duration timeout);

  // FailedPrecondition where the control plane is of 0.1 and would pass over `what`, which it does not know, in silence.
  Status RefuseVersion0_1(const std::string& what);

  // Adds to an error what only the client knows: where it looked for a server and for a token.
  Status Explain(const Status& status) const;

  const std::string& server() const { return options_.server; }

 private:
  Client(ClientOptions options, std::optional<Token> token, std::shared_ptr<grpc::Channel> channel);
  std::unique_ptr<grpc::ClientContext> MakeContext(absl::Duration timeout) const;

  ClientOptions options_;
  std::optional<Token> token_;
  std::unique_ptr<v1::ControlService::Stub> stub_;
};

using ControlStub = v1::ControlService::Stub;

}  // namespace salvor::cli
