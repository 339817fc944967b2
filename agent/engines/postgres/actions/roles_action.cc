#include <absl/time/clock.h>

#include <algorithm>
#include <set>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/actions/common.h"
#include "agent/engines/postgres/details_json.h"
#include "agent/engines/postgres/globals.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

constexpr size_t kMostDumpallBytes = size_t{64} << 20;
constexpr char kDumpallEnd[] = "-- PostgreSQL database cluster dump complete";

// People in need have nothing else: without it the backup is not whole.
Status AddDumpall(const v1::PostgresConnection& where, const Connection& session, bool passwords,
                  ActionContext& context, Globals& globals) {
  std::vector<std::string> arguments = {"--globals-only", "--no-password"};
  if (!passwords) arguments.push_back("--no-role-passwords");
  ASSIGN_OR_RETURN(ProcessSpec spec,
                   PostgresTool(context, "pg_dumpall", std::move(arguments), where, "", session));
  spec.keep_output = kMostDumpallBytes;
  ASSIGN_OR_RETURN(const ExitStatus exit, context.tools.Run(std::move(spec), context.stop, context.deadline));
  if (exit.output_cut) return FailedPrecondition("pg_dumpall: its output is larger than 64 MiB");
  if (exit.output.find(kDumpallEnd) == std::string::npos) {
    return Aborted("pg_dumpall: its output ends in the middle, after {} bytes", exit.output.size());
  }
  globals.details.set_dumpall_sql(AsUtf8(exit.output));
  return OkStatus();
}

StatusOr<std::set<std::string>> ExistingRoles(Connection& session) {
  ASSIGN_OR_RETURN(Rows rows, session.Query("SELECT rolname FROM pg_roles"));
  const std::vector<std::string> names = Column(rows);
  return std::set<std::string>(names.begin(), names.end());
}

// Settings that concern all roles of a server are made again on one that is ours alone. On another they are named where
// they differ: to make them would change what others have there.
Status ApplyServerStatements(Connection& session, const v1::GlobalsDetails& globals, bool scratch,
                             v1::ActionResult& result) {
  if (globals.server_statements_size() == 0) return OkStatus();
  ASSIGN_OR_RETURN(const Globals now, CaptureGlobals(session));
  const auto& present = now.details.server_statements();
  std::vector<std::string> left;
  for (const std::string& statement : globals.server_statements()) {
    if (std::find(present.begin(), present.end(), statement) != present.end()) continue;
    if (scratch && session.Execute(statement).ok()) continue;
    left.push_back(statement.substr(0, statement.find(" TO ")));  // without the value
  }
  if (!left.empty())
    result.add_warnings("not applied, since it concerns all roles of the server: " + Names(left, 20));
  return OkStatus();
}

}  // namespace

StatusOr<v1::ActionResult> RunPostgresGlobals(const v1::PostgresGlobals& globals_action,
                                              ActionContext& context) {
  const v1::PostgresConnection& where = globals_action.component().connection();
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, OpenSession(where, "", context));
  RETURN_IF_ERROR(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  const absl::Time now = absl::Now();
  ASSIGN_OR_RETURN(Globals globals, CaptureGlobals(*session));
  RETURN_IF_ERROR_IN(AddDumpall(where, *session, globals.passwords_readable, context, globals),
                     "writing the roles for people");
  ASSIGN_OR_RETURN(const std::string json, ToJson(globals.details));
  ASSIGN_OR_RETURN_IN(v1::Artifact artifact, StoreTextArtifact(context, globals_action.target(), json),
                      "storing the roles");
  artifact.set_kind(v1::Artifact::KIND_POSTGRES_GLOBALS);
  *artifact.mutable_consistent_at() = ToProto(now);
  *artifact.mutable_contents() = MakeContents("roles", v1::Artifact::ROLE_DATA);
  artifact.mutable_postgres()->set_server_version_num(session->ServerVersion());
  RepeatForOlderReaders(&artifact);
  v1::ActionResult result;
  *result.add_artifacts() = std::move(artifact);
  for (const std::string& warning : globals.warnings) result.add_warnings(warning);
  result.set_note(fmt::format("{} roles", globals.details.roles_size()));
  return result;
}

StatusOr<v1::ActionResult> RunPostgresRestoreRoles(const v1::PostgresRestoreRoles& restore,
                                                   ActionContext& context) {
  ASSIGN_OR_RETURN(const v1::GlobalsDetails globals,
                   LoadGlobals(context, restore.location(), restore.globals()));
  ASSIGN_OR_RETURN(const ResolvedTarget target, ResolveTarget(restore.target(), context));
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, OpenSession(target.connection, "", context));
  RETURN_IF_ERROR(session->Execute("BEGIN"));
  ASSIGN_OR_RETURN(const std::set<std::string> existing, ExistingRoles(*session));
  std::vector<std::string> created;
  // Messages name the role, never the statement: that one holds a password's hash.
  for (const v1::RoleStatements& role : globals.roles()) {
    if (existing.count(role.role()) > 0) continue;
    RETURN_IF_ERROR_IN(session->Execute(role.create()), fmt::format("creating role {}", role.role()));
    created.push_back(role.role());
  }
  for (const v1::RoleStatements& role : globals.roles()) {
    if (existing.count(role.role()) > 0) continue;
    for (const std::string& statement : role.after()) {
      RETURN_IF_ERROR_IN(session->Execute(statement),
                         fmt::format("settings and memberships of role {}", role.role()));
    }
  }
  RETURN_IF_ERROR(session->Execute("COMMIT"));
  v1::ActionResult result;
  RETURN_IF_ERROR(ApplyServerStatements(*session, globals, target.scratch, result));
  result.set_note(created.empty() ? "all roles were there already"
                                  : fmt::format("created {} roles: {}", created.size(), Names(created, 20)));
  return result;
}

}  // namespace salvor::agent
