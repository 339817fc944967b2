#include "controlplane/api/control_api.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/io/log.h"
#include "base/text.h"
#include "controlplane/api/access.h"
#include "controlplane/runs/waiting_calls.h"
#include "strategies/verdicts/records.h"
#include "words/words.h"

namespace salvor::controlplane {
namespace {

constexpr int kLargestPage = 1000;

const Status& StatusOf(const Status& status) { return status; }
template <typename Value>
const Status& StatusOf(const StatusOr<Value>& value) {
  return value.status();
}

// Names that callers give may hold anything, and the log has a line for each call.
std::string OneLine(std::string_view text) { return Elide(PercentEncode(text), 200); }

// Passes on what an operation ended with, and leaves the line that says who asked for it.
template <typename Result>
Result Audited(const Principal& who, std::string_view operation, const std::string& on, Result result) {
  const Status& status = StatusOf(result);
  if (status.ok()) {
    LogInfo("audit: {} did {} on {}", who.name, operation, OneLine(on));
  } else {
    LogInfo("audit: {} asked for {} on {}, which failed: {}", who.name, operation, OneLine(on),
            MessageOf(status));
  }
  return result;
}

// The same for a run: the line names the run that was started, or what it was asked for.
StatusOr<v1::CreateRunResponse> AuditedRun(const Principal& who, std::string_view operation,
                                           const std::string& asked_for,
                                           StatusOr<v1::CreateRunResponse> made) {
  const std::string on = made.ok() ? made->run() : asked_for;
  return Audited(who, operation, on, std::move(made));
}

}  // namespace

// Every operation that changes something begins with this: a refusal is as worth a line as the deed.
#define RETURN_UNLESS_MAY_CHANGE(who, operation, on)         \
  do {                                                       \
    if (Status may = CheckAccess(who, operation); !may.ok()) \
      return Audited(who, operation, on, std::move(may));    \
  } while (false)

ControlApi::ControlApi(Catalog& catalog, Engine& engine, Planner& planner, Store& store,
                       TokenRegistry& tokens, std::string version)
    : catalog_(catalog),
      engine_(engine),
      planner_(planner),
      store_(store),
      tokens_(tokens),
      version_(std::move(version)) {}

StatusOr<v1::GetVersionResponse> ControlApi::GetVersion(const Principal& who, const v1::GetVersionRequest&) {
  RETURN_IF_ERROR(CheckAccess(who, "GetVersion"));
  v1::GetVersionResponse response;
  response.set_version(version_);
  response.set_store("sqlite");
  for (const DamagedRecord& record : store_.DamagedRecords())
    response.add_problems(fmt::format("{} {} can't be read: {}", record.kind, record.name, record.why));
  return response;
}

std::vector<v1::Problem> ControlApi::MovedLocations(const v1::ApplyRequest& request) {
  std::vector<v1::Problem> problems;
  for (int i = 0; i < request.objects_size(); ++i) {
    const v1::Object& object = request.objects(i);
    if (!object.has_location()) continue;
    const auto known = catalog_.Location(object.metadata().name());
    if (!known.ok() || known->restic().repository() == object.location().restic().repository()) continue;
    const int backups = engine_.CountBackupsAt(object.metadata().name());
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

StatusOr<v1::ApplyResponse> ControlApi::ApplyObjects(const v1::ApplyRequest& request) {
  const std::vector<v1::Problem> moved =
      request.location_moved() ? std::vector<v1::Problem>() : MovedLocations(request);
  ASSIGN_OR_RETURN(auto applied, catalog_.Apply({request.objects().begin(), request.objects().end()},
                                                request.dry_run() || !moved.empty()));
  v1::ApplyResponse response;
  for (const v1::Problem& problem : moved) *response.add_problems() = problem;
  if (!moved.empty()) applied.outcomes.clear();
  for (const auto outcome : applied.outcomes) response.add_outcomes(outcome);
  for (v1::Problem& problem : applied.problems) *response.add_problems() = std::move(problem);
  return response;
}

StatusOr<v1::ApplyResponse> ControlApi::Apply(const Principal& who, const v1::ApplyRequest& request) {
  std::vector<std::string> names;
  for (const v1::Object& object : request.objects()) names.push_back(object.metadata().name());
  const std::string on = Join(names, ",");
  RETURN_UNLESS_MAY_CHANGE(who, "Apply", on);
  StatusOr<v1::ApplyResponse> applied = ApplyObjects(request);
  if (request.dry_run() || (applied.ok() && applied->problems_size() > 0))
    return applied;  // nothing was changed
  return Audited(who, "Apply", on, std::move(applied));
}

StatusOr<v1::ListObjectsResponse> ControlApi::ListObjects(const Principal& who,
                                                          const v1::ListObjectsRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "ListObjects"));
  v1::ListObjectsResponse response;
  for (v1::Object& object : catalog_.List(request.kind(), request.name()))
    *response.add_objects() = std::move(object);
  return response;
}

Status ControlApi::DeleteDeclared(const v1::DeleteObjectRequest& request) {
  if (const int backups = request.kind() == "Location" ? engine_.CountBackupsAt(request.name()) : 0;
      backups > 0) {
    return WithHint(FailedPrecondition("location {} has {} backups, which nobody would find without it",
                                       request.name(), backups),
                    "List them with: salvor backup list -o wide");
  }
  return catalog_.Delete(request.kind(), request.name());
}

StatusOr<v1::DeleteObjectResponse> ControlApi::DeleteObject(const Principal& who,
                                                            const v1::DeleteObjectRequest& request) {
  const std::string on = request.kind() + "/" + request.name();
  RETURN_UNLESS_MAY_CHANGE(who, "DeleteObject", on);
  RETURN_IF_ERROR(Audited(who, "DeleteObject", on, DeleteDeclared(request)));
  return v1::DeleteObjectResponse();
}

StatusOr<v1::CreateRunResponse> ControlApi::CreateBackup(const Principal& who,
                                                         const v1::CreateBackupRequest& request) {
  RETURN_UNLESS_MAY_CHANGE(who, "CreateBackup", request.application());
  auto made = planner_.Execute(planner_.PlanBackup(request, who.name), request.dry_run());
  return request.dry_run() ? made : AuditedRun(who, "CreateBackup", request.application(), std::move(made));
}

StatusOr<v1::CreateRunResponse> ControlApi::CreateRestore(const Principal& who,
                                                          const v1::CreateRestoreRequest& request) {
  const std::string on = request.backup() + "/" + request.to();
  RETURN_UNLESS_MAY_CHANGE(who, "CreateRestore", on);
  StatusOr<Planner::Plan> plan = planner_.PlanRestore(request, who.name);
  const bool looks = plan.ok() && request.dry_run() && request.look();
  StatusOr<Planner::Plan> inspection =
      looks ? planner_.PlanInspection(*plan, who.name) : StatusOr<Planner::Plan>(Planner::Plan());
  auto made = planner_.Execute(std::move(plan), request.dry_run());
  if (!request.dry_run()) return AuditedRun(who, "CreateRestore", on, std::move(made));
  if (!looks || !made.ok()) return made;
  ASSIGN_OR_RETURN(const v1::CreateRunResponse looking,
                   AuditedRun(who, "CreateRestore", on, planner_.Execute(std::move(inspection), false)));
  made->set_run(looking.run());
  return made;
}

StatusOr<v1::CreateRunResponse> ControlApi::CreateDrill(const Principal& who,
                                                        const v1::CreateDrillRequest& request) {
  RETURN_UNLESS_MAY_CHANGE(who, "CreateDrill", request.backup());
  auto made = planner_.Execute(planner_.PlanDrill(request, who.name), request.dry_run());
  return request.dry_run() ? made : AuditedRun(who, "CreateDrill", request.backup(), std::move(made));
}

StatusOr<v1::CreateRunResponse> ControlApi::CreateDiscovery(const Principal& who,
                                                            const v1::CreateDiscoveryRequest& request) {
  const std::string on = request.environment() + "/" + request.namespace_();
  RETURN_UNLESS_MAY_CHANGE(who, "CreateDiscovery", on);
  return AuditedRun(who, "CreateDiscovery", on,
                    planner_.Execute(planner_.PlanDiscovery(request, who.name), false));
}

StatusOr<v1::ListRunsResponse> ControlApi::ListRuns(const Principal& who,
                                                    const v1::ListRunsRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "ListRuns"));
  RunFilter filter;
  filter.application = request.application();
  filter.environment = request.environment();
  filter.kind = request.kind();
  for (const int phase : request.phases()) filter.phases.push_back(static_cast<v1::RunPhase>(phase));
  for (const int verdict : request.verdicts()) filter.verdicts.push_back(static_cast<v1::Verdict>(verdict));
  filter.active_only = request.active_only();
  const int limit = request.limit() <= 0 ? 50 : std::min(request.limit(), 10'000);
  const int size = request.page_size() > 0 ? std::min(request.page_size(), kLargestPage) : limit;
  ASSIGN_OR_RETURN(auto runs, engine_.ListRuns(filter, {size, request.page_token()}));
  v1::ListRunsResponse response;
  for (v1::Run& run : runs.items) *response.add_runs() = std::move(run);
  response.set_next_page_token(runs.next_token);
  return response;
}

StatusOr<v1::Run> ControlApi::GetRun(const Principal& who, const v1::GetRunRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "GetRun"));
  return engine_.GetRun(request.name());
}

StatusOr<v1::Run> ControlApi::CancelActive(const Principal& who, const v1::CancelRunRequest& request) {
  RETURN_IF_ERROR(engine_.GetRun(request.name()).status());
  RETURN_IF_ERROR(CancelRunAndWait(engine_, request.name(), who.name, request.reason()));
  return engine_.GetRun(request.name());
}

StatusOr<v1::Run> ControlApi::CancelRun(const Principal& who, const v1::CancelRunRequest& request) {
  RETURN_UNLESS_MAY_CHANGE(who, "CancelRun", request.name());
  return Audited(who, "CancelRun", request.name(), CancelActive(who, request));
}

StatusOr<RunWatch> ControlApi::WatchRun(const Principal& who, const v1::GetRunRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "WatchRun"));
  return RunWatch(engine_, request);
}

StatusOr<LogReading> ControlApi::GetRunLogs(const Principal& who, const v1::GetRunLogsRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "GetRunLogs"));
  if (request.after() < 0) return InvalidArgument("a place in a log is not negative");
  return LogReading(engine_, store_, request);
}

StatusOr<v1::ListBackupsResponse> ControlApi::ListBackups(const Principal& who,
                                                          const v1::ListBackupsRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "ListBackups"));
  BackupFilter filter;
  filter.application = request.application();
  filter.environment = request.environment();
  filter.location = request.location();
  filter.include_deleted = request.include_deleted();
  const bool in_pages = request.page_size() > 0;
  const int size = in_pages ? std::min(request.page_size(), kLargestPage) : std::numeric_limits<int>::max();
  ASSIGN_OR_RETURN(auto backups, engine_.ListBackups(filter, {size, request.page_token()}));
  v1::ListBackupsResponse response;
  for (v1::Backup& backup : backups.items) *response.add_backups() = std::move(backup);
  response.set_next_page_token(backups.next_token);
  return response;
}

StatusOr<v1::Backup> ControlApi::GetBackup(const Principal& who, const v1::GetBackupRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "GetBackup"));
  ASSIGN_OR_RETURN(v1::Backup backup, engine_.FindBackup(request.name()));
  ASSIGN_OR_RETURN(auto stored, store_.ListVerifications(backup.name()));
  for (v1::Verification& one : verdicts::VerificationsOf(backup, std::move(stored)))
    *backup.add_verifications() = std::move(one);
  return backup;
}

StatusOr<v1::Backup> ControlApi::AcceptBackup(const Principal& who, const v1::AcceptBackupRequest& request) {
  RETURN_UNLESS_MAY_CHANGE(who, "AcceptBackup", request.name());
  if (Trim(request.reason()).empty())
    return WithHint(InvalidArgument("a reason is missing"), "Say why with --reason TEXT.");
  StatusOr<v1::Backup> accepted = AcceptBackupAndWait(engine_, request.name(), who.name, request.reason());
  const std::string on = accepted.ok() ? accepted->name() : request.name();
  return Audited(who, "AcceptBackup", on, std::move(accepted));
}

StatusOr<v1::CreateRunResponse> ControlApi::DeleteBackup(const Principal& who,
                                                         const v1::DeleteBackupRequest& request) {
  RETURN_UNLESS_MAY_CHANGE(who, "DeleteBackup", request.name());
  auto made = planner_.Execute(planner_.PlanDelete(request, who.name), request.dry_run());
  if (request.dry_run()) return made;
  const std::string on = made.ok() ? request.name() + "/" + made->run() : request.name();
  return Audited(who, "DeleteBackup", on, std::move(made));
}

StatusOr<v1::ListAgentsResponse> ControlApi::ListAgents(const Principal& who, const v1::ListAgentsRequest&) {
  RETURN_IF_ERROR(CheckAccess(who, "ListAgents"));
  v1::ListAgentsResponse response;
  for (v1::AgentStatus& agent : engine_.ListAgents()) *response.add_agents() = std::move(agent);
  return response;
}

StatusOr<v1::CreateTokenResponse> ControlApi::CreateToken(const Principal& who,
                                                          const v1::CreateTokenRequest& request) {
  RETURN_UNLESS_MAY_CHANGE(who, "CreateToken", request.name());
  v1::Token wanted;
  wanted.set_name(request.name());
  wanted.set_kind(request.kind());
  wanted.set_environment(request.environment());
  wanted.set_agent(request.agent());
  wanted.set_token_class(request.token_class());
  const std::string for_whom = request.kind() == v1::TOKEN_KIND_USER
                                   ? words::Word(request.token_class())
                                   : request.environment() + "/" + request.agent();
  ASSIGN_OR_RETURN(
      TokenRegistry::Created created,
      Audited(who, "CreateToken", request.name() + ":" + for_whom, tokens_.Create(wanted, who.name)));
  v1::CreateTokenResponse response;
  *response.mutable_token() = std::move(created.token);
  response.set_secret(std::move(created.secret));
  return response;
}

StatusOr<v1::ListTokensResponse> ControlApi::ListTokens(const Principal& who,
                                                        const v1::ListTokensRequest& request) {
  RETURN_IF_ERROR(CheckAccess(who, "ListTokens"));
  v1::ListTokensResponse response;
  for (v1::Token& token : tokens_.List(request.kind())) *response.add_tokens() = std::move(token);
  return response;
}

StatusOr<v1::Token> ControlApi::RevokeToken(const Principal& who, const v1::RevokeTokenRequest& request) {
  RETURN_UNLESS_MAY_CHANGE(who, "RevokeToken", request.name());
  return Audited(who, "RevokeToken", request.name(),
                 tokens_.Revoke(request.name(), who.name, request.kind()));
}

#undef RETURN_UNLESS_MAY_CHANGE

}  // namespace salvor::controlplane
