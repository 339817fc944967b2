// Shared parts of the actions on PostgreSQL.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/engines/postgres/connection.h"
#include "agent/process/tool_runner.h"
#include "agent/work/action.h"
#include "agent/work/check_list.h"
#include "agent/work/clean_up.h"
#include "base/status.h"

namespace salvor::agent {

// The server and names that restored things go to, resolved.
struct ResolvedTarget {
  v1::PostgresConnection connection;
  bool scratch = false;
};

StatusOr<ResolvedTarget> ResolveTarget(const v1::PostgresTarget& target, ActionContext& context);

// Whether this database's scratch server has started again since the database was loaded, and that emptied tables
// of it. False for any other target.
StatusOr<bool> WasEmptiedByRestart(const v1::PostgresTarget& target, const std::string& database,
                                   ActionContext& context);

// Unavailable when this database's scratch server has started again since the database was loaded, and that
// emptied tables of it: what would be found says nothing about the backup. OK for any other target. Asked
// before looking and again after it, as the server may end in between.
Status CheckStillLoaded(const v1::PostgresTarget& target, const std::string& database,
                        ActionContext& context);

// Collects statistics of all tables but foreign ones, and those with a foreign partition or child: that would
// connect to where they point. Answers with the tables that were left out.
StatusOr<std::vector<std::string>> AnalyzeWhatIsHere(Connection& session);

// A session that ends with the attempt. `database` empty: the maintenance database.
StatusOr<std::unique_ptr<Connection>> OpenSession(const v1::PostgresConnection& where,
                                                  const std::string& database, ActionContext& context,
                                                  bool pinned = true);

std::string PostgresProgram(const ActionContext& context, const std::string& name);

// pg_dump and the like with arguments; reaches `database` by its environment, its stderr goes to the run's
// log. Pinned as `session` is, one with the same server and user.
StatusOr<ProcessSpec> PostgresTool(ActionContext& context, const std::string& name,
                                   std::vector<std::string> arguments, const v1::PostgresConnection& where,
                                   const std::string& database, const Connection& session);

// The artifact of a text that was stored, without kind.
StatusOr<v1::Artifact> StoreTextArtifact(const ActionContext& context, const v1::ArtifactTarget& target,
                                         const std::string& text);

StatusOr<v1::DatabaseDetails> LoadDetails(const ActionContext& context, const v1::ResticLocation& location,
                                          const v1::Artifact& artifact);
StatusOr<v1::GlobalsDetails> LoadGlobals(const ActionContext& context, const v1::ResticLocation& location,
                                         const v1::Artifact& artifact);

// Whether an error of a session says something about the server it is with, or about others that work there, and
// nothing about what was asked: it went away, ran out of something, was in somebody's way.
bool IsOfSurroundings(const Status& status);

// How many locks a server has room for at least.
inline constexpr char kLockTableSize[] =
    "SELECT current_setting('max_locks_per_transaction')::bigint * (current_setting('max_connections')::bigint +"
    " current_setting('max_prepared_transactions')::bigint)";

// Things that stand in the way, told all at once.
class Problems {
 public:
  void Add(const std::string& message, const std::string& hint = "");
  // The same of a status; OK adds nothing.
  void Add(const Status& status, const std::string& context = "");
  void Add(const Problems& others);
  bool Empty() const { return messages_.empty(); }
  Status AsRefusal() const;  // OK without any

 private:
  std::vector<std::string> messages_, hints_;
};

// First column of all rows.
std::vector<std::string> Column(const Rows& rows, int column = 0);

}  // namespace salvor::agent
