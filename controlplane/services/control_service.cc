#include "controlplane/services/control_service.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/io/grpc/status.h"
#include "base/io/log.h"
#include "base/text.h"
#include "controlplane/runs/waiting_calls.h"
#include "strategies/verdicts/records.h"

namespace salvor::controlplane {
namespace {

// A watcher sees a change at once, and then at most this often; it looks at its caller this often.
constexpr absl::Duration kWatchPace = absl::Milliseconds(100);
constexpr absl::Duration kWatchPatience = absl::Milliseconds(500);

constexpr int kLargestPage = 1000;

bool IsOver(const v1::Run& run) {
  return run.phase() == v1::RUN_PHASE_SUCCEEDED || run.phase() == v1::RUN_PHASE_FAILED ||
         run.phase() == v1::RUN_PHASE_CANCELLED || run.phase() == v1::RUN_PHASE_QUARANTINED;
}

template <typename Message>
grpc::Status Answer(StatusOr<Message> made, Message* response, grpc::ServerContext& context) {
  if (!made.ok()) return ToGrpc(made.status(), context);
  *response = *std::move(made);
  return grpc::Status::OK;
}

}  // namespace

ControlServiceImpl::ControlServiceImpl(Catalog& catalog, Engine& engine, Planner& planner, Store& store,
                                       TokenRegistry& tokens, const Authenticator& authenticator,
                                       std::string version)
    : catalog_(catalog),
      engine_(engine),
      planner_(planner),
      store_(store),
      tokens_(tokens),
      authenticator_(authenticator),
      version_(std::move(version)) {}

// Every method begins with it: no call without a person's token. Gives `caller`.
#define ADMIT_PERSON()                                                     \
  const StatusOr<Principal> caller = authenticator_.AdmitPerson(*context); \
  if (!caller.ok()) return ToGrpc(caller.status(), *context)

grpc::Status ControlServiceImpl::GetVersion(grpc::ServerContext* context, const v1::GetVersionRequest*,
                                            v1::GetVersionResponse* response) {
  ADMIT_PERSON();
  response->set_version(version_);
  response->set_store("sqlite");
  for (const DamagedRecord& record : store_.DamagedRecords())
    response->add_problems(fmt::format("{} {} can't be read: {}", record.kind, record.name, record.why));
  return grpc::Status::OK;
}

int ControlServiceImpl::CountBackupsAt(const std::string& location) {
  int count = 0;
  for (const v1::Backup& backup : engine_.ListBackups(""))
    count += backup.location() == location && backup.coverage() != v1::Backup::COVERAGE_FAILED;
  return count;
}

std::vector<v1::Problem> ControlServiceImpl::MovedLocations(const v1::ApplyRequest& request) {
  std::vector<v1::Problem> problems;
  for (int i = 0; i < request.objects_size(); ++i) {
    const v1::Object& object = request.objects(i);
    if (!object.has_location()) continue;
    const auto known = catalog_.Location(object.metadata().name());
    if (!known.ok() || known->restic().repository() == object.location().restic().repository()) continue;
    const int backups = CountBackupsAt(object.metadata().name());
    if (backups == 0) continue;
    v1::Problem& problem = problems.emplace_back();
    problem.set_object(i);
    problem.set_field("spec.restic.repository");
    problem.set_message(fmt::format(
        "{} backups are kept at {}; give a new repository a Location of its own, or say --location-moved when it was moved "
        "with all it holds",
        backups, known->restic().repository()));
  }
  return problems;
}

grpc::Status ControlServiceImpl::Apply(grpc::ServerContext* context, const v1::ApplyRequest* request,
                                       v1::ApplyResponse* response) {
  ADMIT_PERSON();
  const std::vector<v1::Problem> moved =
      request->location_moved() ? std::vector<v1::Problem>() : MovedLocations(*request);
  auto applied = catalog_.Apply({request->objects().begin(), request->objects().end()},
                                request->dry_run() || !moved.empty());
  if (!applied.ok()) return ToGrpc(applied.status(), *context);
  for (const v1::Problem& problem : moved) *response->add_problems() = problem;
  if (!moved.empty()) applied->outcomes.clear();
  for (const auto outcome : applied->outcomes) response->add_outcomes(outcome);
  for (v1::Problem& problem : applied->problems) *response->add_problems() = std::move(problem);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::ListObjects(grpc::ServerContext* context,
                                             const v1::ListObjectsRequest* request,
                                             v1::ListObjectsResponse* response) {
  ADMIT_PERSON();
  for (v1::Object& object : catalog_.List(request->kind(), request->name()))
    *response->add_objects() = std::move(object);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::DeleteObject(grpc::ServerContext* context,
                                              const v1::DeleteObjectRequest* request,
                                              v1::DeleteObjectResponse*) {
  ADMIT_PERSON();
  if (const int backups = request->kind() == "Location" ? CountBackupsAt(request->name()) : 0; backups > 0) {
    return ToGrpc(
        WithHint(FailedPrecondition("location {} has {} backups, which nobody would find without it",
                                    request->name(), backups),
                 "List them with: salvor backup list -o wide"),
        *context);
  }
  return ToGrpc(catalog_.Delete(request->kind(), request->name()), *context);
}

grpc::Status ControlServiceImpl::CreateBackup(grpc::ServerContext* context,
                                              const v1::CreateBackupRequest* request,
                                              v1::CreateRunResponse* response) {
  ADMIT_PERSON();
  return Answer(planner_.Execute(planner_.PlanBackup(*request, caller->name), request->dry_run()), response,
                *context);
}

grpc::Status ControlServiceImpl::CreateRestore(grpc::ServerContext* context,
                                               const v1::CreateRestoreRequest* request,
                                               v1::CreateRunResponse* response) {
  ADMIT_PERSON();
  return Answer(planner_.Execute(planner_.PlanRestore(*request, caller->name), request->dry_run()), response,
                *context);
}

grpc::Status ControlServiceImpl::CreateDrill(grpc::ServerContext* context,
                                             const v1::CreateDrillRequest* request,
                                             v1::CreateRunResponse* response) {
  ADMIT_PERSON();
  return Answer(planner_.Execute(planner_.PlanDrill(*request, caller->name), request->dry_run()), response,
                *context);
}

grpc::Status ControlServiceImpl::ListRuns(grpc::ServerContext* context, const v1::ListRunsRequest* request,
                                          v1::ListRunsResponse* response) {
  ADMIT_PERSON();
  RunFilter filter;
  filter.application = request->application();
  filter.environment = request->environment();
  filter.kind = request->kind();
  for (const int phase : request->phases()) filter.phases.push_back(static_cast<v1::RunPhase>(phase));
  filter.active_only = request->active_only();
  const int limit = request->limit() <= 0 ? 50 : std::min(request->limit(), 10'000);
  const int size = request->page_size() > 0 ? std::min(request->page_size(), kLargestPage) : limit;
  auto runs = engine_.ListRuns(filter, {size, request->page_token()});
  if (!runs.ok()) return ToGrpc(runs.status(), *context);
  for (v1::Run& run : runs->items) *response->add_runs() = std::move(run);
  response->set_next_page_token(runs->next_token);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::GetRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                                        v1::Run* response) {
  ADMIT_PERSON();
  return Answer(engine_.GetRun(request->name()), response, *context);
}

grpc::Status ControlServiceImpl::WatchRun(grpc::ServerContext* context, const v1::GetRunRequest* request,
                                          grpc::ServerWriter<v1::Run>* writer) {
  ADMIT_PERSON();
  int64_t seen = -2;  // no revision
  while (!stopping_ && !context->IsCancelled()) {
    auto run = engine_.WaitForChange(request->name(), seen, kWatchPatience);
    if (!run.ok()) return ToGrpc(run.status(), *context);
    if (run->revision() != seen || IsOver(*run)) {
      if (!writer->Write(*run)) break;
    }
    if (IsOver(*run)) return grpc::Status::OK;
    seen = run->revision();
    engine_.WaitUntilFinished(request->name(), kWatchPace);
  }
  return ToGrpc(Unavailable("the watch was ended by the control plane"), *context);
}

grpc::Status ControlServiceImpl::CancelRun(grpc::ServerContext* context, const v1::CancelRunRequest* request,
                                           v1::Run* response) {
  ADMIT_PERSON();
  const auto before = engine_.GetRun(request->name());
  if (!before.ok()) return ToGrpc(before.status(), *context);
  if (Status status = CancelRunAndWait(engine_, request->name(), caller->name, request->reason());
      !status.ok())
    return ToGrpc(status, *context);
  return Answer(engine_.GetRun(request->name()), response, *context);
}

grpc::Status ControlServiceImpl::GetRunLogs(grpc::ServerContext* context,
                                            const v1::GetRunLogsRequest* request,
                                            grpc::ServerWriter<v1::LogLines>* writer) {
  ADMIT_PERSON();
  int64_t next = 0;
  while (true) {
    const auto run = engine_.GetRun(request->name());
    if (!run.ok()) return ToGrpc(run.status(), *context);
    auto lines = store_.ReadLog(request->name(), next, next);
    if (!lines.ok()) return ToGrpc(lines.status(), *context);
    for (const v1::LogLines& some : *lines) {
      if (!request->step().empty() && some.step() != request->step()) continue;
      if (!writer->Write(some)) return grpc::Status::OK;
    }
    if (!request->follow() || IsOver(*run) || stopping_ || context->IsCancelled()) return grpc::Status::OK;
    engine_.WaitUntilFinished(request->name(), kWatchPatience);
  }
}

grpc::Status ControlServiceImpl::ListBackups(grpc::ServerContext* context,
                                             const v1::ListBackupsRequest* request,
                                             v1::ListBackupsResponse* response) {
  ADMIT_PERSON();
  BackupFilter filter;
  filter.application = request->application();
  filter.environment = request->environment();
  filter.location = request->location();
  const bool in_pages = request->page_size() > 0;
  const int size = in_pages ? std::min(request->page_size(), kLargestPage) : std::numeric_limits<int>::max();
  auto backups = engine_.ListBackups(filter, {size, request->page_token()});
  if (!backups.ok()) return ToGrpc(backups.status(), *context);
  for (v1::Backup& backup : backups->items) *response->add_backups() = std::move(backup);
  response->set_next_page_token(backups->next_token);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::AcceptBackup(grpc::ServerContext* context,
                                              const v1::AcceptBackupRequest* request, v1::Backup* response) {
  ADMIT_PERSON();
  if (Trim(request->reason()).empty())
    return ToGrpc(WithHint(InvalidArgument("a reason is missing"), "Say why with --reason TEXT."), *context);
  return Answer(AcceptBackupAndWait(engine_, request->name(), caller->name, request->reason()), response,
                *context);
}

grpc::Status ControlServiceImpl::GetBackup(grpc::ServerContext* context, const v1::GetBackupRequest* request,
                                           v1::Backup* response) {
  ADMIT_PERSON();
  auto backup = engine_.FindBackup(request->name());
  if (!backup.ok()) return ToGrpc(backup.status(), *context);
  auto stored = store_.ListVerifications(backup->name());
  if (!stored.ok()) return ToGrpc(stored.status(), *context);
  for (v1::Verification& one : verdicts::VerificationsOf(*backup, *std::move(stored)))
    *backup->add_verifications() = std::move(one);
  *response = *std::move(backup);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::ListAgents(grpc::ServerContext* context, const v1::ListAgentsRequest*,
                                            v1::ListAgentsResponse* response) {
  ADMIT_PERSON();
  for (v1::AgentStatus& agent : engine_.ListAgents()) *response->add_agents() = std::move(agent);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::CreateToken(grpc::ServerContext* context,
                                             const v1::CreateTokenRequest* request,
                                             v1::CreateTokenResponse* response) {
  ADMIT_PERSON();
  v1::Token wanted;
  wanted.set_name(request->name());
  wanted.set_kind(request->kind());
  wanted.set_environment(request->environment());
  wanted.set_agent(request->agent());
  auto created = tokens_.Create(wanted, caller->name);
  if (!created.ok()) return ToGrpc(created.status(), *context);
  LogInfo("{} made the token {} for {} in environment {}", caller->name, request->name(), request->agent(),
          request->environment());
  *response->mutable_token() = std::move(created->token);
  response->set_secret(std::move(created->secret));
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::ListTokens(grpc::ServerContext* context,
                                            const v1::ListTokensRequest* request,
                                            v1::ListTokensResponse* response) {
  ADMIT_PERSON();
  for (v1::Token& token : tokens_.List(request->kind())) *response->add_tokens() = std::move(token);
  return grpc::Status::OK;
}

grpc::Status ControlServiceImpl::RevokeToken(grpc::ServerContext* context,
                                             const v1::RevokeTokenRequest* request, v1::Token* response) {
  ADMIT_PERSON();
  auto revoked = tokens_.Revoke(request->name(), caller->name);
  if (!revoked.ok()) return ToGrpc(revoked.status(), *context);
  LogInfo("{} revoked the token {}", caller->name, request->name());
  *response = *std::move(revoked);
  return grpc::Status::OK;
}

#undef ADMIT_PERSON

}  // namespace salvor::controlplane
