#include <algorithm>
#include <iterator>
#include <map>

#include "agent/postgres/catalog_queries.h"
#include "agent/postgres/inventory.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using Lines = std::vector<std::string>;

Lines Sorted(const google::protobuf::RepeatedPtrField<std::string>& lines) {
  Lines sorted(lines.begin(), lines.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

// "expected a, b; found c", with long lists cut.
std::string Describe(const Lines& missing, const Lines& extra) {
  const auto list = [](const Lines& lines) {
    constexpr size_t kShown = 10;
    Lines shown;
    for (size_t i = 0; i < std::min(lines.size(), kShown); ++i) shown.push_back(Elide(lines[i], 300));
    std::string text = Join(shown, "; ");
    if (lines.size() > kShown) text += fmt::format("; and {} more", lines.size() - kShown);
    return text;
  };
  if (extra.empty()) return "missing: " + list(missing);
  if (missing.empty()) return "not expected: " + list(extra);
  return fmt::format("expected: {}; found instead: {}", list(missing), list(extra));
}

void CompareLines(const std::string& check, const std::string& subject, const Lines& then, const Lines& now,
                  bool uncertain, std::vector<Difference>& differences) {
  Lines missing, extra;
  std::set_difference(then.begin(), then.end(), now.begin(), now.end(), std::back_inserter(missing));
  std::set_difference(now.begin(), now.end(), then.begin(), then.end(), std::back_inserter(extra));
  if (missing.empty() && extra.empty()) return;
  differences.push_back({check, subject, Describe(missing, extra), uncertain});
}

void CompareCatalog(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now, bool other_major,
                    std::vector<Difference>& differences) {
  std::map<std::string, std::string> checks;
  for (const CatalogQuery& query : CatalogQueries()) checks[query.kind] = query.check;
  std::map<std::string, Lines> found;
  for (const v1::CatalogSection& section : now.catalog()) found[section.kind()] = Sorted(section.lines());
  for (const v1::CatalogSection& section : then.catalog()) {
    if (section.kind() == kReferencedRoles) continue;
    const auto check = checks.find(section.kind());
    // A section of a newer Salvor: say so rather than pass over it.
    const bool known = check != checks.end() && found.count(section.kind()) > 0;
    if (!known) {
      if (section.lines_size() == 0) continue;
      differences.push_back({"schema", section.kind(), "this kind of object cannot be compared here", true});
      continue;
    }
    CompareLines(check->second, section.kind(), Sorted(section.lines()), found[section.kind()],
                 other_major && IsDeparsed(section.kind()), differences);
  }
}

bool IsGrant(const std::string& statement) {
  return statement.rfind("GRANT ", 0) == 0 || statement.rfind("REVOKE ", 0) == 0;
}

void CompareProperties(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                       std::vector<Difference>& differences) {
  const auto facts = [](const v1::DatabaseProperties& p) {
    Lines lines = {"encoding " + p.encoding(), "collate " + p.collate(),
                   "ctype " + p.ctype(),       "provider " + p.locale_provider(),
                   "locale " + p.icu_locale(), fmt::format("connection limit {}", p.connection_limit()),
                   "comment " + p.comment()};
    for (const std::string& statement : p.statements()) {
      if (!IsGrant(statement)) lines.push_back(statement);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  const auto grants = [](const v1::DatabaseProperties& p) {
    Lines lines = {"owner " + p.owner()};
    for (const std::string& statement : p.statements()) {
      if (IsGrant(statement)) lines.push_back(statement);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  };
  CompareLines("schema", "database", facts(then.properties()), facts(now.properties()), false, differences);
  CompareLines("grants", "database", grants(then.properties()), grants(now.properties()), false, differences);
}

void CompareExtensions(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                       std::vector<Difference>& differences) {
  const auto lines = [](const v1::DatabaseDetails& details) {
    Lines all;
    for (const auto& extension : details.extensions())
      all.push_back(extension.name() + " " + extension.version());
    std::sort(all.begin(), all.end());
    return all;
  };
  CompareLines("extensions", "extensions", lines(then), lines(now), false, differences);
}

void CompareMigrations(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                       std::vector<Difference>& differences) {
  std::map<std::string, Lines> found;
  for (const auto& table : now.migrations()) found[table.table()] = Sorted(table.rows());
  for (const auto& table : then.migrations()) {
    if (found.count(table.table()) == 0) {
      differences.push_back({"migrations", table.table(), "the table is missing", false});
      continue;
    }
    CompareLines("migrations", table.table(), Sorted(table.rows()), found[table.table()], false, differences);
  }
}

}  // namespace

std::vector<Difference> CompareInventories(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now) {
  std::vector<Difference> differences;
  const bool other_major = then.server_version_num() / 10000 != now.server_version_num() / 10000;
  CompareProperties(then, now, differences);
  CompareCatalog(then, now, other_major, differences);
  CompareExtensions(then, now, differences);
  CompareMigrations(then, now, differences);
  return differences;
}

std::string ForDatabase(const std::string& statement, const std::string& quoted_database) {
  constexpr std::string_view kPlace = "%DB%";
  std::string text;
  char quote = 0;
  for (size_t i = 0; i < statement.size();) {
    if (quote == 0 && statement.compare(i, kPlace.size(), kPlace) == 0) {
      text += quoted_database;
      i += kPlace.size();
      continue;
    }
    const char c = statement[i++];
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (quote == c) {
      quote = 0;  // a doubled quote opens again at once
    }
    text += c;
  }
  return text;
}

namespace {

// Names of a list setting as the server stores it: plain, or in double quotes with inner ones doubled.
bool SplitNames(const std::string& value, std::vector<std::string>& names) {
  size_t i = 0;
  const auto skip_spaces = [&] {
    while (i < value.size() && value[i] == ' ') ++i;
  };
  skip_spaces();
  if (i == value.size()) return true;
  while (true) {
    std::string name;
    if (i < value.size() && value[i] == '"') {
      for (++i;; ++i) {
        if (i >= value.size()) return false;
        if (value[i] != '"') {
          name += value[i];
        } else if (i + 1 < value.size() && value[i + 1] == '"') {
          name += value[i++];
        } else {
          ++i;
          break;
        }
      }
    } else {
      while (i < value.size() && value[i] != ',' && value[i] != ' ') name += value[i++];
      if (name.empty()) return false;
    }
    names.push_back(name);
    skip_spaces();
    if (i == value.size()) return true;
    if (value[i++] != ',') return false;
    skip_spaces();
  }
}

}  // namespace

std::string SettingAssignment(const Connection& connection, const std::string& name_and_value) {
  static const std::vector<std::string> kLists = {"local_preload_libraries",   "search_path",
                                                  "session_preload_libraries", "shared_preload_libraries",
                                                  "temp_tablespaces",          "unix_socket_directories"};
  const size_t equals = name_and_value.find('=');
  const std::string name = name_and_value.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : name_and_value.substr(equals + 1);
  // Extensions' settings have a dot: each part is quoted by itself.
  std::vector<std::string> parts;
  for (const std::string& part : Split(name, '.')) parts.push_back(connection.Identifier(part));
  std::vector<std::string> literals;
  if (std::find(kLists.begin(), kLists.end(), name) != kLists.end() && SplitNames(value, literals) &&
      !literals.empty()) {
    for (std::string& literal : literals) literal = connection.Literal(literal);
  } else {
    literals = {connection.Literal(value)};
  }
  return fmt::format("{} TO {}", Join(parts, "."), Join(literals, ", "));
}

}  // namespace salvor::agent
