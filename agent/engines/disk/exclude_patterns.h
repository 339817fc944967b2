// restic's --exclude patterns, read as restic reads them: what they leave out is neither entered nor expected, and
// what else a snapshot lacks was not left out by them. Pure, and the same for restic 0.14 to 0.18.
//
// A pattern is a run of path components that may stand anywhere in a path, or at its start when it begins with
// '/'; each component is a glob (`*` `?` `[a-z]` `[^a-z]` `\`), `**` is any number of components. A pattern that
// begins with '!' takes back what those before it excluded.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace salvor::agent {

class ExcludePatterns {
 public:
  ExcludePatterns() = default;
  explicit ExcludePatterns(const std::vector<std::string>& patterns);

  // Whether an absolute, normalised path (plain bytes, not encoded) is excluded itself. What lies below an
  // excluded directory is not looked at by anybody, so it is not asked for. A pattern that is no glob excludes
  // nothing: restic refuses it.
  bool Excludes(std::string_view path) const;

  // The pattern that excludes exactly this path, whatever characters it has.
  static std::string PatternOf(std::string_view path);

 private:
  struct Pattern {
    std::vector<std::string> parts;  // "/" first when it is anchored
    bool negated = false;
  };
  std::vector<Pattern> patterns_;
};

}  // namespace salvor::agent
