// The user API over gRPC, thin: authenticate, decode, call, encode. What operations do is in controlplane/api.
#pragma once

#include <atomic>

#include "controlplane/api/control_api.h"
#include "controlplane/transport/authenticator.h"
#include "salvor/v1/control_service.grpc.pb.h"

namespace salvor::controlplane {

// Everything given must outlive the service. Thread-safe, as gRPC wants it.
class ControlServiceImpl final : public v1::ControlService::Service {
 public:
  ControlServiceImpl(ControlApi& api, const Authenticator& authenticator)
      : api_(api), authenticator_(authenticator) {}

  // Open watches end soon after this.
  void Stop() { stopping_ = true; }

  grpc::Status GetVersion(grpc::ServerContext*, const v1::GetVersionRequest*,
                          v1::GetVersionResponse*) override;
  grpc::Status Apply(grpc::ServerContext*, const v1::ApplyRequest*, v1::ApplyResponse*) override;
  grpc::Status ListObjects(grpc::ServerContext*, const v1::ListObjectsRequest*,
                           v1::ListObjectsResponse*) override;
  grpc::Status DeleteObject(grpc::ServerContext*, const v1::DeleteObjectRequest*,
                            v1::DeleteObjectResponse*) override;
  grpc::Status CreateBackup(grpc::ServerContext*, const v1::CreateBackupRequest*,
                            v1::CreateRunResponse*) override;
  grpc::Status CreateRestore(grpc::ServerContext*, const v1::CreateRestoreRequest*,
                             v1::CreateRunResponse*) override;
  grpc::Status CreateDrill(grpc::ServerContext*, const v1::CreateDrillRequest*,
                           v1::CreateRunResponse*) override;
  grpc::Status CreateDiscovery(grpc::ServerContext*, const v1::CreateDiscoveryRequest*,
                               v1::CreateRunResponse*) override;
  grpc::Status ListRuns(grpc::ServerContext*, const v1::ListRunsRequest*, v1::ListRunsResponse*) override;
  grpc::Status GetRun(grpc::ServerContext*, const v1::GetRunRequest*, v1::Run*) override;
  grpc::Status WatchRun(grpc::ServerContext*, const v1::GetRunRequest*,
                        grpc::ServerWriter<v1::Run>*) override;
  grpc::Status CancelRun(grpc::ServerContext*, const v1::CancelRunRequest*, v1::Run*) override;
  grpc::Status GetRunLogs(grpc::ServerContext*, const v1::GetRunLogsRequest*,
                          grpc::ServerWriter<v1::LogLines>*) override;
  grpc::Status ListBackups(grpc::ServerContext*, const v1::ListBackupsRequest*,
                           v1::ListBackupsResponse*) override;
  grpc::Status GetBackup(grpc::ServerContext*, const v1::GetBackupRequest*, v1::Backup*) override;
  grpc::Status AcceptBackup(grpc::ServerContext*, const v1::AcceptBackupRequest*, v1::Backup*) override;
  grpc::Status DeleteBackup(grpc::ServerContext*, const v1::DeleteBackupRequest*,
                            v1::CreateRunResponse*) override;
  grpc::Status ListAgents(grpc::ServerContext*, const v1::ListAgentsRequest*,
                          v1::ListAgentsResponse*) override;
  grpc::Status CreateToken(grpc::ServerContext*, const v1::CreateTokenRequest*,
                           v1::CreateTokenResponse*) override;
  grpc::Status ListTokens(grpc::ServerContext*, const v1::ListTokensRequest*,
                          v1::ListTokensResponse*) override;
  grpc::Status RevokeToken(grpc::ServerContext*, const v1::RevokeTokenRequest*, v1::Token*) override;

 private:
  // A call that takes one message and gives one.
  template <typename Request, typename Response>
  grpc::Status Answer(grpc::ServerContext& context, const Request& request, Response& response,
                      StatusOr<Response> (ControlApi::*operation)(const Principal&, const Request&));
  // OK for as long as a stream may go on.
  Status CheckStream(const grpc::ServerContext& context, const Principal& who) const;

  ControlApi& api_;
  const Authenticator& authenticator_;
  std::atomic<bool> stopping_{false};
};

}  // namespace salvor::controlplane
