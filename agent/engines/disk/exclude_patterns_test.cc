#include "agent/engines/disk/exclude_patterns.h"

#include <gmock/gmock.h>

namespace salvor::agent {
namespace {

bool Excludes(const std::vector<std::string>& patterns, const std::string& path) {
  return ExcludePatterns(patterns).Excludes(path);
}

// The expected results are those that restic 0.14 gave when measured; disk_actions_test holds both against each other.
TEST(ExcludePatternsTest, ARunOfComponentsMayStandAnywhereUnlessItIsAnchored) {
  EXPECT_TRUE(Excludes({"*.tmp"}, "/srv/a/b.tmp"));
  EXPECT_TRUE(Excludes({"a/b"}, "/srv/a/b"));
  EXPECT_FALSE(Excludes({"a/b"}, "/srv/a/x/b"));
  EXPECT_TRUE(Excludes({"srv"}, "/srv/shop"));  // a component above counts too
  EXPECT_TRUE(Excludes({"/srv"}, "/srv/shop"));
  EXPECT_FALSE(Excludes({"/shop"}, "/srv/shop"));
  EXPECT_FALSE(Excludes({"A/b"}, "/srv/a/b"));
  EXPECT_FALSE(Excludes({}, "/srv"));
}

TEST(ExcludePatternsTest, PatternsAreCleanedAsPathsAre) {
  for (const char* pattern : {"a//b", "a/b/", "./a/b", "x/../a/b"})
    EXPECT_TRUE(Excludes({pattern}, "/srv/a/b")) << pattern;
  EXPECT_FALSE(Excludes({" a"}, "/srv/a"));
}

TEST(ExcludePatternsTest, TwoStarsAreAnyNumberOfComponents) {
  EXPECT_TRUE(Excludes({"/srv/**/f"}, "/srv/f"));
  EXPECT_TRUE(Excludes({"/srv/**/f"}, "/srv/a/b/f"));
  EXPECT_TRUE(Excludes({"b/**"}, "/srv/b"));
  EXPECT_TRUE(Excludes({"**/c"}, "/srv/c"));
  EXPECT_FALSE(Excludes({"/srv/**/f"}, "/other/f"));
  EXPECT_FALSE(Excludes({"a/*/c"}, "/srv/a/c"));
}

TEST(ExcludePatternsTest, GlobsAreGos) {
  EXPECT_TRUE(Excludes({"a?c"},
                       "/s/a\xc3\xa9"
                       "c"));
  EXPECT_TRUE(Excludes({"a?c"},
                       "/s/a\xff"
                       "c"));
  EXPECT_TRUE(Excludes({"[a-c]x"}, "/s/bx"));
  EXPECT_FALSE(Excludes({"[^a-c]x"}, "/s/bx"));
  EXPECT_TRUE(Excludes({"[!b]"}, "/s/b"));  // '!' is no negation
  EXPECT_TRUE(Excludes({"[[]z]"}, "/s/[z]"));
  EXPECT_TRUE(Excludes({"\\*"}, "/s/*"));
  EXPECT_FALSE(Excludes({"\\*"}, "/s/x"));
  EXPECT_TRUE(Excludes({"*a*b*"}, "/s/xaxxaxbx"));
  EXPECT_FALSE(Excludes({"*a*b"}, "/s/xaxxaxbx"));
  for (const char* malformed : {"[", "a\\", "[]", "[a", "[-a]"})
    EXPECT_FALSE(Excludes({malformed}, "/s/a")) << malformed;
}

TEST(ExcludePatternsTest, ALaterPatternTakesBackWhatAnEarlierOneExcluded) {
  EXPECT_FALSE(Excludes({"*.tmp", "!keep/*.tmp"}, "/s/keep/a.tmp"));
  EXPECT_TRUE(Excludes({"!keep/*.tmp", "*.tmp"}, "/s/keep/a.tmp"));
  EXPECT_FALSE(Excludes({"!a"}, "/s/a"));
}

TEST(ExcludePatternsTest, AnyPathHasAPatternOfItsOwn) {
  for (const char* path : {"/s/a*b", "/s/[x]?\\", "/s/plain", "/s/!x"}) {
    EXPECT_TRUE(Excludes({ExcludePatterns::PatternOf(path)}, path)) << path;
    EXPECT_FALSE(Excludes({ExcludePatterns::PatternOf(path)}, "/s/axb")) << path;
  }
}

}  // namespace
}  // namespace salvor::agent
