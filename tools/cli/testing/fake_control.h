// A control plane that keeps everything in memory and whose runs go as a test says, behind real gRPC.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/io/mutex.h"
#include "base/status.h"
#include "salvor/v1/control_service.grpc.pb.h"

namespace salvor::cli {

// Thread-safe. Objects, runs and backups behave; what a run becomes is a script of states that WatchRun sends
// one after the other, each only once `allowed` states were let through.
class FakeControl final : public v1::ControlService::Service {
 public:
  static constexpr char kToken[] = "s3cret-token";
  static constexpr char kMadeToken[] = "salvor_agent_0123456789abcdef";

  // States of the run; every backup, restore or drill that is created becomes the next script.
  void AddScript(std::vector<v1::Run> states);
  void PutBackup(const v1::Backup& backup);
  void PutLogs(const std::string& run, std::vector<v1::LogLines> logs);
  // Logs without a cursor, as 0.1 sends them.
  void ForgetCursors();
  // Watches send the whole run each time, as 0.1 does.
  void ForgetChanges();
  // Every stream of a log ends after so many messages, as when the connection breaks.
  void BreakLogsAfter(size_t messages);
  void SetVersion(const std::string& version);
  void SetPlan(const v1::CreateRunResponse& plan);

  // A run's watchers are sent at most this many of its states until more are allowed.
  void Allow(size_t states);

  // Every call ends with this error from now on; OK ends it.
  void FailWith(Status status);

  // Every run is in its last state from now on.
  void Finish();

  int watches() const;
  int log_reads() const;
  v1::CreateRestoreRequest last_restore() const;
  v1::CreateDiscoveryRequest last_discovery() const;
  // Requests to delete a backup, dry runs too.
  std::vector<v1::DeleteBackupRequest> deletions() const;

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
  struct ScriptedRun {
    std::vector<v1::Run> states;
    size_t sent = 0;  // the state it is in: the latest that a watcher saw
  };

  grpc::Status Admit(grpc::ServerContext& context) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  grpc::Status Start(bool dry_run, v1::CreateRunResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ScriptedRun* Find(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<std::string, v1::Object> objects_ ABSL_GUARDED_BY(mutex_);  // "Kind/name"
  std::vector<ScriptedRun> scripts_ ABSL_GUARDED_BY(mutex_);
  size_t started_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<v1::Backup> backups_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::LogLines>> logs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Token> tokens_ ABSL_GUARDED_BY(mutex_);
  bool cursors_ ABSL_GUARDED_BY(mutex_) = true;
  bool sends_changes_ ABSL_GUARDED_BY(mutex_) = true;
  size_t log_messages_ ABSL_GUARDED_BY(mutex_) = 1000;
  std::string version_ ABSL_GUARDED_BY(mutex_) = "0.2.7";
  v1::CreateRunResponse plan_ ABSL_GUARDED_BY(mutex_);
  v1::CreateRestoreRequest last_restore_ ABSL_GUARDED_BY(mutex_);
  v1::CreateDiscoveryRequest last_discovery_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::DeleteBackupRequest> deletions_ ABSL_GUARDED_BY(mutex_);
  size_t allowed_ ABSL_GUARDED_BY(mutex_) = 1000;
  int watches_ ABSL_GUARDED_BY(mutex_) = 0;
  int log_reads_ ABSL_GUARDED_BY(mutex_) = 0;
  Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::cli
