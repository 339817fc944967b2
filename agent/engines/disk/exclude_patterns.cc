#include "agent/engines/disk/exclude_patterns.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "agent/engines/disk/utf8.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using Parts = std::vector<std::string>;

// Takes the first character off the text; a byte that is not UTF-8 is a character of its own.
uint32_t TakeCharacter(std::string_view* text) {
  const size_t length = Utf8SequenceLength(*text);
  const auto first = static_cast<unsigned char>(text->front());
  uint32_t character = length == 0 ? 0xFFFD : length == 1 ? first : first & (0xFFU >> (length + 1));
  for (size_t i = 1; i < length; ++i)
    character = character << 6 | (static_cast<unsigned char>((*text)[i]) & 0x3FU);
  text->remove_prefix(length == 0 ? 1 : length);
  return character;
}

// One bound of a range in a class; nothing when the class is malformed.
std::optional<uint32_t> TakeBound(std::string_view* glob) {
  if (glob->empty() || glob->front() == '-' || glob->front() == ']') return std::nullopt;
  if (glob->front() == '\\') {
    glob->remove_prefix(1);
    if (glob->empty()) return std::nullopt;
  }
  const uint32_t bound = TakeCharacter(glob);
  return glob->empty() ? std::nullopt : std::optional(bound);
}

// The rest of a class after its '[', taken off the glob: whether the character is in it.
std::optional<bool> MatchClass(std::string_view* glob, uint32_t character) {
  const bool negated = !glob->empty() && glob->front() == '^';
  if (negated) glob->remove_prefix(1);
  bool found = false;
  for (bool first = true;; first = false) {
    if (!glob->empty() && glob->front() == ']' && !first) {
      glob->remove_prefix(1);
      return found != negated;
    }
    const std::optional<uint32_t> low = TakeBound(glob);
    std::optional<uint32_t> high = low;
    if (low.has_value() && glob->front() == '-') {
      glob->remove_prefix(1);
      high = TakeBound(glob);
    }
    if (!low.has_value() || !high.has_value()) return std::nullopt;
    found = found || (*low <= character && character <= *high);
  }
}

// One component against one glob, as Go's filepath.Match does it. Backtracks to the last '*' alone: enough, since
// whatever an earlier one could take, the last one can.
bool MatchGlob(std::string_view glob, std::string_view text) {
  std::optional<std::pair<std::string_view, std::string_view>> retry;
  const auto back = [&] {
    if (!retry.has_value() || retry->second.empty()) return false;
    TakeCharacter(&retry->second);
    glob = retry->first;
    text = retry->second;
    return true;
  };
  while (true) {
    if (!glob.empty() && glob.front() == '*') {
      glob.remove_prefix(1);
      retry = {glob, text};
      continue;
    }
    bool same = false;
    if (glob.empty()) {
      if (text.empty()) return true;
    } else if (!text.empty()) {
      const uint32_t wanted = static_cast<unsigned char>(glob.front());
      if (wanted == '[') {
        glob.remove_prefix(1);
        const std::optional<bool> matched = MatchClass(&glob, TakeCharacter(&text));
        if (!matched.has_value()) return false;
        same = *matched;
      } else if (wanted == '?') {
        glob.remove_prefix(1);
        TakeCharacter(&text);
        same = true;
      } else {
        if (wanted == '\\') glob.remove_prefix(1);
        if (glob.empty()) return false;
        same = glob.front() == text.front();
        glob.remove_prefix(1);
        text.remove_prefix(1);
      }
    }
    if (!same && !back()) return false;
  }
}

Parts PartsOfPath(std::string_view path) {
  Parts parts;
  if (!path.empty() && path.front() == '/') parts.emplace_back("/");
  for (std::string& part : Split(path, '/')) {
    if (!part.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

// The pattern as Go's filepath.Clean leaves it, split.
Parts PartsOfPattern(std::string_view pattern) {
  Parts clean;
  for (std::string& part : PartsOfPath(pattern)) {
    if (part == ".") continue;
    const bool has_parent = !clean.empty() && clean.back() != ".." && clean.back() != "/";
    if (part == ".." && has_parent) {
      clean.pop_back();
    } else if (part != ".." || clean.empty() || clean.back() != "/") {
      clean.push_back(std::move(part));
    }
  }
  if (clean.empty()) clean.emplace_back(".");
  return clean;
}

bool MatchPart(const std::string& glob, const std::string& part) {
  if (glob == "/" || part == "/") return glob == part;
  return MatchGlob(glob, part);
}

// Whether the pattern's parts from `p` on begin the path's parts from `s` on. A "**" takes any number of parts.
bool MatchFrom(const Parts& pattern, size_t p, const Parts& path, size_t s) {
  if (p == pattern.size()) return true;  // what follows lies below
  if (pattern[p] == "**") {
    for (size_t next = s; next <= path.size(); ++next) {
      if (MatchFrom(pattern, p + 1, path, next)) return true;
    }
    return false;
  }
  return s < path.size() && MatchPart(pattern[p], path[s]) && MatchFrom(pattern, p + 1, path, s + 1);
}

bool Matches(const Parts& pattern, const Parts& path) {
  if (pattern.front() == "/") return MatchFrom(pattern, 0, path, 0);
  for (size_t start = !path.empty() && path.front() == "/" ? 1 : 0; start < path.size(); ++start) {
    if (MatchFrom(pattern, 0, path, start)) return true;
  }
  return false;
}

}  // namespace

ExcludePatterns::ExcludePatterns(const std::vector<std::string>& patterns) {
  for (const std::string& text : patterns) {
    if (text.empty()) continue;
    Pattern pattern;
    pattern.negated = text.front() == '!';
    pattern.parts = PartsOfPattern(std::string_view(text).substr(pattern.negated ? 1 : 0));
    patterns_.push_back(std::move(pattern));
  }
}

bool ExcludePatterns::Excludes(std::string_view path) const {
  if (patterns_.empty()) return false;
  const Parts parts = PartsOfPath(path);
  bool excluded = false;
  for (const Pattern& pattern : patterns_) {
    if (pattern.negated == excluded && Matches(pattern.parts, parts)) excluded = !pattern.negated;
  }
  return excluded;
}

std::string ExcludePatterns::PatternOf(std::string_view path) {
  std::string pattern;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

}  // namespace salvor::agent
