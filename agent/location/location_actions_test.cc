#include "agent/location/location_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>

#include <filesystem>

#include "agent/process/scripted_tools.h"
#include "agent/restic/restic_testing.h"
#include "agent/work/action_testing.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

class LocationOpen : public testing::Test {
 protected:
  StatusOr<v1::ActionResult> Open(bool create, ToolRunner& tools = Tools(), bool must_exist = false) {
    AttemptForTest attempt(repository_.Path() + "/state");
    *attempt.Action().mutable_location_open()->mutable_location() = repository_.Location();
    attempt.Action().mutable_location_open()->set_create(create);
    attempt.Action().mutable_location_open()->set_must_exist(must_exist);
    return attempt.Run(RunLocationOpen, tools);
  }
  ResticRepositoryForTest repository_;
};

TEST_F(LocationOpen, MakesARepositoryOnceAndOnlyWhenTold) {
  EXPECT_EQ(Open(false).status().code(), absl::StatusCode::kNotFound);
  const auto made = Open(true);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->note(), "created repository " + repository_.Location().repository());
  const auto again = Open(true);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->note(), "");
}

TEST_F(LocationOpen, MakesNoneWhereAnotherHostHasOpenedIt) {
  const auto refused = Open(true, Tools(), true);
  EXPECT_THAT(ToError(refused.status()).message(), HasSubstr("another host of the run has opened it"));
  EXPECT_FALSE(ToError(refused.status()).retryable());
  EXPECT_FALSE(std::filesystem::exists(repository_.Location().repository() + "/config"));
  ASSERT_TRUE(Open(true).ok());
  const auto opened = Open(true, Tools(), true);
  EXPECT_TRUE(opened.ok()) << opened.status();
}

TEST_F(LocationOpen, ARepositoryThatSomebodyElseMakesAtTheSameMomentIsTakenAsItIs) {
  ScriptedTools tools(Tools());
  ToolScript script = ToolScript::Really(1);
  script.error = "Fatal: create repository failed: config file already exists\n";
  tools.Next({"restic", "init"}, std::move(script));
  const auto opened = Open(true, tools);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(tools.Played());
  EXPECT_EQ(opened->note(), "");  // it was not us
  EXPECT_TRUE(Open(false).ok());
}

TEST_F(LocationOpen, RefusesAnotherPasswordAndMakesNothing) {
  ASSERT_TRUE(Open(true).ok());
  ASSERT_TRUE(WriteFileAtomically(repository_.Location().password_file(), "another\n", 0600).ok());
  const auto opened = Open(true);
  EXPECT_EQ(ToError(opened.status()).reason(), v1::Error::REASON_REFUSED) << opened.status();
  EXPECT_THAT(ToError(opened.status()).hint(), HasSubstr("password"));
}

TEST_F(LocationOpen, AStorageThatDoesNotAnswerIsWorthAnotherTryAndNeverInitialised) {
  repository_.Location().set_repository("rest:http://127.0.0.1:1/");
  const auto opened = Open(true);
  EXPECT_TRUE(ToError(opened.status()).retryable()) << opened.status();
}

// `check` is killed while it holds the repository for itself.
TEST_F(LocationOpen, RemovesAStaleLockThatIsInTheWay) {
  ASSERT_TRUE(Open(true).ok());
  const std::string locks = repository_.Location().repository() + "/locks";
  ProcessSpec spec;
  spec.argv = {"restic", "check", "--no-cache"};
  spec.environment = {{"RESTIC_REPOSITORY", repository_.Location().repository()},
                      {"RESTIC_PASSWORD_FILE", repository_.Location().password_file()}};
  auto check = Tools().StartProcess(std::move(spec));
  ASSERT_TRUE(check.ok()) << check.status();
  const auto has_a_whole_lock = [&] {  // its name is a hash; while it is written it has "-tmp-" in it
    for (const auto& entry : std::filesystem::directory_iterator(locks)) {
      if (entry.path().filename().native().size() == 64) return true;
    }
    return false;
  };
  ASSERT_TRUE(Eventually(has_a_whole_lock));
  ASSERT_EQ(::kill((*check)->Pid(), SIGKILL), 0);
  EXPECT_FALSE((*check)->Wait({}, SteadyTime::InfiniteFuture())->Ok());
  ASSERT_TRUE(has_a_whole_lock());
  const auto opened = Open(false);
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_EQ(opened->warnings_size(), 1);
  EXPECT_THAT(opened->warnings(0), HasSubstr("stale locks"));
}

TEST_F(LocationOpen, ABackupWaitsForALivingResticAndSaysForWhom) {
  repository_.Make();
  const LivingExclusiveLock lock(repository_.Location());
  AgentConfig config;
  config.state_directory = repository_.Path() + "/state";
  v1::Task task;
  *task.mutable_action()->mutable_location_open()->mutable_location() = repository_.Location();
  task.mutable_action()->mutable_location_open()->set_create(true);
  ActionContext context{config,  Tools(), task, {}, SteadyNow() + absl::Seconds(20),
                        nullptr, nullptr};  // no time to wait in
  const Status refused = RunLocationOpen(task.action().location_open(), context).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable) << refused;
  EXPECT_THAT(MessageOf(refused), HasSubstr("(PID " + std::to_string(lock.Pid()) + ", since "));

  context.deadline = SteadyTime::InfiniteFuture();
  std::vector<std::string> lines;
  context.log = [&](std::string_view, std::string_view line) {
    lines.emplace_back(line);
    lock.LetGo();
  };
  const auto opened = RunLocationOpen(task.action().location_open(), context);
  EXPECT_TRUE(opened.ok()) << opened.status();
  ASSERT_FALSE(lines.empty());
  EXPECT_THAT(lines[0], HasSubstr("waiting for the repository: it is locked by restic of "));
  EXPECT_THAT(lines[0], HasSubstr("PID " + std::to_string(lock.Pid())));
}

TEST_F(LocationOpen, WhoOnlyReadsWaitsForNobody) {
  repository_.Make();
  const LivingExclusiveLock lock(repository_.Location());
  const auto opened = Open(false);
  EXPECT_TRUE(opened.ok()) << opened.status();
}

TEST_F(LocationOpen, AReadOnlyRepositoryIsRefusedToABackupAtOnceAndOpenToARestore) {
  repository_.Make();
  const std::string there = repository_.Path() + "/read-only";
  ASSERT_TRUE(MakeDirectories(there).ok());
  if (::mount(repository_.Location().repository().c_str(), there.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
      ::mount(nullptr, there.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    GTEST_SKIP() << "cannot mount";
  }
  repository_.Location().set_repository(there);
  EXPECT_TRUE(Open(false).ok());
  const auto refused = Open(true);
  EXPECT_EQ(ToError(refused.status()).reason(), v1::Error::REASON_REFUSED) << refused.status();
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("Read-only file system"));
  EXPECT_EQ(::umount2(there.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace salvor::agent
