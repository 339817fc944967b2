#include "agent/engines/action/judge.h"

#include <gmock/gmock.h>

#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

v1::ProgramRecord Record(const std::map<std::string, std::string>& expectations) {
  v1::ProgramRecord record;
  record.mutable_program()->set_program("redis");
  for (const auto& [name, value] : expectations) (*record.mutable_expectations())[name] = value;
  return record;
}

// "FAILED expectation keys: 3 at the backup, 2 in the copy".
std::vector<std::string> Lines(const std::vector<JudgedCheck>& checks) {
  std::vector<std::string> lines;
  for (const JudgedCheck& one : checks)
    lines.push_back(v1::Check::Verdict_Name(one.verdict).substr(8) + " " + one.kind + " " + one.subject +
                    ": " + one.compared);
  return lines;
}

TEST(JudgeCopy, EqualExpectationsAreOnePass) {
  EXPECT_THAT(
      Lines(JudgeCopy("cache", Record({{"keys", "3"}, {"hash", "ab"}}), {{"keys", "3"}, {"hash", "ab"}}, {})),
      ElementsAre("PASSED expectation cache: 2 expectations equal"));
}

TEST(JudgeCopy, EachThatDiffersOrIsNotFoundIsNamed) {
  EXPECT_THAT(Lines(JudgeCopy("cache", Record({{"keys", "3"}, {"hash", "ab"}, {"name", ""}}),
                              {{"keys", "2"}, {"name", "x"}, {"more", "1"}}, {})),
              ElementsAre("FAILED expectation hash: ab at the backup, and not found in the copy",
                          "FAILED expectation keys: 3 at the backup, 2 in the copy",
                          "FAILED expectation name: nothing at the backup, x in the copy"));
}

TEST(JudgeCopy, WithoutExpectationsNothingIsProven) {
  EXPECT_THAT(
      Lines(JudgeCopy("cache", Record({}), {{"keys", "3"}}, {{"structure", "passed", ""}})),
      ElementsAre("UNVERIFIABLE expectation cache: program redis declared nothing at the backup that a copy "
                  "could be compared with",
                  "PASSED program cache: 1 check of its own passed"));
}

TEST(JudgeCopy, TheProgramsOwnChecksAreNamedUnlessTheyPass) {
  EXPECT_THAT(
      Lines(JudgeCopy("cache", Record({{"keys", "3"}}), {{"keys", "3"}},
                      {{"a", "passed", ""}, {"b", "failed", "two are broken"}, {"c", "unverifiable", ""}})),
      ElementsAre("PASSED expectation cache: 1 expectation equal", "FAILED program b: two are broken",
                  "UNVERIFIABLE program c: the program says no more",
                  "PASSED program cache: 1 check of its own passed"));
}

TEST(JudgeCopy, ManyDifferencesAreNamedUpToALimitAndTheRestIsCounted) {
  std::map<std::string, std::string> expected;
  for (int i = 0; i < 60; ++i) expected[fmt::format("key{:02}", i)] = "1";
  const auto checks = JudgeCopy("cache", Record(expected), {}, {});
  ASSERT_EQ(checks.size(), 51u);
  EXPECT_EQ(checks.back().compared, "and 10 expectations more");
  EXPECT_EQ(checks.back().verdict, v1::Check::VERDICT_FAILED);
}

TEST(JudgeCopy, ABackupWithoutArtifactsIsUnverifiable) {
  EXPECT_THAT(
      Lines({NothingKept("cache", Record({}))}),
      ElementsAre("UNVERIFIABLE artifacts cache: program redis declared no artifact, so nothing was kept"));
}

}  // namespace
}  // namespace salvor::agent
