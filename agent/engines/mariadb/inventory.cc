#include "agent/engines/mariadb/inventory.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_replace.h"
#include "agent/engines/mariadb/grants.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kSeparator[] = "\n-- ";

int64_t NumberIn(const std::optional<std::string>& value) {
  int64_t number = 0;
  const std::string& text = TextOf(value);
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Reads one set of databases.
class Capture {
 public:
  Capture(MariadbSession& session, const std::vector<std::string>& databases)
      : session_(session), names_(databases.begin(), databases.end()) {
    std::vector<std::string> literals;
    for (const std::string& database : databases) literals.push_back(session.Literal(database));
    chosen_ = "(" + Join(literals, ", ") + ")";
  }

  StatusOr<MariadbInventory> Run() {
    v1::MariadbDetails& details = inventory_.details;
    details.set_format(1);
    details.set_server_version(session_.ServerText());
    details.set_server_version_num(session_.ServerVersion());
    ASSIGN_OR_RETURN(*details.mutable_system_time_zone(), session_.Value("SELECT @@system_time_zone"));
    RETURN_IF_ERROR_IN(Databases(), "databases");
    RETURN_IF_ERROR_IN(Tables(), "tables");
    RETURN_IF_ERROR_IN(Triggers(), "triggers");
    RETURN_IF_ERROR_IN(Routines(), "routines");
    RETURN_IF_ERROR_IN(Events(), "events");
    return std::move(inventory_);
  }

 private:
  Status Databases();
  Status Tables();
  Status Table(const std::string& database, const std::string& name, const std::string& type,
               const MariadbRow& row);
  Status Sequence(const std::string& database, const std::string& name);
  Status Triggers();
  Status Routines();
  Status Events();
  // Column `column` of SHOW CREATE …, and the further ones given, a line each.
  StatusOr<std::string> Shown(const std::string& what, size_t column, const std::vector<size_t>& more = {});
  void Define(const std::string& kind, const std::string& database, const std::string& name,
              const std::string& text);

  static std::string Qualified(const std::string& database, const std::string& name) {
    return MariadbSession::Identifier(database) + "." + MariadbSession::Identifier(name);
  }

  // information_schema compares names without regard to case and accents: `Shop` is no `shop`.
  bool IsChosen(const MariadbRow& row) const { return names_.count(TextOf(row[0])) > 0; }

  MariadbSession& session_;
  const std::set<std::string> names_;
  std::string chosen_;
  MariadbInventory inventory_;
};

void Capture::Define(const std::string& kind, const std::string& database, const std::string& name,
                     const std::string& text) {
  v1::MariadbDefinition* definition = inventory_.details.add_definitions();
  definition->set_kind(kind);
  definition->set_database(database);
  definition->set_name(name);
  definition->set_text(text);
}

StatusOr<std::string> Capture::Shown(const std::string& what, size_t column,
                                     const std::vector<size_t>& more) {
  ASSIGN_OR_RETURN(const MariadbRows rows, session_.Query("SHOW CREATE " + what));
  if (rows.empty() || rows[0].size() <= column) return Aborted("{} went away meanwhile", what);
  if (!rows[0][column].has_value())
    return PermissionDenied("the account may not see the definition of {}", what);
  std::string text(Trim(*rows[0][column]));
  for (const size_t other : more) {
    if (other < rows[0].size()) text += kSeparator + TextOf(rows[0][other]);
  }
  return text;
}

Status Capture::Databases() {
  ASSIGN_OR_RETURN(const MariadbRows rows,
                   session_.Query("SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME,"
                                  " DEFAULT_COLLATION_NAME, SCHEMA_COMMENT FROM information_schema.SCHEMATA"
                                  " WHERE SCHEMA_NAME IN " +
                                  chosen_ + " ORDER BY 1"));
  for (const MariadbRow& row : rows) {
    if (!IsChosen(row)) continue;
    v1::MariadbDatabase* database = inventory_.details.add_databases();
    database->set_name(TextOf(row[0]));
    database->set_charset(TextOf(row[1]));
    database->set_collation(TextOf(row[2]));
    database->set_comment(TextOf(row[3]));
  }
  return OkStatus();
}

Status Capture::Tables() {
  ASSIGN_OR_RETURN(
      const MariadbRows rows,
      session_.Query("SELECT t.TABLE_SCHEMA, t.TABLE_NAME, t.TABLE_TYPE, t.ENGINE, t.AUTO_INCREMENT,"
                     " t.UPDATE_TIME, t.DATA_LENGTH, e.TRANSACTIONS FROM information_schema.TABLES t"
                     " LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE"
                     " WHERE t.TABLE_TYPE <> 'SYSTEM VIEW' AND t.TABLE_SCHEMA IN " +
                     chosen_ + " ORDER BY 1, 2"));
  for (const MariadbRow& row : rows) {
    if (!IsChosen(row)) continue;
    const std::string &database = TextOf(row[0]), &name = TextOf(row[1]), &type = TextOf(row[2]);
    if (type == "VIEW") {
      ASSIGN_OR_RETURN(const std::string text, Shown("VIEW " + Qualified(database, name), 1, {2, 3}));
      Define("view", database, name, text);
    } else if (type == "SEQUENCE") {
      RETURN_IF_ERROR(Sequence(database, name));
    } else {
      RETURN_IF_ERROR(Table(database, name, type, row));
    }
  }
  return OkStatus();
}

Status Capture::Table(const std::string& database, const std::string& name, const std::string& type,
                      const MariadbRow& row) {
  ASSIGN_OR_RETURN(const std::string text, Shown("TABLE " + Qualified(database, name), 1));
  Define("table", database, name, WithoutCounters(text));
  MariadbDumpedTable dumped;
  dumped.database = database;
  dumped.name = name;
  dumped.engine = TextOf(row[3]);
  dumped.versioned = type == "SYSTEM VERSIONED";
  dumped.transactional = TextOf(row[7]) == "YES";
  dumped.bytes = NumberIn(row[6]);
  dumped.updated = TextOf(row[5]);
  v1::MariadbTable* table = inventory_.details.add_tables();
  table->set_database(database);
  table->set_name(name);
  table->set_counted_rows(-1);
  table->set_transactional(dumped.transactional);
  table->set_auto_increment_at_least(NumberIn(row[4]));
  inventory_.bytes += dumped.bytes;
  inventory_.tables.push_back(std::move(dumped));
  return OkStatus();
}

Status Capture::Sequence(const std::string& database, const std::string& name) {
  const std::string qualified = Qualified(database, name);
  ASSIGN_OR_RETURN(const std::string text, Shown("SEQUENCE " + qualified, 1));
  Define("sequence", database, name, text);
  ASSIGN_OR_RETURN(const MariadbRows rows,
                   session_.Query("SELECT next_not_cached_value, increment FROM " + qualified));
  v1::MariadbSequence* sequence = inventory_.details.add_sequences();
  sequence->set_database(database);
  sequence->set_name(name);
  if (rows.empty()) return OkStatus();
  sequence->set_at_least(NumberIn(rows[0][0]));
  sequence->set_descends(NumberIn(rows[0][1]) < 0);
  return OkStatus();
}

Status Capture::Triggers() {
  ASSIGN_OR_RETURN(
      const MariadbRows rows,
      session_.Query("SELECT TRIGGER_SCHEMA, TRIGGER_NAME, DEFINER, ACTION_TIMING, EVENT_MANIPULATION,"
                     " EVENT_OBJECT_TABLE, ACTION_ORDER, SQL_MODE, CHARACTER_SET_CLIENT,"
                     " COLLATION_CONNECTION, DATABASE_COLLATION, ACTION_STATEMENT"
                     " FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA IN " +
                     chosen_ + " ORDER BY 1, 2"));
  for (const MariadbRow& row : rows) {
    if (!IsChosen(row)) continue;
    std::string text = "DEFINER=" + TextOf(row[2]);
    for (size_t i = 3; i < row.size(); ++i) text += kSeparator + std::string(Trim(TextOf(row[i])));
    Define("trigger", TextOf(row[0]), TextOf(row[1]), text);
  }
  return OkStatus();
}

Status Capture::Routines() {
  ASSIGN_OR_RETURN(const MariadbRows rows,
                   session_.Query("SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, DEFINER"
                                  " FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN " +
                                  chosen_ + " ORDER BY 1, 2, 3"));
  for (const MariadbRow& row : rows) {
    if (!IsChosen(row)) continue;
    const std::string &database = TextOf(row[0]), &name = TextOf(row[1]), &type = TextOf(row[2]);
    ASSIGN_OR_RETURN(const std::string text, Shown(type + " " + Qualified(database, name), 2, {1, 3, 4, 5}));
    Define("routine", database, fmt::format("{} {}", type, name),
           "DEFINER=" + TextOf(row[3]) + kSeparator + text);
  }
  return OkStatus();
}

Status Capture::Events() {
  ASSIGN_OR_RETURN(const MariadbRows rows,
                   session_.Query("SELECT EVENT_SCHEMA, EVENT_NAME, DEFINER FROM information_schema.EVENTS"
                                  " WHERE EVENT_SCHEMA IN " +
                                  chosen_ + " ORDER BY 1, 2"));
  for (const MariadbRow& row : rows) {
    if (!IsChosen(row)) continue;
    const std::string &database = TextOf(row[0]), &name = TextOf(row[1]);
    ASSIGN_OR_RETURN(const MariadbRows shown,
                     session_.Query("SHOW CREATE EVENT " + Qualified(database, name)));
    if (shown.empty() || shown[0].size() < 7)
      return Aborted("event {}.{} went away meanwhile", database, name);
    v1::MariadbEvent* event = inventory_.details.add_events();
    event->set_database(database);
    event->set_name(name);
    event->set_definer(TextOf(row[2]));
    event->set_sql_mode(TextOf(shown[0][1]));
    event->set_time_zone(TextOf(shown[0][2]));
    event->set_create(DisabledEvent(TextOf(shown[0][3]), event->mutable_state()));
    if (event->create().empty())
      return PermissionDenied("the account may not see the definition of event {}.{}", database, name);
    event->set_charset_client(TextOf(shown[0][4]));
    event->set_collation_connection(TextOf(shown[0][5]));
    event->set_database_collation(TextOf(shown[0][6]));
  }
  return OkStatus();
}

// The number that follows `key` at `at`, digits only, goes with it and the space before.
void Cut(const std::string& key, std::string* text) {
  const size_t options = text->rfind("\n)");  // columns and their comments end there
  if (options == std::string::npos) return;
  const size_t at = text->find(key, options);
  if (at == std::string::npos) return;
  size_t end = at + key.size();
  while (end < text->size() && (*text)[end] >= '0' && (*text)[end] <= '9') ++end;
  text->erase(at, end - at);
}

std::string Named(const std::string& database, const std::string& name) {
  return name.empty() ? database : database + "." + name;
}

// Things that have a name and a text, compared one by one.
void CompareTexts(const std::string& check, const std::map<std::string, std::string>& then,
                  const std::map<std::string, std::string>& now, std::vector<MariadbDifference>* found) {
  for (const auto& [name, text] : then) {
    const auto other = now.find(name);
    if (other == now.end()) {
      found->push_back({check, name, "it is not there"});
    } else if (other->second != text) {
      found->push_back({check, name,
                        fmt::format("expected {}, found {}", CleanText(Elide(text, 400)),
                                    CleanText(Elide(other->second, 400)))});
    }
  }
  for (const auto& [name, text] : now) {
    if (then.count(name) == 0) found->push_back({check, name, "it was not in the backup"});
  }
}

std::map<std::string, std::string> DefinitionsOf(const v1::MariadbDetails& details, const std::string& kind) {
  std::map<std::string, std::string> texts;
  for (const v1::MariadbDefinition& one : details.definitions()) {
    if (one.kind() == kind) texts[Named(one.database(), one.name())] = one.text();
  }
  return texts;
}

std::map<std::string, std::string> EventsOf(const v1::MariadbDetails& details) {
  std::map<std::string, std::string> texts;
  for (const v1::MariadbEvent& event : details.events()) {
    texts[Named(event.database(), event.name())] =
        Join({event.create(), event.sql_mode(), event.time_zone(), event.charset_client(),
              event.collation_connection(), event.database_collation(), event.definer()},
             kSeparator);
  }
  return texts;
}

std::map<std::string, std::string> DatabasesOf(const v1::MariadbDetails& details) {
  std::map<std::string, std::string> texts;
  for (const v1::MariadbDatabase& one : details.databases())
    texts[one.name()] = Join({one.charset(), one.collation(), one.comment()}, " ");
  return texts;
}

std::string NameOf(const v1::MariadbAccount& account) {
  return account.is_role() ? account.user() : account.user() + "@" + account.host();
}

std::string GrantsOf(const v1::MariadbAccount& account, const std::vector<std::string>& databases) {
  std::vector<std::string> grants;
  for (const std::string& grant : account.grants()) {
    if (!IsOfOtherDatabase(grant, databases)) grants.push_back(grant);
  }
  std::sort(grants.begin(), grants.end());
  grants.insert(grants.begin(), account.create());
  return Join(grants, "; ");
}

struct StateInText {
  size_t at = 0;
  std::string word;
};

// The state of an event in its definition. Its name is in backticks, which double inside of it; the schedule behind it is
// in the server's own words, and so is the state.
std::optional<StateInText> FindState(const std::string& create) {
  size_t at = create.find(" EVENT `");
  if (at == std::string::npos) return std::nullopt;
  for (at += 8; at < create.size(); ++at) {
    if (create[at] != '`') continue;
    if (at + 1 >= create.size() || create[at + 1] != '`') break;
    ++at;
  }
  for (const std::string completion : {" ON COMPLETION NOT PRESERVE ", " ON COMPLETION PRESERVE "}) {
    const size_t found = create.find(completion, at);
    if (found == std::string::npos) continue;
    const size_t begin = found + completion.size();
    for (const char* word : {"DISABLE ON SLAVE", "DISABLE", "ENABLE"}) {
      if (create.compare(begin, std::string_view(word).size(), word) == 0) return StateInText{begin, word};
    }
  }
  return std::nullopt;
}

// The kind of Check that a kind of definition belongs to.
constexpr std::pair<const char*, const char*> kChecks[] = {{"table", "tables"},
                                                           {"view", "views"},
                                                           {"trigger", "triggers"},
                                                           {"routine", "routines"},
                                                           {"sequence", "sequences"}};

}  // namespace

std::string WithoutCounters(const std::string& create) {
  std::string text = create;
  Cut(" AUTO_INCREMENT=", &text);
  return text;
}

std::string DisabledEvent(const std::string& create, std::string* state) {
  const std::optional<StateInText> found = FindState(create);
  if (!found.has_value()) return "";
  *state = found->word;
  return create.substr(0, found->at) + "DISABLE" + create.substr(found->at + found->word.size());
}

std::string EventWithState(const std::string& create, const std::string& state) {
  const std::optional<StateInText> found = FindState(create);
  if (!found.has_value()) return create;
  return create.substr(0, found->at) + state + create.substr(found->at + found->word.size());
}

StatusOr<MariadbInventory> CaptureMariadbInventory(MariadbSession& session,
                                                   const std::vector<std::string>& databases) {
  if (databases.empty()) return InvalidArgument("no database is named");
  return Capture(session, databases).Run();
}

StatusOr<std::vector<v1::MariadbAccount>> CaptureMariadbAccounts(MariadbSession& session) {
  ASSIGN_OR_RETURN(
      const MariadbRows rows,
      session.Query("SELECT User, Host, IFNULL(JSON_VALUE(Priv, '$.is_role'), 0) IN ('1', 'true')"
                    " FROM mysql.global_priv WHERE NOT (User IN ('mariadb.sys', 'salvor_scratch')"
                    " AND Host = 'localhost') ORDER BY 3 DESC, 1, 2"));
  std::vector<v1::MariadbAccount> accounts;
  for (const MariadbRow& row : rows) {
    v1::MariadbAccount& account = accounts.emplace_back();
    account.set_user(TextOf(row[0]));
    account.set_host(TextOf(row[1]));
    account.set_is_role(TextOf(row[2]) == "1");
    const std::string named = account.is_role()
                                  ? session.Literal(account.user())
                                  : session.Literal(account.user()) + "@" + session.Literal(account.host());
    if (account.is_role()) {
      if (account.user() != "PUBLIC") account.set_create("CREATE ROLE " + named);
    } else {
      ASSIGN_OR_RETURN(*account.mutable_create(), session.Value("SHOW CREATE USER " + named));
    }
    const std::string of = account.user() == "PUBLIC" && account.is_role() ? "PUBLIC" : named;
    ASSIGN_OR_RETURN(const MariadbRows grants, session.Query("SHOW GRANTS FOR " + of));
    for (const MariadbRow& grant : grants) account.add_grants(TextOf(grant[0]));
  }
  return accounts;
}

std::vector<std::string> DefinersOf(const v1::MariadbDetails& details) {
  std::set<std::string> definers;
  // A role is told as "clerk@" by some and as "clerk" by others.
  const auto add = [&definers](std::string definer) {
    if (!definer.empty() && definer.back() == '@') definer.pop_back();
    definers.insert(std::move(definer));
  };
  for (const v1::MariadbEvent& event : details.events()) add(event.definer());
  for (const v1::MariadbDefinition& one : details.definitions()) {
    if (one.kind() == "trigger" || one.kind() == "routine") {
      add(one.text().substr(8, one.text().find(kSeparator) - 8));
    } else if (one.kind() == "view") {
      const size_t begin = one.text().find(" DEFINER=`"), end = one.text().find("` SQL SECURITY", begin + 1);
      if (begin == std::string::npos || end == std::string::npos) continue;
      std::string definer = one.text().substr(begin + 10, end - begin - 10);  // "u`@`h", or "r" alone
      const size_t between = definer.find("`@`");
      if (between != std::string::npos) definer.replace(between, 3, "@");
      add(absl::StrReplaceAll(definer, {{"``", "`"}}));
    }
  }
  return {definers.begin(), definers.end()};
}

std::vector<MariadbDifference> CompareMariadbInventories(const v1::MariadbDetails& then,
                                                         const v1::MariadbDetails& now) {
  std::vector<MariadbDifference> found;
  CompareTexts("databases", DatabasesOf(then), DatabasesOf(now), &found);
  for (const auto& [kind, check] : kChecks)
    CompareTexts(check, DefinitionsOf(then, kind), DefinitionsOf(now, kind), &found);
  CompareTexts("events", EventsOf(then), EventsOf(now), &found);
  return found;
}

std::vector<MariadbDifference> CompareMariadbAccounts(const v1::MariadbDetails& then,
                                                      const v1::MariadbDetails& now) {
  std::map<std::string, std::string> before, after;
  std::vector<std::string> databases;
  for (const v1::MariadbDatabase& database : then.databases()) databases.push_back(database.name());
  for (const v1::MariadbAccount& one : then.accounts()) before[NameOf(one)] = GrantsOf(one, databases);
  for (const v1::MariadbAccount& one : now.accounts()) after[NameOf(one)] = GrantsOf(one, databases);
  std::vector<MariadbDifference> found;
  for (const auto& [name, grants] : before) {
    const auto other = after.find(name);
    if (other == after.end()) {
      found.push_back({"accounts", name, "it is not there"});
    } else if (other->second != grants) {
      // Neither text is shown: they hold the hashes of passwords.
      found.push_back({"accounts", name, "its password, limits or grants are others"});
    }
  }
  return found;
}

}  // namespace salvor::agent
