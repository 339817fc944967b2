#include "tools/cli/testing/fake_control.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/io/grpc/status.h"
#include "proto/kind.h"
#include "proto/phase.h"
#include "proto/run_change.h"
#include "tools/cli/render/render_objects.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

constexpr auto kLook =
    std::chrono::milliseconds(20);  // how often a waiting watcher looks for a cancelled call

std::string KeyOf(const v1::Object& object) { return KindOf(object) + "/" + object.metadata().name(); }

grpc::Status Missing(const std::string& what) { return {grpc::StatusCode::NOT_FOUND, "there is no " + what}; }

// Leaves the page that the request asks for, of two items at most, and gives the token of the next one: who does not read
// on sees too little.
template <typename Item, typename Request>
std::string TakePage(std::vector<Item>& items, const Request& request) {
  const size_t first = request.page_token().empty() ? 0 : std::stoul(request.page_token());
  const size_t size = std::min<size_t>(2, static_cast<size_t>(std::max(request.page_size(), 1)));
  const size_t end = std::min(first + size, items.size());
  const bool is_last = end == items.size();
  items = {items.begin() + static_cast<std::ptrdiff_t>(first),
           items.begin() + static_cast<std::ptrdiff_t>(end)};
  return is_last ? "" : std::to_string(end);
}

}  // namespace

void FakeControl::AddScript(std::vector<v1::Run> states) {
  MutexLock lock(mutex_);
  scripts_.push_back({std::move(states), 0});
}

void FakeControl::PutBackup(const v1::Backup& backup) {
  MutexLock lock(mutex_);
  backups_.insert(backups_.begin(), backup);
}

void FakeControl::PutLogs(const std::string& run, std::vector<v1::LogLines> logs) {
  MutexLock lock(mutex_);
  logs_[run] = std::move(logs);
}

void FakeControl::ForgetCursors() {
  MutexLock lock(mutex_);
  cursors_ = false;
}

void FakeControl::ForgetChanges() {
  MutexLock lock(mutex_);
  sends_changes_ = false;
}

void FakeControl::BreakLogsAfter(size_t messages) {
  MutexLock lock(mutex_);
  log_messages_ = messages;
}

void FakeControl::SetPlan(const v1::CreateRunResponse& plan) {
  MutexLock lock(mutex_);
  plan_ = plan;
}

void FakeControl::Allow(size_t states) {
  MutexLock lock(mutex_);
  allowed_ = states;
  changed_.NotifyAll();
}

void FakeControl::FailWith(Status status) {
  MutexLock lock(mutex_);
  failure_ = std::move(status);
}

void FakeControl::Finish() {
  MutexLock lock(mutex_);
  for (ScriptedRun& script : scripts_) script.sent = script.states.size() - 1;
}

int FakeControl::log_reads() const {
  MutexLock lock(mutex_);
  return log_reads_;
}

int FakeControl::watches() const {
  MutexLock lock(mutex_);
  return watches_;
}

v1::CreateRestoreRequest FakeControl::last_restore() const {
  MutexLock lock(mutex_);
  return last_restore_;
}

v1::CreateDiscoveryRequest FakeControl::last_discovery() const {
  MutexLock lock(mutex_);
  return last_discovery_;
}

std::vector<v1::DeleteBackupRequest> FakeControl::deletions() const {
  MutexLock lock(mutex_);
  return deletions_;
}

grpc::Status FakeControl::Admit(grpc::ServerContext& context) {
  const auto header = context.client_metadata().find("authorization");
  if (header == context.client_metadata().end() ||
      std::string(header->second.data(), header->second.size()) != std::string("Bearer ") + kToken) {
    return {grpc::StatusCode::UNAUTHENTICATED, "no valid token"};
  }
  return ToGrpc(failure_, context);
}

FakeControl::ScriptedRun* FakeControl::Find(const std::string& name) {
  for (ScriptedRun& script : scripts_) {
    if (script.states.front().header().name() == name) return &script;
  }
  return nullptr;
}

void FakeControl::SetVersion(const std::string& version) {
  MutexLock lock(mutex_);
  version_ = version;
}

grpc::Status FakeControl::Start(bool dry_run, v1::CreateRunResponse& response) {
  if (dry_run) {
    response = plan_;
    return grpc::Status::OK;
  }
  if (started_ == scripts_.size()) return Missing("script for this run");
  const v1::RunHeader& header = scripts_[started_++].states.front().header();
  response.set_run(header.name());
  response.set_backup(header.backup());
  return grpc::Status::OK;
}

grpc::Status FakeControl::GetVersion(grpc::ServerContext* context, const v1::GetVersionRequest*,
                                     v1::GetVersionResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  response->set_version(version_);
  response->set_store("sqlite");
  return grpc::Status::OK;
}

grpc::Status FakeControl::Apply(grpc::ServerContext* context, const v1::ApplyRequest* request,
                                v1::ApplyResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  for (int i = 0; i < request->objects_size(); ++i) {
    const v1::Object& object = request->objects(i);
    if (!object.has_application() || objects_.count("Environment/" + object.application().environment()) > 0)
      continue;
    v1::Problem* problem = response->add_problems();
    problem->set_object(i);
    problem->set_field("spec.environment");
    problem->set_message("there is no environment '" + object.application().environment() + "'");
  }
  if (response->problems_size() > 0) return grpc::Status::OK;
  for (v1::Object object : request->objects()) {
    const auto before = objects_.find(KeyOf(object));
    const bool is_new = before == objects_.end();
    object.mutable_metadata()->set_generation(is_new ? 1 : before->second.metadata().generation());
    const bool same = !is_new && object.SerializeAsString() == before->second.SerializeAsString();
    response->add_outcomes(is_new ? v1::ApplyResponse::OUTCOME_CREATED
                           : same ? v1::ApplyResponse::OUTCOME_UNCHANGED
                                  : v1::ApplyResponse::OUTCOME_CONFIGURED);
    if (request->dry_run() || same) continue;
    if (!is_new) object.mutable_metadata()->set_generation(object.metadata().generation() + 1);
    objects_[KeyOf(object)] = object;
  }
  return grpc::Status::OK;
}

grpc::Status FakeControl::ListObjects(grpc::ServerContext* context, const v1::ListObjectsRequest* request,
                                      v1::ListObjectsResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  for (const auto& entry : objects_) {
    if (!request->kind().empty() && KindOf(entry.second) != request->kind()) continue;
    if (!request->name().empty() && entry.second.metadata().name() != request->name()) continue;
    *response->add_objects() = entry.second;
  }
  return grpc::Status::OK;
}

grpc::Status FakeControl::DeleteObject(grpc::ServerContext* context, const v1::DeleteObjectRequest* request,
                                       v1::DeleteObjectResponse*) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  if (objects_.erase(request->kind() + "/" + request->name()) == 0) return Missing("such object");
  return grpc::Status::OK;
}

grpc::Status FakeControl::CreateBackup(grpc::ServerContext* context, const v1::CreateBackupRequest* request,
                                       v1::CreateRunResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  if (request->application() != "shop") return Missing("application '" + request->application() + "'");
  return Start(request->dry_run(), *response);
}

grpc::Status FakeControl::CreateRestore(grpc::ServerContext* context, const v1::CreateRestoreRequest* request,
                                        v1::CreateRunResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  last_restore_ = *request;
  return Start(request->dry_run(), *response);
}

grpc::Status FakeControl::CreateDrill(grpc::ServerContext* context, const v1::CreateDrillRequest* request,
                                      v1::CreateRunResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  return Start(request->dry_run(), *response);
}

grpc::Status FakeControl::CreateDiscovery(grpc::ServerContext* context,
                                          const v1::CreateDiscoveryRequest* request,
                                          v1::CreateRunResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  last_discovery_ = *request;
  return Start(false, *response);
}

grpc::Status FakeControl::ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest* request,
                                   v1::ListRunsResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  std::vector<v1::Run> runs;
  for (const ScriptedRun& script : scripts_) {
    v1::Run run = script.states[script.sent];
    run.clear_steps();
    if (request->kind() != v1::RUN_KIND_UNSPECIFIED && run.header().kind() != request->kind()) continue;
    const auto& verdicts = request->verdicts();
    if (!verdicts.empty() && std::find(verdicts.begin(), verdicts.end(), run.verdict()) == verdicts.end())
      continue;
    if (!request->active_only() || !IsAtRest(run.phase())) runs.push_back(run);
  }
  response->set_next_page_token(TakePage(runs, *request));
  for (v1::Run& run : runs) *response->add_runs() = std::move(run);
  return grpc::Status::OK;
}

grpc::Status FakeControl::GetRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                                 v1::Run* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  const ScriptedRun* script = Find(request->name());
  if (script == nullptr) return Missing("run '" + request->name() + "'");
  *response = script->states[script->sent];
  return grpc::Status::OK;
}

grpc::Status FakeControl::WatchRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                                   grpc::ServerWriter<v1::Run>* writer) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  ++watches_;
  ScriptedRun* script = Find(request->name());
  if (script == nullptr) return Missing("run '" + request->name() + "'");
  writer->Write(script->states[script->sent]);
  while (!IsAtRest(script->states[script->sent].phase())) {
    if (context->IsCancelled()) return grpc::Status::CANCELLED;
    if (script->sent + 1 < script->states.size() && script->sent + 1 < allowed_) {
      const v1::Run& before = script->states[script->sent];
      const v1::Run& now = script->states[++script->sent];
      writer->Write(request->changes_only() && sends_changes_ ? ChangeBetween(before, now) : now);
    } else {
      changed_.WaitFor(mutex_, kLook);
    }
  }
  return grpc::Status::OK;
}

grpc::Status FakeControl::CancelRun(grpc::ServerContext* context, const v1::CancelRunRequest* request,
                                    v1::Run* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  ScriptedRun* script = Find(request->name());
  if (script == nullptr) return Missing("run '" + request->name() + "'");
  *response = script->states[script->sent];
  response->set_phase(v1::RUN_PHASE_CANCELLING);
  response->set_reason(request->reason());
  return grpc::Status::OK;
}

grpc::Status FakeControl::GetRunLogs(grpc::ServerContext* context, const v1::GetRunLogsRequest* request,
                                     grpc::ServerWriter<v1::LogLines>* writer) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  ++log_reads_;
  const auto logs = logs_.find(request->name());
  if (logs == logs_.end()) return Missing("run '" + request->name() + "'");
  size_t sent = 0;
  for (size_t i = cursors_ ? static_cast<size_t>(request->after()) : 0; i < logs->second.size(); ++i) {
    v1::LogLines lines = logs->second[i];
    if (!request->step().empty() && request->step() != lines.step()) continue;
    if (cursors_) lines.set_next(static_cast<int64_t>(i) + 1);
    if (++sent > log_messages_) return {grpc::StatusCode::UNAVAILABLE, "the connection broke"};
    writer->Write(lines);
  }
  return grpc::Status::OK;
}

grpc::Status FakeControl::ListBackups(grpc::ServerContext* context, const v1::ListBackupsRequest* request,
                                      v1::ListBackupsResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  std::vector<v1::Backup> backups;
  for (const v1::Backup& backup : backups_) {
    const bool wanted = request->application().empty() || backup.application() == request->application();
    const bool hidden =
        backup.deletion().state() == v1::Deletion::STATE_DELETED && !request->include_deleted();
    if (wanted && !hidden) backups.push_back(backup);
  }
  response->set_next_page_token(TakePage(backups, *request));
  for (v1::Backup& backup : backups) *response->add_backups() = std::move(backup);
  return grpc::Status::OK;
}

grpc::Status FakeControl::GetBackup(grpc::ServerContext* context, const v1::GetBackupRequest* request,
                                    v1::Backup* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  for (const v1::Backup& backup : backups_) {
    if (backup.name() != request->name() && "latest:" + backup.application() != request->name()) continue;
    *response = backup;
    return grpc::Status::OK;
  }
  return Missing("backup '" + request->name() + "'");
}

grpc::Status FakeControl::AcceptBackup(grpc::ServerContext* context, const v1::AcceptBackupRequest* request,
                                       v1::Backup* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  for (v1::Backup& backup : backups_) {
    if (backup.name() != request->name()) continue;
    backup.mutable_acceptance()->set_reason(request->reason());
    *response = backup;
    return grpc::Status::OK;
  }
  return Missing("backup '" + request->name() + "'");
}

grpc::Status FakeControl::DeleteBackup(grpc::ServerContext* context, const v1::DeleteBackupRequest* request,
                                       v1::CreateRunResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  deletions_.push_back(*request);
  return Start(request->dry_run(), *response);
}

grpc::Status FakeControl::ListAgents(grpc::ServerContext* context, const v1::ListAgentsRequest*,
                                     v1::ListAgentsResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  v1::AgentStatus* agent = response->add_agents();
  agent->set_name("vps-1");
  agent->set_environment("vps-1");
  agent->set_runtime(v1::RUNTIME_HOST);
  agent->set_connected(true);
  return grpc::Status::OK;
}

grpc::Status FakeControl::CreateToken(grpc::ServerContext* context, const v1::CreateTokenRequest* request,
                                      v1::CreateTokenResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  v1::Token& token = tokens_[request->name()];
  if (!token.name().empty())
    return {grpc::StatusCode::ALREADY_EXISTS, "there is a token of that name already"};
  token.set_name(request->name());
  token.set_kind(request->kind());
  token.set_environment(request->environment());
  token.set_agent(request->agent());
  token.set_token_class(request->token_class());
  *response->mutable_token() = token;
  response->set_secret(kMadeToken);
  return grpc::Status::OK;
}

grpc::Status FakeControl::ListTokens(grpc::ServerContext* context, const v1::ListTokensRequest* request,
                                     v1::ListTokensResponse* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  for (const auto& entry : tokens_) {
    if (request->kind() == v1::TOKEN_KIND_UNSPECIFIED || request->kind() == entry.second.kind())
      *response->add_tokens() = entry.second;
  }
  return grpc::Status::OK;
}

grpc::Status FakeControl::RevokeToken(grpc::ServerContext* context, const v1::RevokeTokenRequest* request,
                                      v1::Token* response) {
  MutexLock lock(mutex_);
  if (grpc::Status admitted = Admit(*context); !admitted.ok()) return admitted;
  const auto token = tokens_.find(request->name());
  if (token == tokens_.end()) return Missing("token " + request->name());
  if (request->kind() != v1::TOKEN_KIND_UNSPECIFIED && request->kind() != token->second.kind())
    return ToGrpc(WithHint(FailedPrecondition("the token is of another kind"), "Use the other command."),
                  *context);
  token->second.mutable_revoked_at()->set_seconds(1795256140);
  *response = token->second;
  return grpc::Status::OK;
}

}  // namespace salvor::cli
