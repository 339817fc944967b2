#include "strategies/action/action_strategy.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const ActionStrategy kStrategy;

std::vector<std::string> ProblemsOf(const std::string& text) {
  return ProblemLines(kStrategy.Validate(FromText<v1::Component>("name: \"cache\" " + text)));
}

TEST(ActionStrategy, AsksTheProgramBeforeItBacksUp) {
  const auto fragment = kStrategy.Backup(OwnProgram(), ABackupRequest());
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  ASSERT_EQ(fragment->steps.size(), 2u);
  EXPECT_EQ(fragment->steps[0].id(), "cache.preflight");
  EXPECT_EQ(fragment->steps[1].id(), "cache.backup");
  EXPECT_EQ(fragment->steps[1].after(0).step(), "cache.preflight");
  const v1::ProgramBackup& backup = fragment->steps[1].action().program_backup();
  EXPECT_EQ(backup.component().program(), "redis");
  EXPECT_EQ(backup.target().artifact(), "cache.record");
  ASSERT_EQ(fragment->artifacts.size(), 1u);
  EXPECT_EQ(fragment->artifacts[0].artifact(), "cache.record");
}

TEST(ActionStrategy, ADrillGoesToTheScratchFolderByTheDeclarationOfTheBackup) {
  const v1::Manifest manifest = AManifest({OwnProgram()});
  RestoreRequest request = ARestoreRequest(manifest, "drill-shop-1");
  request.drill = true;
  const auto fragment = kStrategy.Restore(OwnProgram(), request);
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_THAT(StepsFor(*fragment, v1::PURPOSE_GUARD), IsEmpty());
  const v1::ProgramRestore restore =
      StepsFor(*fragment, v1::PURPOSE_RESTORE).at(0).action().program_restore();
  EXPECT_EQ(restore.scratch(), "drill-shop-1");
  ASSERT_EQ(restore.artifacts_size(), 1);
  EXPECT_EQ(restore.artifacts(0).name(), "cache.dump.rdb");
  EXPECT_EQ(restore.record().name(), "cache.record");
  EXPECT_EQ(StepsFor(*fragment, v1::PURPOSE_VERIFY).at(0).action().program_verify().scratch(),
            "drill-shop-1");
  ASSERT_EQ(fragment->scratch.size(), 1u);
  EXPECT_EQ(fragment->scratch[0].bytes, 2 * 4096);
  EXPECT_THAT(fragment->destinations, IsEmpty());
}

TEST(ActionStrategy, ARestoreGoesWhereTheTargetSaysAfterItsProgramWasAsked) {
  const v1::Manifest manifest = AManifest({OwnProgram()});
  RestoreRequest request = ARestoreRequest(manifest);
  request.to = OwnProgram();
  (*request.to->mutable_action()->mutable_settings())["socket"] = "/run/redis/other.sock";
  const auto fragment = kStrategy.Restore(OwnProgram(), request);
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  const v1::ProgramPlan plan = StepsFor(*fragment, v1::PURPOSE_GUARD).at(0).action().program_plan();
  EXPECT_EQ(plan.component().settings().at("socket"), "/run/redis/other.sock");
  EXPECT_TRUE(plan.has_record());
  EXPECT_EQ(fragment->destinations.size(), 1u);
  EXPECT_THAT(fragment->scratch, IsEmpty());
  request.to->mutable_action()->clear_settings();
  const auto other = kStrategy.Restore(OwnProgram(), request);
  EXPECT_NE(other->destinations[0].place, fragment->destinations[0].place);
}

TEST(ActionStrategy, WithoutItsRecordEverythingIsMissing) {
  v1::Manifest manifest = AManifest({OwnProgram()});
  manifest.clear_artifacts();
  const auto fragment = kStrategy.Restore(OwnProgram(), ARestoreRequest(manifest));
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  ASSERT_EQ(fragment->missing.size(), 1u);
  EXPECT_EQ(fragment->missing[0].title(), "data of program redis");
  EXPECT_THAT(fragment->steps, IsEmpty());
}

TEST(ActionStrategy, NamesWhatIsWrongAtItsPlace) {
  EXPECT_THAT(ProblemsOf("action {}"), ElementsAre(HasSubstr("action.program: is missing")));
  EXPECT_THAT(
      ProblemsOf(R"(action { program: "/usr/bin/redis" })"),
      ElementsAre("action.program: is a name and no path: the agent's host says where the program is"));
  EXPECT_THAT(ProblemsOf(R"(action { program: "Re dis" })"), ElementsAre(HasSubstr("action.program: ")));
  EXPECT_THAT(ProblemsOf(R"(action { program: "redis" contract: 2 })"),
              ElementsAre("action.contract: 2 is no version that there is; the only one is 1"));
  EXPECT_THAT(ProblemsOf(R"(action { program: "redis" timeout: "soon" })"),
              ElementsAre(HasSubstr("action.timeout: 'soon' is not a duration")));
  EXPECT_THAT(ProblemsOf(R"(action { program: "redis" settings { key: "a b" value: "" } })"),
              ElementsAre(HasSubstr("action.settings: 'a b' is no name")));
  EXPECT_THAT(ProblemsOf(R"(action { program: "redis" settings { key: "a" value: ")" +
                         std::string(17000, 'x') + R"(" } })"),
              ElementsAre("action.settings: are longer than 16384 bytes together"));
  EXPECT_THAT(ProblemsOf(R"(action { program: "redis" } checks { name: "a" http { url: "http://a" } })"),
              ElementsAre(HasSubstr("checks: cannot be asked")));
}

// People write the secret itself there: it is never shown.
TEST(ActionStrategy, ASecretIsAFileAndNeverShown) {
  const auto problems =
      ProblemsOf(R"(action { program: "redis" secrets { key: "password" value: "hunter2" } })");
  EXPECT_THAT(problems,
              ElementsAre(HasSubstr("action.secrets.password: must be the absolute path of a file")));
  EXPECT_THAT(problems[0], testing::Not(HasSubstr("hunter2")));
}

TEST(ActionStrategy, RunsOnHostsAlone) {
  EXPECT_THAT(kStrategy.ValidateWithRuntime(OwnProgram(), v1::RUNTIME_HOST), IsEmpty());
  EXPECT_FALSE(kStrategy.ValidateWithRuntime(OwnProgram(), v1::RUNTIME_KUBERNETES).empty());
}

}  // namespace
}  // namespace salvor::strategies
