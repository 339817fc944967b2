#include "agent/engines/mariadb/events.h"

#include <fmt/core.h>

#include "agent/engines/mariadb/inventory.h"

namespace salvor::agent {
namespace {

// The statement in the character set that the session will have.
StatusOr<std::string> InCharset(MariadbSession& session, const std::string& statement,
                                const std::string& charset) {
  if (charset.empty() || charset.rfind("utf8", 0) == 0) return statement;
  RETURN_IF_ERROR(session.Execute("SET character_set_results=NULL"));
  return session.Value(fmt::format("SELECT CONVERT({} USING {})", session.Literal(statement),
                                   MariadbSession::Identifier(charset)));
}

Status Alter(MariadbSession& session, const std::string& database, const std::string& collation) {
  return session.Execute(fmt::format("ALTER DATABASE {} COLLATE {}", MariadbSession::Identifier(database),
                                     MariadbSession::Identifier(collation)));
}

}  // namespace

Status MakeEvent(MariadbSession& session, const v1::MariadbEvent& event, const std::string& state,
                 const v1::MariadbDatabase& of, absl::Time as_of) {
  std::string statement = EventWithState(event.create(), state);
  const std::string word = "CREATE ";
  if (statement.rfind(word, 0) != 0)
    return DataLoss("event {}.{} has no definition", event.database(), event.name());
  statement.insert(word.size(), "OR REPLACE ");
  RETURN_IF_ERROR(session.Execute("SET NAMES utf8mb4"));
  const bool other_collation =
      !event.database_collation().empty() && event.database_collation() != of.collation();
  // Before anything is altered: a server without zone tables refuses a named zone.
  RETURN_IF_ERROR(session.Execute("SET time_zone=" + session.Literal(event.time_zone())));
  if (other_collation) RETURN_IF_ERROR(Alter(session, event.database(), event.database_collation()));
  RETURN_IF_ERROR(session.Execute("USE " + MariadbSession::Identifier(event.database())));
  ASSIGN_OR_RETURN(statement, InCharset(session, statement, event.charset_client()));
  RETURN_IF_ERROR(session.Execute(
      fmt::format("SET time_zone={}, sql_mode={}, timestamp={}", session.Literal(event.time_zone()),
                  session.Literal(event.sql_mode()), absl::ToUnixSeconds(as_of))));
  if (!event.charset_client().empty())
    RETURN_IF_ERROR(session.Execute(fmt::format("SET character_set_client={}, collation_connection={}",
                                                event.charset_client(), event.collation_connection())));
  Status made = session.Execute(statement);
  RETURN_IF_ERROR(session.Execute("SET NAMES utf8mb4, time_zone='+00:00', sql_mode='', timestamp=DEFAULT"));
  if (other_collation) RETURN_IF_ERROR(Alter(session, event.database(), of.collation()));
  return made;
}

}  // namespace salvor::agent
