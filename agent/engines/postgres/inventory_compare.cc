#include <algorithm>
#include <functional>
#include <iterator>
#include <map>

#include "agent/engines/postgres/catalog_queries.h"
#include "agent/engines/postgres/inventory.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using Lines = std::vector<std::string>;

constexpr char kOtherMajor[] = "; another major version may print this differently";

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

// Drops the lines that are accounted for elsewhere.
void DropKnown(const std::string& check, const KnownLine& is_known, Lines& lines) {
  if (!is_known) return;
  lines.erase(std::remove_if(lines.begin(), lines.end(),
                             [&](const std::string& line) { return is_known(check, line); }),
              lines.end());
}

void CompareLines(const std::string& check, const std::string& subject, const Lines& then, const Lines& now,
                  const KnownLine& is_known, std::vector<Difference>& differences) {
  Lines missing, extra;
  std::set_difference(then.begin(), then.end(), now.begin(), now.end(), std::back_inserter(missing));
  std::set_difference(now.begin(), now.end(), then.begin(), then.end(), std::back_inserter(extra));
  DropKnown(check, is_known, missing);
  DropKnown(check, is_known, extra);
  if (missing.empty() && extra.empty()) return;
  differences.push_back({check, subject, Describe(missing, extra)});
}

// The part of a long text around the first place where it differs from another, which stands in "…".
std::string AroundDifference(const std::string& text, const std::string& other) {
  constexpr size_t kBefore = 60, kShown = 300;
  const size_t at = static_cast<size_t>(
      std::mismatch(text.begin(), text.end(), other.begin(), other.end()).first - text.begin());
  size_t begin = at < kBefore ? 0 : at - kBefore;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return (begin > 0 ? "…" : "") + Elide(text.substr(begin), kShown);
}

using Statements = std::map<std::string, std::vector<const v1::CatalogStatement*>>;

Statements ByObject(const v1::CatalogSection& section) {
  Statements statements;
  for (const v1::CatalogStatement& statement : section.statements()) {
    statements[statement.object()].push_back(&statement);
  }
  return statements;
}

// Statements of objects that both sides have; the objects themselves are compared as lines.
void CompareStatements(const CatalogQuery& query, const v1::CatalogSection& then,
                       const v1::CatalogSection& now, bool other_major, const KnownLine& is_known,
                       std::vector<Difference>& differences) {
  const Statements found = ByObject(now);
  for (const auto& [object, expected] : ByObject(then)) {
    const auto at = found.find(object);
    if (at == found.end()) continue;
    // Two of one name never are; if they were, they would be compared in order.
    for (size_t i = 0; i < std::min(expected.size(), at->second.size()); ++i) {
      const v1::CatalogStatement& was = *expected[i];
      const v1::CatalogStatement& is = *at->second[i];
      if (was.sql() == is.sql() || (is_known && is_known(query.check, object))) continue;
      std::string text =
          fmt::format("{}: expected {}; found {}", object, AroundDifference(was.sql(), is.sql()),
                      AroundDifference(is.sql(), was.sql()));
      if (other_major) text += kOtherMajor;
      differences.push_back(
          {query.check, query.kind, text, other_major, query.reading, is.name(), was.sql(), is.sql()});
    }
  }
}

// Each object as a line; whether it has a statement counts, what the statement says is compared by itself.
Lines AllLines(const v1::CatalogSection& section) {
  Lines lines(section.lines().begin(), section.lines().end());
  for (const v1::CatalogStatement& statement : section.statements())
    lines.push_back(statement.object() + " …");
  std::sort(lines.begin(), lines.end());
  return lines;
}

Lines Minus(const Lines& from, const Lines& what) {
  Lines rest;
  std::set_difference(from.begin(), from.end(), what.begin(), what.end(), std::back_inserter(rest));
  return rest;
}

void CompareSection(const CatalogQuery& query, const v1::CatalogSection& then, const v1::CatalogSection& now,
                    bool other_major, const KnownLine& is_known, std::vector<Difference>& differences) {
  const Lines was = AllLines(then), is = AllLines(now);
  Lines missing = Minus(was, is), extra = Minus(is, was);
  DropKnown(query.check, is_known, missing);
  DropKnown(query.check, is_known, extra);
  // A dropped or renamed "public" comes back with every new database, unused: that takes nothing away.
  // Nor does one whose last object is missing, which is a difference of its own.
  const auto unused = std::find(extra.begin(), extra.end(), kUnusedPublicSchema);
  if (unused != extra.end()) {
    extra.erase(unused);
    missing.erase(std::remove(missing.begin(), missing.end(), "public"), missing.end());
  }
  if (query.left_out && !missing.empty()) {
    differences.push_back({query.check, query.kind,
                           Describe(missing, {}) + "; a dump does not carry this, set it again by hand",
                           true});
    missing.clear();
  }
  if (!missing.empty() || !extra.empty()) {
    const bool uncertain = other_major && IsDeparsed(query.kind);
    differences.push_back(
        {query.check, query.kind, Describe(missing, extra) + (uncertain ? kOtherMajor : ""), uncertain});
  }
  CompareStatements(query, then, now, other_major, is_known, differences);
}

// Kinds of facts by the check they belong to, for one sentence about all of them.
using Kinds = std::map<std::string, Lines>;

void AddUncertain(const Kinds& kinds, const std::string& why, std::vector<Difference>& differences) {
  for (const auto& [check, names] : kinds) {
    differences.push_back({check, "catalogue", fmt::format("{}: {}", why, Join(names, ", ")), true});
  }
}

// Whether a backup of this form, from a server of this version, would hold the section at all.
bool WouldHold(const CatalogQuery& query, const v1::DatabaseDetails& then, int format) {
  for (const CatalogQuery& other : CatalogQueries()) {
    if (std::string_view(other.kind) != query.kind) continue;
    const int version = then.server_version_num();
    if (version >= other.since && version <= other.until && other.format <= format) return true;
  }
  return false;
}

using Sections = std::map<std::string, const v1::CatalogSection*, std::less<>>;

const v1::CatalogSection* Find(const Sections& sections, std::string_view kind) {
  const auto at = sections.find(kind);
  return at == sections.end() ? nullptr : at->second;
}

// A restore makes a schema that was once "public" anew, and its first grants are grants like any others then. So
// they are compared as such; but where the backup does not say how to set them, what is missing stays what a dump
// left out.
class FirstGrants {
 public:
  FirstGrants(const v1::DatabaseDetails& then, Sections& was, Sections& is) {
    const v1::CatalogSection* const first_then = Find(was, kFirstGrants);
    const v1::CatalogSection* const first_now = Find(is, kFirstGrants);
    if (first_then == nullptr || first_now == nullptr || Find(was, kSchemaGrants) == nullptr ||
        Find(is, kSchemaGrants) == nullptr) {
      return;
    }
    grants_then_ = *Find(was, kSchemaGrants);
    grants_now_ = *Find(is, kSchemaGrants);
    rest_.set_kind(std::string(kFirstGrants));
    none_ = rest_;
    for (const std::string& line : first_now->lines()) grants_now_.add_lines(line);
    const Lines found = Sorted(grants_now_.lines());
    for (const std::string& line : first_then->lines()) {
      const bool set_again = then.has_schema_grants() || std::binary_search(found.begin(), found.end(), line);
      (set_again ? grants_then_ : rest_).add_lines(line);
    }
    was[std::string(kFirstGrants)] = &rest_;
    is[std::string(kFirstGrants)] = &none_;
    was[std::string(kSchemaGrants)] = &grants_then_;
    is[std::string(kSchemaGrants)] = &grants_now_;
  }

 private:
  v1::CatalogSection grants_then_, grants_now_, rest_, none_;
};

void CompareCatalog(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now, bool other_major,
                    const KnownLine& is_known, std::vector<Difference>& differences) {
  const int format = std::max(1, then.format());
  Sections was, is;
  for (const v1::CatalogSection& section : then.catalog()) was[section.kind()] = &section;
  for (const v1::CatalogSection& section : now.catalog()) is[section.kind()] = &section;
  const FirstGrants first_grants(then, was, is);
  Kinds unknown, other_form, not_recorded;
  for (const auto& [kind, section] : was) {
    if (kind == kReferencedRoles) continue;
    const CatalogQuery* query = FindCatalogQuery(kind, now.server_version_num());
    const auto found = is.find(kind);
    if (query == nullptr || found == is.end()) {
      if (section->lines_size() + section->statements_size() > 0) unknown["schema"].push_back(kind);
    } else if (query->format > format || format > kDetailsFormat) {
      other_form[query->check].push_back(kind);
    } else {
      CompareSection(*query, *section, *found->second, other_major, is_known, differences);
    }
  }
  for (const auto& [kind, section] : is) {
    const CatalogQuery* query = FindCatalogQuery(kind, now.server_version_num());
    if (query == nullptr || was.count(kind) > 0) continue;
    if (format >= kDetailsFormat && !WouldHold(*query, then, format))
      continue;  // the server had no such thing
    not_recorded[query->check].push_back(kind);
  }
  AddUncertain(unknown, "this version cannot compare", differences);
  AddUncertain(other_form, "recorded by another version of Salvor in another form, not compared",
               differences);
  AddUncertain(not_recorded, "not recorded in this backup, which another version of Salvor made",
               differences);
}

bool IsGrant(const std::string& statement) {
  return statement.rfind("GRANT ", 0) == 0 || statement.rfind("REVOKE ", 0) == 0;
}

void CompareProperties(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                       const KnownLine& is_known, std::vector<Difference>& differences) {
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
  CompareLines("schema", "database", facts(then.properties()), facts(now.properties()), is_known,
               differences);
  CompareLines("grants", "database", grants(then.properties()), grants(now.properties()), is_known,
               differences);
}

// PL/pgSQL comes with every new database, so a dump cannot say that it was dropped.
void CompareExtensions(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                       const KnownLine& is_known, std::vector<Difference>& differences) {
  std::map<std::string, std::string> was, is;
  for (const auto& extension : then.extensions()) was[extension.name()] = extension.version();
  for (const auto& extension : now.extensions()) is[extension.name()] = extension.version();
  Lines missing, extra;
  for (const auto& [name, version] : was) {
    const auto found = is.find(name);
    if (found == is.end()) {
      missing.push_back(name + " " + version);
    } else if (found->second != version) {
      Difference difference{"extensions", "extensions",
                            fmt::format("{}: expected {}, found {}", name, version, found->second)};
      difference.name = name;
      difference.expected = version;
      difference.found = found->second;
      differences.push_back(std::move(difference));
    }
  }
  for (const auto& [name, version] : is) {
    if (was.count(name) == 0 && name != "plpgsql") extra.push_back(name + " " + version);
  }
  DropKnown("extensions", is_known, missing);
  if (missing.empty() && extra.empty()) return;
  differences.push_back({"extensions", "extensions", Describe(missing, extra)});
}

void CompareMigrations(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                       const KnownLine& is_known, std::vector<Difference>& differences) {
  std::map<std::string, Lines> found;
  for (const auto& table : now.migrations()) found[table.table()] = Sorted(table.rows());
  for (const auto& table : then.migrations()) {
    const bool same = found.count(table.table()) > 0 && found[table.table()] == Sorted(table.rows());
    if (!same && is_known && is_known("migrations", table.table())) continue;
    if (found.count(table.table()) == 0) {
      differences.push_back({"migrations", table.table(), "the table is missing"});
      continue;
    }
    CompareLines("migrations", table.table(), Sorted(table.rows()), found[table.table()], {}, differences);
  }
}

}  // namespace

std::vector<Difference> CompareInventories(const v1::DatabaseDetails& then, const v1::DatabaseDetails& now,
                                           const KnownLine& is_known) {
  std::vector<Difference> differences;
  const bool other_major = then.server_version_num() / 10000 != now.server_version_num() / 10000;
  CompareProperties(then, now, is_known, differences);
  CompareCatalog(then, now, other_major, is_known, differences);
  CompareExtensions(then, now, is_known, differences);
  CompareMigrations(then, now, is_known, differences);
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
