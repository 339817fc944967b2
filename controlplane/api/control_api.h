// Every operation of the user API, for any transport: who asks and what, to an answer or an error. No gRPC.
//
// Each looks first whether the caller may (access.h); what changes something leaves a line in the log that says who did
// what to what, or was refused it.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "controlplane/api/planner.h"
#include "controlplane/api/principal.h"
#include "controlplane/api/run_streams.h"
#include "controlplane/objects/catalog.h"
#include "controlplane/runs/engine.h"
#include "controlplane/store/contract/store.h"
#include "controlplane/tokens/token_registry.h"
#include "salvor/v1/control_service.pb.h"

namespace salvor::controlplane {

// Everything given must outlive it. Thread-safe.
class ControlApi {
 public:
  ControlApi(Catalog& catalog, Engine& engine, Planner& planner, Store& store, TokenRegistry& tokens,
             std::string version);

  StatusOr<v1::GetVersionResponse> GetVersion(const Principal& who, const v1::GetVersionRequest& request);

  StatusOr<v1::ApplyResponse> Apply(const Principal& who, const v1::ApplyRequest& request);
  StatusOr<v1::ListObjectsResponse> ListObjects(const Principal& who, const v1::ListObjectsRequest& request);
  StatusOr<v1::DeleteObjectResponse> DeleteObject(const Principal& who,
                                                  const v1::DeleteObjectRequest& request);

  StatusOr<v1::CreateRunResponse> CreateBackup(const Principal& who, const v1::CreateBackupRequest& request);
  StatusOr<v1::CreateRunResponse> CreateRestore(const Principal& who,
                                                const v1::CreateRestoreRequest& request);
  StatusOr<v1::CreateRunResponse> CreateDrill(const Principal& who, const v1::CreateDrillRequest& request);
  StatusOr<v1::CreateRunResponse> CreateDiscovery(const Principal& who,
                                                  const v1::CreateDiscoveryRequest& request);

  StatusOr<v1::ListRunsResponse> ListRuns(const Principal& who, const v1::ListRunsRequest& request);
  StatusOr<v1::Run> GetRun(const Principal& who, const v1::GetRunRequest& request);
  StatusOr<v1::Run> CancelRun(const Principal& who, const v1::CancelRunRequest& request);
  // Must not outlive this.
  StatusOr<RunWatch> WatchRun(const Principal& who, const v1::GetRunRequest& request);
  StatusOr<LogReading> GetRunLogs(const Principal& who, const v1::GetRunLogsRequest& request);

  StatusOr<v1::ListBackupsResponse> ListBackups(const Principal& who, const v1::ListBackupsRequest& request);
  StatusOr<v1::Backup> GetBackup(const Principal& who, const v1::GetBackupRequest& request);
  StatusOr<v1::CreateRunResponse> DeleteBackup(const Principal& who, const v1::DeleteBackupRequest& request);
  StatusOr<v1::Backup> AcceptBackup(const Principal& who, const v1::AcceptBackupRequest& request);
  StatusOr<v1::ListAgentsResponse> ListAgents(const Principal& who, const v1::ListAgentsRequest& request);

  StatusOr<v1::CreateTokenResponse> CreateToken(const Principal& who, const v1::CreateTokenRequest& request);
  StatusOr<v1::ListTokensResponse> ListTokens(const Principal& who, const v1::ListTokensRequest& request);
  StatusOr<v1::Token> RevokeToken(const Principal& who, const v1::RevokeTokenRequest& request);

 private:
  // Locations with backups that would have another repository.
  std::vector<v1::Problem> MovedLocations(const v1::ApplyRequest& request);

  StatusOr<v1::ApplyResponse> ApplyObjects(const v1::ApplyRequest& request);
  Status DeleteDeclared(const v1::DeleteObjectRequest& request);
  StatusOr<v1::Run> CancelActive(const Principal& who, const v1::CancelRunRequest& request);

  Catalog& catalog_;
  Engine& engine_;
  Planner& planner_;
  Store& store_;
  TokenRegistry& tokens_;
  const std::string version_;
};

}  // namespace salvor::controlplane
