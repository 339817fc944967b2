#include "agent/engines/postgres/actions/common.h"

#include <algorithm>

#include "agent/engines/postgres/actions/actions.h"
#include "agent/engines/postgres/details_json.h"
#include "agent/engines/postgres/scratch_engine.h"
#include "agent/engines/postgres/server_errors.h"
#include "agent/scratch/scratch_places.h"
#include "base/io/sha256.h"
#include "base/text.h"

namespace salvor::agent {

StatusOr<ResolvedTarget> ResolveTarget(const v1::PostgresTarget& target, ActionContext& context) {
  ResolvedTarget resolved;
  if (target.has_connection()) {
    resolved.connection = target.connection();
    return resolved;
  }
  if (target.scratch().empty()) return InvalidArgument("no target is named");
  if (context.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  ASSIGN_OR_RETURN(const ScratchState state, context.scratch->EnsureRunning(target.scratch()));
  resolved.connection = ConnectionTo(state);
  resolved.scratch = true;
  return resolved;
}

StatusOr<bool> WasEmptiedByRestart(const v1::PostgresTarget& target, const std::string& database,
                                   ActionContext& context) {
  if (target.scratch().empty() || context.scratch == nullptr) return false;
  ASSIGN_OR_RETURN(const ResolvedTarget resolved, ResolveTarget(target, context));
  ASSIGN_OR_RETURN(const bool restarted, context.scratch->RestartedSinceLoaded(target.scratch(), database));
  if (!restarted) return false;
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session, OpenSession(resolved.connection, database, context));
  ASSIGN_OR_RETURN(const int64_t emptied, session->Number(R"sql(
    SELECT count(*) FROM pg_catalog.pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'S')
  )sql"));
  return emptied > 0;
}

Status CheckStillLoaded(const v1::PostgresTarget& target, const std::string& database,
                        ActionContext& context) {
  ASSIGN_OR_RETURN(const bool emptied, WasEmptiedByRestart(target, database, context));
  if (!emptied) return OkStatus();
  return WithHint(Unavailable("the scratch server restarted after database {} was loaded, which empties its "
                              "unlogged tables",
                              AsUtf8(database)),
                  "The backup is not the cause. Drill again.");
}

StatusOr<std::vector<std::string>> AnalyzeWhatIsHere(Connection& session) {
  ASSIGN_OR_RETURN(const Rows tables, session.Query(R"sql(
    WITH RECURSIVE outside(oid) AS (
      SELECT oid FROM pg_catalog.pg_class WHERE relkind = 'f'
      UNION
      SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN outside o ON i.inhrelid = o.oid)
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), o.oid IS NOT NULL
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN outside o ON o.oid = c.oid
    WHERE c.relkind IN ('r', 'm', 'p', 'f') AND c.relpersistence <> 't'
    ORDER BY 1
  )sql"));
  std::vector<std::string> here, left;
  for (int i = 0; i < tables.Count(); ++i) (tables.Bool(i, 1) ? left : here).push_back(tables.Text(i, 0));
  if (here.empty() || session.Execute("ANALYZE " + Join(here, ", ")).ok()) return left;
  // One cannot be analyzed: an expression with statistics calls what it does not find, say. Statistics are no verdict.
  for (const std::string& table : here) {
    const Status analyzed = session.Execute("ANALYZE " + table);
    if (analyzed.ok()) continue;
    if (session.LastSqlState().empty() || IsOfSurroundings(analyzed) ||
        analyzed.code() == absl::StatusCode::kCancelled ||
        analyzed.code() == absl::StatusCode::kDeadlineExceeded)
      return analyzed;
    left.push_back(table);
  }
  return left;
}

StatusOr<std::unique_ptr<Connection>> OpenSession(const v1::PostgresConnection& where,
                                                  const std::string& database, ActionContext& context,
                                                  bool pinned) {
  SessionOptions options;
  options.database = database;
  options.pinned = pinned;
  options.stop = context.stop;
  options.deadline = context.deadline;
  options.cancels_on_server = !IsConnectionToScratch(where);
  auto opened = Connection::Open(where, std::move(options));
  if (opened.ok()) return opened;
  const std::string what = database.empty() ? fmt::format("connecting to {}", Describe(where))
                                            : fmt::format("connecting to database {}", AsUtf8(database));
  return WithHint(
      WithContext(opened.status(), what),
      "Check the connection's host or socket directory, user and password file on the agent's host.");
}

std::string PostgresProgramFolder(const AgentConfig& config) {
  const auto named = config.program_folders.find(kPostgresKind);
  return named == config.program_folders.end() ? kPostgresPrograms : named->second;
}

std::string PostgresProgram(const ActionContext& context, const std::string& name) {
  const std::string folder = PostgresProgramFolder(context.config);
  return folder.empty() ? name : folder + "/" + name;
}

StatusOr<ProcessSpec> PostgresTool(ActionContext& context, const std::string& name,
                                   std::vector<std::string> arguments, const v1::PostgresConnection& where,
                                   const std::string& database, const Connection& session) {
  ProcessSpec spec;
  spec.argv = {PostgresProgram(context, name)};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  ASSIGN_OR_RETURN(spec.environment, ToolEnvironment(where, database, &session));
  spec.on_error_line = [&context, name](std::string_view line) {
    if (context.log) context.log(name, line);
  };
  spec.explain = [argv = spec.argv](const ExitStatus& status) { return PostgresToolError(argv, status); };
  return spec;
}

StatusOr<v1::Artifact> StoreTextArtifact(const ActionContext& context, const v1::ArtifactTarget& target,
                                         const std::string& text) {
  RETURN_IF_ERROR(ForgetEarlierAttempts(context, {target}));
  const std::string file_name = target.artifact() + ".json";
  ASSIGN_OR_RETURN(const std::string snapshot,
                   context.Repository(target.location()).StoreText(file_name, text, context.Tags(target)));
  v1::Artifact artifact;
  artifact.set_component(target.component());
  artifact.set_name(target.artifact());
  artifact.set_snapshot(snapshot);
  artifact.set_path(Restic::StdinPath(file_name));
  artifact.set_bytes(static_cast<int64_t>(text.size()));
  artifact.set_sha256(Sha256::Of(text));
  return artifact;
}

StatusOr<v1::DatabaseDetails> LoadDetails(const ActionContext& context, const v1::ResticLocation& location,
                                          const v1::Artifact& artifact) {
  ASSIGN_OR_RETURN_IN(const std::string text, context.Repository(location).LoadText(artifact),
                      "reading what is expected of the database");
  v1::DatabaseDetails details;
  RETURN_IF_ERROR(FromJson(text, &details));
  return details;
}

StatusOr<v1::GlobalsDetails> LoadGlobals(const ActionContext& context, const v1::ResticLocation& location,
                                         const v1::Artifact& artifact) {
  ASSIGN_OR_RETURN_IN(const std::string text, context.Repository(location).LoadText(artifact),
                      "reading the roles of the backup");
  v1::GlobalsDetails globals;
  RETURN_IF_ERROR(FromJson(text, &globals));
  return globals;
}

bool IsOfSurroundings(const Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kResourceExhausted || status.code() == absl::StatusCode::kAborted;
}

void Problems::Add(const std::string& message, const std::string& hint) {
  messages_.push_back(message);
  if (!hint.empty() && std::find(hints_.begin(), hints_.end(), hint) == hints_.end()) hints_.push_back(hint);
}

void Problems::Add(const Status& status, const std::string& context) {
  if (status.ok()) return;
  Add(context.empty() ? MessageOf(status) : context + ": " + MessageOf(status), HintOf(status));
}

void Problems::Add(const Problems& others) {
  for (const std::string& message : others.messages_) Add(message);
  for (const std::string& hint : others.hints_) {
    if (std::find(hints_.begin(), hints_.end(), hint) == hints_.end()) hints_.push_back(hint);
  }
}

Status Problems::AsRefusal() const {
  if (Empty()) return OkStatus();
  const Status refusal = FailedPrecondition("{}", Join(messages_, "; "));
  return hints_.empty() ? refusal : WithHint(refusal, Join(hints_, " "));
}

std::vector<std::string> Column(const Rows& rows, int column) {
  std::vector<std::string> values;
  for (int i = 0; i < rows.Count(); ++i) values.push_back(AsUtf8(rows.View(i, column)));
  return values;
}

}  // namespace salvor::agent
