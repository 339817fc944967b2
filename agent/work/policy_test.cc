#include "agent/work/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process/process_testing.h"
#include "base/io/files.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

TEST(InterpreterKind, KnowsThemByNameAndVersion) {
  for (const char* path :
       {"/bin/sh", "/usr/bin/bash", "/usr/bin/python3", "/usr/bin/python3.11", "/usr/bin/perl5.36.0",
        "/usr/bin/psql", "/usr/bin/env", "/usr/bin/lua5.4", "/usr/bin/php8.2", "busybox"})
    EXPECT_NE(InterpreterKind(path), "") << path;
  for (const char* path : {"/usr/bin/pg_isready", "/opt/shop/check-orders", "/opt/shop/check.sh",
                           "/usr/bin/shasum", "/opt/2fa", "/usr/bin/test"})
    EXPECT_EQ(InterpreterKind(path), "") << path;
}

TEST(AgentPolicy, RefusesEntriesThatAllowEverything) {
  for (const char* path : {"/bin/sh", "/usr/bin/env", "/usr/bin/perl"}) {
    AgentPolicy policy;
    policy.check_programs = {path};
    EXPECT_THAT(MessageOf(policy.Validate()), HasSubstr("would allow everything")) << path;
  }
  AgentPolicy policy;
  policy.check_user = "root";
  EXPECT_FALSE(policy.Validate().ok());
  policy = {};
  policy.write_below = {"srv"};
  EXPECT_FALSE(policy.Validate().ok());
}

TEST(AgentPolicy, AShellUnderAnotherNameIsOneStill) {
  TemporaryDirectory directory;
  ASSERT_EQ(::symlink("/bin/sh", (directory / "check").c_str()), 0);
  AgentPolicy policy;
  policy.check_programs = {directory / "check"};
  EXPECT_THAT(MessageOf(policy.Validate()), HasSubstr("a shell"));
}

TEST(AgentPolicy, AnActionIsFoundByItsNameAndHeldToTheSame) {
  TemporaryDirectory directory;
  const std::string program = directory / "cache";
  ASSERT_TRUE(WriteFileAtomically(program, "#!/bin/sh\n", 0755).ok());
  AgentPolicy policy;
  policy.action_programs = {program};
  ASSERT_TRUE(policy.Validate().ok()) << policy.Validate();
  const auto found = policy.FindActionProgram("cache");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->path, program);
  EXPECT_EQ(found->user, "");
  EXPECT_THAT(MessageOf(policy.FindActionProgram("other").status()),
              HasSubstr("does not allow the action other"));
  ASSERT_EQ(::chmod(program.c_str(), 0775), 0);
  EXPECT_THAT(MessageOf(policy.FindActionProgram("cache").status()), HasSubstr("can be changed by others"));
}

TEST(AgentPolicy, ActionsThatWouldAllowEverythingOrMeanTwoThingsAreRefused) {
  TemporaryDirectory directory;
  ASSERT_TRUE(WriteFileAtomically(directory / "cache", "#!/bin/sh\n", 0755).ok());
  ASSERT_TRUE(MakeDirectories(directory / "more").ok());
  ASSERT_TRUE(WriteFileAtomically(directory / "more/cache", "#!/bin/sh\n", 0755).ok());
  AgentPolicy policy;
  policy.action_programs = {"/bin/sh"};
  EXPECT_THAT(MessageOf(policy.Validate()), HasSubstr("would allow everything"));
  policy.action_programs = {directory / "cache", directory / "more/cache"};
  EXPECT_THAT(MessageOf(policy.Validate()), HasSubstr("two programs are called cache"));
  policy.action_programs = {directory / "cache:nobody-of-that-name"};
  EXPECT_FALSE(policy.Validate().ok());
}

TEST(AgentPolicy, AProgramThatOthersMayReplaceIsRefusedAlsoLater) {
  TemporaryDirectory directory;
  const std::string program = directory / "check";
  ASSERT_TRUE(WriteFileAtomically(program, "#!/bin/sh\n", 0755).ok());
  AgentPolicy policy;
  policy.check_programs = {program};
  EXPECT_TRUE(policy.Validate().ok()) << policy.Validate();
  EXPECT_TRUE(policy.PermitCheckProgram(program).ok());
  ASSERT_EQ(::chmod(program.c_str(), 0777), 0);
  EXPECT_THAT(MessageOf(policy.PermitCheckProgram(program)), HasSubstr("can be changed by others"));
  ASSERT_EQ(::chmod(program.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(directory.Path().c_str(), 0777), 0);
  EXPECT_THAT(MessageOf(policy.PermitCheckProgram(program)), HasSubstr("can be changed by others"));
  EXPECT_THAT(HintOf(policy.PermitCheckProgram("/usr/bin/id")),
              HasSubstr("--allow-check-program /usr/bin/id"));
}

TEST(AgentPolicy, ARestoreStaysBelowWhatIsAllowed) {
  AgentPolicy policy;
  policy.write_below = {"/srv/shop/"};
  v1::Action action;
  const auto to = [&](const std::string& root, const std::string& path) {
    v1::DiskRestore& restore = *action.mutable_disk_restore();
    restore.mutable_target()->set_root(root);
    restore.clear_paths();
    restore.add_paths(path);
    return policy.Permit(action);
  };
  EXPECT_TRUE(to("/", "/srv/shop/uploads").ok());
  EXPECT_TRUE(to("/srv/shop", "/etc").ok());  // becomes /srv/shop/etc
  EXPECT_EQ(to("/", "/etc/cron.d").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(to("/", "/srv/shop2").ok());
  EXPECT_FALSE(to("/", "/srv/shop/../../etc").ok());
  EXPECT_THAT(HintOf(to("/root", "/.ssh")), HasSubstr("--allow-write-below /root/.ssh"));
  action.mutable_disk_restore()->mutable_target()->set_scratch("drill-1");
  EXPECT_TRUE(policy.Permit(action).ok());
  policy.write_below = {"/"};
  EXPECT_TRUE(to("/", "/etc/cron.d").ok());
}

// Whatever kind of action they stand in.
TEST(AgentPolicy, LocationsNameNoProgramAndNoFileThatIsNotAllowed) {
  AgentPolicy policy;
  v1::Action action;
  v1::ResticLocation& location = *action.mutable_postgres_dump()->mutable_target()->mutable_location();
  location.add_options("s3.storage-class=GLACIER");
  EXPECT_TRUE(policy.Permit(action).ok());
  for (const char* option : {"sftp.command=/tmp/x", "sftp.args=-oProxyCommand=x", "rclone.program=/tmp/x",
                             "rclone.args=x", "unheard.of=1"}) {
    location.add_options(option);
    EXPECT_THAT(HintOf(policy.Permit(action)), HasSubstr("--allow-restic-option")) << option;
    location.mutable_options()->RemoveLast();
  }
  policy.restic_options = {"sftp.command"};
  location.add_options("sftp.command=ssh -p 2222 backup -s sftp");
  EXPECT_TRUE(policy.Permit(action).ok());
  location.set_environment_file("/etc/salvor/s3.env");
  EXPECT_THAT(HintOf(policy.Permit(action)), HasSubstr("--allow-environment-file"));
  policy.environment_files = {"/etc/salvor/s3.env"};
  EXPECT_TRUE(policy.Permit(action).ok());
  location.set_cache_directory("/etc");
  EXPECT_FALSE(policy.Permit(action).ok());
}

TEST(AgentPolicy, AnExtensionIsHeldToTheSame) {
  AgentPolicy policy;
  v1::PostgresDump dump;
  dump.mutable_component()->set_dump_directory("/var/dumps");
  v1::Action action;
  action.mutable_extension()->PackFrom(dump);
  EXPECT_THAT(HintOf(policy.Permit(action)), HasSubstr("--allow-write-below"));
  policy.write_below = {"/var/dumps"};
  EXPECT_TRUE(policy.Permit(action).ok());
  action.mutable_extension()->set_value("\xff\xff");
  EXPECT_THAT(MessageOf(policy.Permit(action)), HasSubstr("does not know salvor.v1.PostgresDump"));
  action.mutable_extension()->set_type_url("type.googleapis.com/salvor.v1.Train");
  EXPECT_THAT(MessageOf(policy.Permit(action)), HasSubstr("does not know salvor.v1.Train"));
  // Files are restored by a kind built beside this one as by DiskRestore.
  v1::DiskRestore restore;
  restore.mutable_target()->set_root("/");
  restore.add_paths("/etc");
  action.mutable_extension()->PackFrom(restore);
  EXPECT_THAT(MessageOf(policy.Permit(action)), HasSubstr("restoring files to /etc"));
  policy.write_below.emplace_back("/etc");
  EXPECT_TRUE(policy.Permit(action).ok());
  // The manifest has a kind of component that this agent does not know.
  v1::Action check;
  check.mutable_manifest_check()->mutable_manifest()->add_components()->mutable_extension()->set_type_url(
      "x/Train");
  EXPECT_THAT(MessageOf(policy.Permit(check)), HasSubstr("does not know Train"));
}

TEST(AgentPolicy, DumpsAreWrittenWhereItIsAllowed) {
  AgentPolicy policy;
  v1::Action action;
  action.mutable_postgres_dump()->mutable_component()->set_dump_directory("/var/dumps");
  EXPECT_FALSE(policy.Permit(action).ok());
  policy.write_below = {"/var/dumps"};
  EXPECT_TRUE(policy.Permit(action).ok());
}

}  // namespace
}  // namespace salvor::agent
