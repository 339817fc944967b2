// What a program does against its contract costs its own attempt, and nothing else: no artifact is kept that looks
// whole, no process is left, and the error says what it was.
#include <dirent.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "agent/engines/action/actions/actions_testing.h"
#include "agent/engines/action/program.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

// Whether a process with this word on its command line is there.
bool Runs(const std::string& mark) {
  DIR* directory = ::opendir("/proc");
  bool found = false;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const auto line = ReadFile(std::string("/proc/") + entry->d_name + "/cmdline");
    found = found || (line.ok() && line->find(mark) != std::string::npos);
  }
  ::closedir(directory);
  return found;
}

struct BadDay {
  const char* mode;
  absl::StatusCode code;
  const char* message;
};

class BadDays : public ProgramActionsTest, public testing::WithParamInterface<BadDay> {};

TEST_P(BadDays, FailWithTheirReasonAndKeepNothing) {
  const auto result = Backup(GetParam().mode);
  EXPECT_EQ(result.status().code(), GetParam().code) << result.status() << "\n" << Log();
  EXPECT_THAT(MessageOf(result.status()), HasSubstr(GetParam().message));
  EXPECT_EQ(SnapshotsKept(), 0u);
  EXPECT_TRUE(std::filesystem::is_empty(config_.action_work_directory)) << "its folder is gone";
}

constexpr auto kBroken = absl::StatusCode::kInternal;

INSTANTIATE_TEST_SUITE_P(
    Program, BadDays,
    testing::Values(
        BadDay{"half-json", kBroken, "does not keep the action contract: event 1: it is cut short"},
        BadDay{"lies", kBroken, "artifact text: the program told of 10 bytes and wrote 9"},
        BadDay{"killed", absl::StatusCode::kAborted, "killed by signal 9"},
        BadDay{"flood-events", kBroken, "its events are longer than 4194304 bytes"},
        BadDay{"no-artifact", kBroken, "artifact text: the program ended without a word of its stream"},
        BadDay{"no-done", kBroken, "its last event is not 'done'"},
        BadDay{"fails-late", kBroken, "it does not say why (exit code 1)"},
        BadDay{"file-lies", kBroken, "artifact text: the program told of 10 bytes, and out/text has 9"},
        BadDay{"file-link", kBroken, "artifact text: open out/text"},
        BadDay{"file-folder-link", kBroken, "artifact text: open out/passwd"}),
    [](const auto& test) {
      std::string name = test.param.mode;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

// The uploader had to take its word for the number of bytes: what it kept is forgotten when the step is cleaned up.
TEST_F(ProgramActionsTest, AnotherDigestThanItToldFailsAndIsForgotten) {
  const auto result = Backup("lies-digest");
  EXPECT_THAT(MessageOf(result.status()), HasSubstr("artifact text: the program told of another SHA-256"));
  v1::ProgramBackup backup;
  *backup.mutable_target()->mutable_location() = repository_.Location();
  backup.mutable_target()->set_backup("shop-1");
  backup.mutable_target()->set_component("cache");
  backup.mutable_target()->set_artifact("cache.record");
  ActionContext context = Context();
  EXPECT_TRUE(CleanUpProgramBackup(backup, context).ok());
  EXPECT_EQ(SnapshotsKept(), 0u);
}

TEST_F(ProgramActionsTest, OneThatHangsIsStoppedInItsTimeAndSoIsADeafOne) {
  component_.set_timeout("2s");
  for (const char* mode : {"hang", "hang-deaf"}) {
    const auto result = Backup(mode);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
    EXPECT_THAT(MessageOf(result.status()), HasSubstr("program toy: "));
  }
  EXPECT_EQ(SnapshotsKept(), 0u);
}

TEST_F(ProgramActionsTest, ItIsStoppedOnRequest) {
  std::thread asks([this] {
    EXPECT_TRUE(Eventually([this] { return Log().find("I am") != std::string::npos; }));
    stop_.request_stop();
  });
  const auto result = Backup("hang");
  asks.join();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled) << result.status();
  EXPECT_EQ(SnapshotsKept(), 0u);
}

TEST_F(ProgramActionsTest, WhatItStartedInASessionOfItsOwnEndsWithItAndItsDescriptorsToo) {
  const std::string mark = "salvor-escaped-" + ToHex(RandomBytes(8));
  Set("mark", mark);
  ASSERT_NO_FATAL_FAILURE(MustBackup("escape"));
  EXPECT_FALSE(Runs(mark));
  EXPECT_EQ(Kept("text").bytes(), 9);
}

TEST_F(ProgramActionsTest, AFloodOfLogLinesIsCutAndDoesNoHarm) {
  ASSERT_NO_FATAL_FAILURE(MustBackup("flood-logs"));
  EXPECT_LT(LogLines(), 2200u);
  EXPECT_THAT(Log(), HasSubstr("(it prints more than 2000 lines: the rest is left out)"));
}

TEST_F(ProgramActionsTest, SecretsAreInNoTextThatLeaves) {
  (*component_.mutable_secrets())["password"] = directory_ / "password";
  const auto result = Backup("secrets");
  EXPECT_EQ(MessageOf(result.status()), "program toy: cannot log in with *** (exit code 1)");
  EXPECT_THAT(Log(), HasSubstr("the password is ***"));
  EXPECT_THAT(Log(), Not(HasSubstr("correct horse")));
}

TEST_F(ProgramActionsTest, ASecretFileThatOthersMayReadIsRefused) {
  ASSERT_EQ(::chmod((directory_ / "password").c_str(), 0644), 0);
  (*component_.mutable_secrets())["password"] = directory_ / "password";
  EXPECT_THAT(MessageOf(Backup().status()), HasSubstr("secret password"));
}

TEST_F(ProgramActionsTest, ATemporaryFailureIsWorthAnotherTryAndLeavesNothing) {
  const auto first = Backup("temporary");
  EXPECT_EQ(first.status().code(), absl::StatusCode::kUnavailable) << first.status();
  EXPECT_TRUE(ToError(first.status()).retryable());
  EXPECT_EQ(MessageOf(first.status()), "program toy: the server is busy (exit code 75)");
  EXPECT_EQ(HintOf(first.status()), "Wait.");
  task_.mutable_lease()->set_attempt(2);
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(SnapshotsKept(), 2u);
}

// As after an agent that was killed before it could report: the next attempt makes all anew, and forgets what was
// there.
TEST_F(ProgramActionsTest, AnAttemptForgetsWhatAnEarlierOneKept) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  task_.mutable_lease()->set_attempt(2);
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_EQ(SnapshotsKept(), 2u);
}

TEST_F(ProgramActionsTest, WorkFoldersOfAnAgentThatWasKilledGoAtItsNextStart) {
  std::string mine, others = config_.action_work_directory + "/salvor-action-0123456789ab-xyz";
  ASSERT_TRUE(MakeDirectories(others).ok());
  {
    const auto made = WorkFolder::Make(config_);
    ASSERT_TRUE(made.ok()) << made.status();
    mine = made->Path();
  }
  ASSERT_TRUE(MakeDirectories(mine + "/tmp").ok());
  ASSERT_TRUE(WorkFolder::RemoveLeftovers(config_).ok());
  EXPECT_FALSE(std::filesystem::exists(mine));
  EXPECT_TRUE(std::filesystem::exists(others));
}

}  // namespace
}  // namespace salvor::agent
