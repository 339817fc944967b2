#include "agent/engines/postgres/actions/not_built.h"

#include <fmt/core.h>

#include <algorithm>

namespace salvor::agent {
namespace {

// Texts of the catalogue quote names where SQL needs it, pg_restore never does.
std::string WithoutQuotes(std::string_view text) {
  std::string plain(text);
  plain.erase(std::remove(plain.begin(), plain.end(), '"'), plain.end());
  return plain;
}

bool IsOfName(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         (c & 0x80) != 0;
}

// Whole: "public.t" is in "public.t.id", and neither in "public.t2" nor in "my.public.t". Without parts it is not in
// "public.t.id" either.
bool HoldsName(std::string_view line, std::string_view name, bool with_parts) {
  for (size_t at = line.find(name); at != std::string_view::npos; at = line.find(name, at + 1)) {
    const bool begins = at == 0 || (!IsOfName(line[at - 1]) && line[at - 1] != '.');
    const size_t end = at + name.size();
    if (!with_parts && end < line.size() && line[end] == '.') continue;
    if (begins && (end == line.size() || !IsOfName(line[end]) || !IsOfName(name.back()))) return true;
  }
  return false;
}

bool IsOfGrants(const std::string& kind) {
  return kind == "ACL" || kind == "DEFAULT ACL" || kind.starts_with(kOwnerOf);
}

// It says something about a thing that is there, and nothing about the thing's parts.
bool IsAside(const std::string& kind) {
  return IsOfGrants(kind) || kind == "COMMENT" || kind == "SECURITY LABEL" || kind == "ROW SECURITY" ||
         kind == "TABLE ATTACH" || kind == "INDEX ATTACH";
}

bool IsRows(const std::string& kind) { return kind == "TABLE DATA" || kind == "SEQUENCE SET"; }

// The names that texts of the catalogue have for it. Nobody knows where the first name of a tag of several words ends
// ("orders orders_customer_fkey", "TABLE orders"), for names may hold spaces: every cut is a candidate.
std::vector<std::string> NamesIn(const v1::NotBuilt& thing) {
  const std::string tag = WithoutQuotes(thing.name()), schema = WithoutQuotes(thing.schema());
  const std::string prefix = schema.empty() ? "" : schema + ".";
  if (thing.kind() == kDatabaseSetting) return {tag};
  if (tag.empty()) return {};  // of no entry, or of one without a name
  const size_t arguments = tag.find('(');
  if (arguments != std::string::npos) {  // whose types are printed in more than one way
    std::vector<std::string> names = {prefix + tag.substr(0, arguments + 1)};
    for (size_t cut = tag.find(' '); cut < arguments; cut = tag.find(' ', cut + 1))
      names.push_back(prefix + tag.substr(cut + 1, arguments - cut));
    return names;
  }
  std::vector<std::string> names = {prefix + tag};
  // The index behind a constraint, and whom a comment or grant is on. The second name of anything else is no object of
  // its own: a foreign key "of parent" says nothing about the table parent.
  const std::string& kind = thing.kind();
  const bool alone = kind == "CONSTRAINT" || kind == "COMMENT" || kind == "ACL" || kind == "SECURITY LABEL";
  for (size_t cut = tag.find(' '); cut != std::string::npos; cut = tag.find(' ', cut + 1)) {
    const std::string left = prefix + tag.substr(0, cut), right = tag.substr(cut + 1);
    if (right.empty()) continue;
    names.push_back(fmt::format("{} {}", left, right));     // a constraint
    names.push_back(fmt::format("{}.{}", left, right));     // a column
    names.push_back(fmt::format("{} on {}", right, left));  // as the server identifies them
    names.push_back(fmt::format("TRIGGER {} ", right));     // as it prints triggers …
    names.push_back(fmt::format("clone {} on ", right));    // … and those of partitions are called
    if (alone) names.push_back(prefix + right);
  }
  return names;
}

std::string KindOfCheck(const v1::NotBuilt& thing) {
  const std::string& kind = thing.kind();
  if (kind == "TABLE DATA") return "rows";
  if (kind == "SEQUENCE SET") return "sequences";
  if (kind == "EXTENSION") return "extensions";
  if (kind.starts_with("BLOB")) return "large objects";
  if (IsOfGrants(kind)) return "grants";
  const bool grant = thing.name().starts_with("GRANT ") || thing.name().starts_with("REVOKE ");
  return kind == kDatabaseSetting && grant ? "grants" : "schema";
}

}  // namespace

NotBuiltThings::NotBuiltThings(const v1::Task& task, const std::string& database) : database_(database) {
  for (const auto& [step, result] : task.inputs()) {
    left_out_ += result.not_built_left_out();
    for (const v1::NotBuilt& one : result.not_built()) things_.push_back({one, NamesIn(one)});
  }
}

void NotBuiltThings::Report(CheckList& checks) const {
  for (const Thing& thing : things_) {
    const std::string& state = thing.what.sqlstate();
    checks.NotBuilt(KindOfCheck(thing.what), fmt::format("{}: {}", database_, thing.what.title()),
                    fmt::format("could not be built: {}{}", thing.what.cause(),
                                state.empty() ? "" : fmt::format(" (SQLSTATE {})", state)));
  }
  if (left_out_ > 0) {
    // Consequences of these cannot be told apart from other differences.
    checks.Failed("schema", database_,
                  fmt::format("{} more could not be built; the run's log names them", left_out_));
  }
}

bool NotBuiltThings::Explains(const std::string& check, std::string_view line) const {
  if (things_.empty()) return false;
  const std::string plain = WithoutQuotes(line);
  return std::any_of(things_.begin(), things_.end(), [&](const Thing& thing) {
    const std::string& kind = thing.what.kind();
    if (kind == kDatabaseSetting) return plain == thing.names.front();
    // Rows say nothing about definitions; what migration tools keep are rows.
    if (IsRows(kind) && check != "migrations") return false;
    if (IsOfGrants(kind) && check != "grants") return false;
    if (kind == "COMMENT" && plain.find(": ") == std::string::npos) return false;  // "type name: text"
    if (kind.starts_with("BLOB") || kind.starts_with(kOwnerOf + "BLOB"))
      return plain.find(" large objects ") != std::string::npos;
    return std::any_of(thing.names.begin(), thing.names.end(),
                       [&](const std::string& name) { return HoldsName(plain, name, !IsAside(kind)); });
  });
}

bool NotBuiltThings::Has(const std::vector<std::string_view>& kinds, const std::string& schema,
                         const std::string& name) const {
  return std::any_of(things_.begin(), things_.end(), [&](const Thing& thing) {
    return thing.what.schema() == schema && thing.what.name() == name &&
           std::find(kinds.begin(), kinds.end(), thing.what.kind()) != kinds.end();
  });
}

bool NotBuiltThings::ExplainsRows(const std::string& schema, const std::string& table) const {
  return Has({"TABLE", "TABLE DATA"}, schema, table);
}

bool NotBuiltThings::ExplainsSequence(const std::string& schema, const std::string& sequence) const {
  return Has({"SEQUENCE", "SEQUENCE SET"}, schema, sequence);
}

bool NotBuiltThings::ExplainsLargeObjects() const {
  return std::any_of(things_.begin(), things_.end(),
                     [](const Thing& thing) { return thing.what.kind().starts_with("BLOB"); });
}

}  // namespace salvor::agent
