#include "controlplane/transport/control_service.h"

#include <utility>

#include "base/io/grpc/status.h"

namespace salvor::controlplane {

template <typename Request, typename Response>
grpc::Status ControlServiceImpl::Answer(grpc::ServerContext& context, const Request& request,
                                        Response& response,
                                        StatusOr<Response> (ControlApi::*operation)(const Principal&,
                                                                                    const Request&)) {
  const StatusOr<Principal> who = authenticator_.AdmitPerson(context);
  if (!who.ok()) return ToGrpc(who.status(), context);
  StatusOr<Response> made = (api_.*operation)(*who, request);
  if (!made.ok()) return ToGrpc(made.status(), context);
  response = *std::move(made);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::GetVersion(grpc::ServerContext* context,
                                            const v1::GetVersionRequest* request,
                                            v1::GetVersionResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::GetVersion);
}

grpc::Status ControlServiceImpl::Apply(grpc::ServerContext* context, const v1::ApplyRequest* request,
                                       v1::ApplyResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::Apply);
}

grpc::Status ControlServiceImpl::ListObjects(grpc::ServerContext* context,
                                             const v1::ListObjectsRequest* request,
                                             v1::ListObjectsResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::ListObjects);
}

grpc::Status ControlServiceImpl::DeleteObject(grpc::ServerContext* context,
                                              const v1::DeleteObjectRequest* request,
                                              v1::DeleteObjectResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::DeleteObject);
}

grpc::Status ControlServiceImpl::CreateBackup(grpc::ServerContext* context,
                                              const v1::CreateBackupRequest* request,
                                              v1::CreateRunResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::CreateBackup);
}

grpc::Status ControlServiceImpl::CreateRestore(grpc::ServerContext* context,
                                               const v1::CreateRestoreRequest* request,
                                               v1::CreateRunResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::CreateRestore);
}

grpc::Status ControlServiceImpl::CreateDrill(grpc::ServerContext* context,
                                             const v1::CreateDrillRequest* request,
                                             v1::CreateRunResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::CreateDrill);
}

grpc::Status ControlServiceImpl::CreateDiscovery(grpc::ServerContext* context,
                                                 const v1::CreateDiscoveryRequest* request,
                                                 v1::CreateRunResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::CreateDiscovery);
}

grpc::Status ControlServiceImpl::ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest* request,
                                          v1::ListRunsResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::ListRuns);
}

grpc::Status ControlServiceImpl::GetRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                                        v1::Run* response) {
  return Answer(*context, *request, *response, &ControlApi::GetRun);
}

grpc::Status ControlServiceImpl::CancelRun(grpc::ServerContext* context, const v1::CancelRunRequest* request,
                                           v1::Run* response) {
  return Answer(*context, *request, *response, &ControlApi::CancelRun);
}

grpc::Status ControlServiceImpl::ListBackups(grpc::ServerContext* context,
                                             const v1::ListBackupsRequest* request,
                                             v1::ListBackupsResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::ListBackups);
}

grpc::Status ControlServiceImpl::GetBackup(grpc::ServerContext* context, const v1::GetBackupRequest* request,
                                           v1::Backup* response) {
  return Answer(*context, *request, *response, &ControlApi::GetBackup);
}

grpc::Status ControlServiceImpl::AcceptBackup(grpc::ServerContext* context,
                                              const v1::AcceptBackupRequest* request, v1::Backup* response) {
  return Answer(*context, *request, *response, &ControlApi::AcceptBackup);
}

grpc::Status ControlServiceImpl::DeleteBackup(grpc::ServerContext* context,
                                              const v1::DeleteBackupRequest* request,
                                              v1::CreateRunResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::DeleteBackup);
}

grpc::Status ControlServiceImpl::ListAgents(grpc::ServerContext* context,
                                            const v1::ListAgentsRequest* request,
                                            v1::ListAgentsResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::ListAgents);
}

grpc::Status ControlServiceImpl::CreateToken(grpc::ServerContext* context,
                                             const v1::CreateTokenRequest* request,
                                             v1::CreateTokenResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::CreateToken);
}

grpc::Status ControlServiceImpl::ListTokens(grpc::ServerContext* context,
                                            const v1::ListTokensRequest* request,
                                            v1::ListTokensResponse* response) {
  return Answer(*context, *request, *response, &ControlApi::ListTokens);
}

grpc::Status ControlServiceImpl::RevokeToken(grpc::ServerContext* context,
                                             const v1::RevokeTokenRequest* request, v1::Token* response) {
  return Answer(*context, *request, *response, &ControlApi::RevokeToken);
}

Status ControlServiceImpl::CheckStream(const grpc::ServerContext& context, const Principal& who) const {
  if (stopping_ || context.IsCancelled()) return Unavailable("the stream was ended by the control plane");
  return authenticator_.CheckStillValid(who);
}

grpc::Status ControlServiceImpl::WatchRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                                          grpc::ServerWriter<v1::Run>* writer) {
  const StatusOr<Principal> who = authenticator_.AdmitPerson(*context);
  if (!who.ok()) return ToGrpc(who.status(), *context);
  StatusOr<RunWatch> watch = api_.WatchRun(*who, *request);
  if (!watch.ok()) return ToGrpc(watch.status(), *context);
  Status status;
  while ((status = CheckStream(*context, *who)).ok()) {
    const StatusOr<std::optional<v1::Run>> run = watch->Next();
    if (!run.ok()) return ToGrpc(run.status(), *context);
    if (run->has_value() && !writer->Write(**run)) break;
    if (watch->over()) return grpc::Status::OK;
  }
  return ToGrpc(status.ok() ? Unavailable("the caller is gone") : status, *context);
}

grpc::Status ControlServiceImpl::GetRunLogs(grpc::ServerContext* context,
                                            const v1::GetRunLogsRequest* request,
                                            grpc::ServerWriter<v1::LogLines>* writer) {
  const StatusOr<Principal> who = authenticator_.AdmitPerson(*context);
  if (!who.ok()) return ToGrpc(who.status(), *context);
  StatusOr<LogReading> reading = api_.GetRunLogs(*who, *request);
  if (!reading.ok()) return ToGrpc(reading.status(), *context);
  while (!reading->over()) {
    const StatusOr<std::vector<v1::LogLines>> lines = reading->Next();
    if (!lines.ok()) return ToGrpc(lines.status(), *context);
    for (const v1::LogLines& some : *lines) {
      if (!writer->Write(some)) return grpc::Status::OK;
    }
    if (stopping_ || context->IsCancelled()) return grpc::Status::OK;
    if (const Status valid = authenticator_.CheckStillValid(*who); !valid.ok())
      return ToGrpc(valid, *context);
  }
  return grpc::Status::OK;
}

}  // namespace salvor::controlplane
