#include "agent/engines/postgres/restore_failures.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr std::string_view kProgram = "pg_restore: ";
constexpr std::string_view kEntry = "pg_restore: from TOC entry ";
constexpr std::string_view kError = "pg_restore: error: ";
constexpr std::string_view kIgnored = "pg_restore: warning: errors ignored on restore: ";
constexpr std::string_view kAlter = "Command was: ALTER ";
constexpr size_t kLongestError = 2000;

// The number that `text` begins with; `otherwise` where there is none.
int64_t LeadingNumber(std::string_view text, int64_t otherwise) {
  int64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  return read.ec == std::errc() ? number : otherwise;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsUpper(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

// Entries about another object name it with its kind in front: "MATERIALIZED VIEW totals".
std::string NameWithKind(const std::string& schema, std::string_view tag) {
  size_t begin = 0;
  for (size_t space = tag.find(' '); space != std::string_view::npos; space = tag.find(' ', begin)) {
    if (!IsUpper(tag.substr(begin, space - begin))) break;
    begin = space + 1;
  }
  return Lower(tag.substr(0, begin)) + (schema.empty() ? "" : schema + ".") + std::string(tag.substr(begin));
}

}  // namespace

void RestoreErrors::AddLine(std::string_view line) {
  if (line.starts_with(kEntry)) {
    entry_ = LeadingNumber(line.substr(kEntry.size()), 0);
  } else if (line.starts_with(kError)) {
    failures_.push_back({entry_, Elide(line.substr(kError.size()), kLongestError)});
  } else if (!failures_.empty() && line.starts_with(kAlter) &&
             line.find(" OWNER TO ") != std::string_view::npos) {
    failures_.back().of_owner = true;
  } else if (line.starts_with(kIgnored)) {
    ignored_ = LeadingNumber(line.substr(kIgnored.size()), -1);
  }
}

bool IsVerboseLine(std::string_view line) {
  if (!line.starts_with(kProgram)) return false;
  const std::string_view said = line.substr(kProgram.size());
  const auto begins = [said](std::string_view start) { return said.starts_with(start); };
  // "WARNING:  …": libpq sets two spaces behind a severity of the server's, whatever its language.
  const size_t severity = said.find(":  ");
  const bool is_servers =
      severity != std::string_view::npos && said.substr(0, severity).find(' ') == std::string_view::npos;
  return !is_servers && !begins("error: ") && !begins("warning: ") && !begins("detail: ") &&
         !begins("hint: ") && !begins("from TOC entry ") && !begins("while ");
}

std::string ServersWords(std::string_view error) {
  // "ERROR:  " or "FEHLER:  ": libpq sets two spaces behind the severity, and the program's own words have none.
  const size_t severity = error.find(":  ");
  std::string_view words = severity == std::string_view::npos ? error : error.substr(severity + 3);
  constexpr std::string_view kOwn = "could not execute query: ";
  if (words.starts_with(kOwn)) words.remove_prefix(kOwn.size());
  return std::string(Trim(words));
}

std::string TitleOfEntry(const std::string& kind, const std::string& schema, const std::string& tag) {
  static const std::map<std::string, std::string> kWords = {
      {"TABLE DATA", "rows of table"},
      {"MATERIALIZED VIEW DATA", "rows of materialized view"},
      {"SEQUENCE SET", "position of sequence"},
      {"FK CONSTRAINT", "foreign key"},
      {"BLOB", "large object"},
      {"BLOB METADATA", "large objects"},
      {"DEFAULT", "default of column"},
      {"ACL", "grants on"},
      {"DEFAULT ACL", "default grants"},
      {"COMMENT", "comment on"},
      {"SECURITY LABEL", "security label on"},
  };
  if (kind.empty()) return "settings of the session";
  if (kind == "BLOBS") return "content of large objects";
  const auto word = kWords.find(kind);
  const std::string what = word == kWords.end() ? Lower(kind) : word->second;
  if (kind == "ACL" || kind == "COMMENT" || kind == "SECURITY LABEL")
    return fmt::format("{} {}", what, NameWithKind(schema, tag));
  return fmt::format("{} {}{}", what, schema.empty() ? "" : schema + ".", tag);
}

}  // namespace salvor::agent
