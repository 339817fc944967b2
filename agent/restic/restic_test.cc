#include "agent/restic/restic.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "agent/process/pipe_owner.h"
#include "agent/restic/restic_testing.h"
#include "base/io/files.h"
#include "base/io/sha256.h"
#include "base/steady_time.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

const std::map<std::string, std::string> kTags = {{"salvor", ""}, {"backup", "shop-1"}, {"artifact", "a"}};

class ResticTest : public testing::Test {
 protected:
  std::string Make(const std::string& name, const std::string& text) {
    std::string path = repository_.Path() + "/" + name;
    EXPECT_TRUE(WriteFileAtomically(path, text).ok());
    return path;
  }
  ResticRepositoryForTest repository_;
};

TEST_F(ResticTest, SaysThatThereIsNoRepositoryUntilItIsMade) {
  const Restic restic = repository_.Open();
  EXPECT_EQ(restic.Check().code(), absl::StatusCode::kNotFound) << restic.Check();
  ASSERT_TRUE(restic.Init().ok());
  EXPECT_TRUE(restic.Check().ok()) << restic.Check();
  EXPECT_FALSE(restic.Init().ok());  // not a second time
}

TEST_F(ResticTest, AWrongPasswordIsAPreconditionWithAHint) {
  repository_.Make();
  Make("other", "wrong\n");
  ASSERT_EQ(::chmod((repository_.Path() + "/other").c_str(), 0600), 0);
  v1::ResticLocation location = repository_.Location();
  location.set_password_file(repository_.Path() + "/other");
  const Status status = ResticRepositoryForTest::Open(location).Check();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(HintOf(status), HasSubstr("/other"));
}

TEST_F(ResticTest, APasswordFileThatOthersMayReadIsRefusedBeforeResticRuns) {
  ASSERT_EQ(::chmod(repository_.Location().password_file().c_str(), 0644), 0);
  const Status status = repository_.Open().Check();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_THAT(HintOf(status), HasSubstr("chmod 600"));
  repository_.Location().set_password_file("/nowhere/password");
  EXPECT_THAT(HintOf(repository_.Open().Check()),
              HasSubstr("Put the repository's password into /nowhere/password"));
}

TEST_F(ResticTest, ABackendThatDoesNotAnswerIsUnavailable) {
  repository_.Location().set_repository("rest:http://user:secret@127.0.0.1:1/");
  const Status status = repository_.Open().Check();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(MessageOf(status), testing::Not(HasSubstr("secret")));
}

TEST_F(ResticTest, ATextIsStoredFoundAndLoadedAndItsExpectationsAreChecked) {
  repository_.Make();
  const Restic restic = repository_.Open();
  const std::string text("{\"a\": \"\xc3\xa9\n\"}\0end", 15);
  const auto stored = restic.StoreText("details.json", text, kTags);
  ASSERT_TRUE(stored.ok()) << stored.status();
  const auto found = restic.Find(kTags);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().id.size(), 64u);
  EXPECT_EQ(found->front().tags, kTags);
  EXPECT_EQ(Restic::FullId(*found, *stored), found->front().id);
  EXPECT_TRUE(restic.Find({{"backup", "other"}})->empty());

  v1::Artifact artifact;
  artifact.set_name("a");
  artifact.set_snapshot(*stored);
  artifact.set_path("/details.json");
  artifact.set_bytes(static_cast<int64_t>(text.size()));
  artifact.set_sha256(Sha256::Of(text));
  const auto loaded = restic.LoadText(artifact);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(*loaded, text);
  v1::Artifact other = artifact;
  other.set_bytes(artifact.bytes() - 1);
  EXPECT_EQ(restic.LoadText(other).status().code(), absl::StatusCode::kDataLoss);
  other = artifact;
  other.set_sha256(Sha256::Of("x"));
  EXPECT_EQ(restic.LoadText(other).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ResticTest, AFileIsStoredFromWhereItStandsAndLoadedAsItWas) {
  repository_.Make();
  const Restic restic = repository_.Open();
  const std::string text(3 << 20, 'x'), path = repository_.Path() + "/stored";
  ASSERT_TRUE(WriteFileAtomically(path, "before" + text).ok());
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::lseek(file.Get(), 6, SEEK_SET), 6);
  v1::Artifact artifact;
  artifact.set_bytes(static_cast<int64_t>(text.size()));
  artifact.set_sha256(Sha256::Of(text));
  const auto stored = restic.StoreFile("file", std::move(file), artifact.bytes(), artifact.sha256(), kTags);
  ASSERT_TRUE(stored.ok()) << stored.status();
  artifact.set_snapshot(*stored);
  artifact.set_path("/file");
  const auto load = [&] {
    const std::string loaded = repository_.Path() + "/loaded";
    const UniqueFd into(::open(loaded.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600));
    Status status = restic.LoadFile(artifact, into.Get());
    if (status.ok()) {
      EXPECT_EQ(ReadFile(loaded).value(), text);
    }
    return status;
  };
  EXPECT_TRUE(load().ok());
  artifact.set_sha256(Sha256::Of("x"));
  EXPECT_EQ(load().code(), absl::StatusCode::kDataLoss);
  artifact.set_bytes(artifact.bytes() - 1);
  EXPECT_EQ(load().code(), absl::StatusCode::kDataLoss);
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const Status refused = restic.LoadFile(artifact, full.Get());
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(HintOf(refused), HasSubstr("the agent's state directory"));
}

TEST_F(ResticTest, AnEarlierAttemptsSnapshotIsNotTakenForTheNewOne) {
  repository_.Make();
  const Restic restic = repository_.Open();
  const auto first = restic.StoreText("x", "one", kTags);
  const auto second = restic.StoreText("x", "two", kTags);
  ASSERT_TRUE(first.ok() && second.ok()) << first.status() << second.status();
  EXPECT_NE(*first, *second);
  EXPECT_EQ(restic.Find(kTags)->size(), 2u);
  ASSERT_TRUE(restic.Forget({*first}).ok());
  const auto left = restic.Find(kTags);
  ASSERT_EQ(left->size(), 1u);
  EXPECT_EQ(Restic::FullId(*left, *second), left->front().id);
  EXPECT_TRUE(restic.Forget({}).ok());
}

TEST_F(ResticTest, PathsAreBackedUpAndRestoredWithOddNames) {
  repository_.Make();
  const Restic restic = repository_.Open();
  const std::string odd = repository_.Path() + "/tree [a]*\n\xff";
  ASSERT_TRUE(MakeDirectories(odd).ok());
  ASSERT_TRUE(WriteFileAtomically(odd + "/file", "content").ok());
  ASSERT_TRUE(WriteFileAtomically(odd + "/left-out.tmp", "x").ok());
  Make("beside", "not asked for");
  int64_t total = 0;
  const auto summary = restic.BackupPaths({odd, repository_.Path() + "/beside"}, {"*.tmp"}, kTags,
                                          [&](int64_t, int64_t all) { total = all; });
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_GE(summary->snapshot.size(), 8u);
  EXPECT_EQ(summary->files_processed, 2);
  EXPECT_EQ(summary->bytes_processed, 20);
  EXPECT_FALSE(summary->incomplete);
  const std::string target = repository_.Path() + "/target";
  const Status restored = restic.Restore(summary->snapshot, target, {odd});
  ASSERT_TRUE(restored.ok()) << restored;
  EXPECT_EQ(*ReadFile(target + odd + "/file"), "content");
  EXPECT_FALSE(Exists(target + odd + "/left-out.tmp"));
  EXPECT_FALSE(Exists(target + repository_.Path() + "/beside"));
}

TEST_F(ResticTest, ARestoreThatCannotBeFinishedNamesWhatItCouldNotWrite) {
  repository_.Make();
  const std::string kept = Make("kept", "content");
  const auto summary = repository_.Open().BackupPaths({kept}, {}, kTags, nullptr);
  ASSERT_TRUE(summary.ok()) << summary.status();
  // A file stands where the first directory has to be.
  const std::string target = repository_.Path() + "/target";
  ASSERT_TRUE(MakeDirectories(target).ok());
  ASSERT_TRUE(WriteFileAtomically(target + kept.substr(0, kept.find('/', 1)), "in the way").ok());
  const Status status = repository_.Open().Restore(summary->snapshot, target, {kept});
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(MessageOf(status),
              testing::AllOf(testing::HasSubstr("not a directory"), testing::HasSubstr("restic: ")));
}

TEST_F(ResticTest, NoPathAtAllIsAnErrorAndOneThatIsMissingIsNot) {
  repository_.Make();
  EXPECT_FALSE(repository_.Open().BackupPaths({"/nowhere"}, {}, kTags, nullptr).ok());
  // This is why callers look themselves: restic 0.14 says nothing worse than "skipping".
  const auto summary = repository_.Open().BackupPaths({"/nowhere", Make("there", "x")}, {}, kTags, nullptr);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->files_processed, 1);
}

// The backup runs without root's right to read everything.
TEST_F(ResticTest, UnreadableFilesMakeItIncompleteAndAreNamed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  const std::string open = testing::TempDir() + "/salvor-unprivileged-" + std::to_string(::getpid());
  ASSERT_TRUE(MakeDirectories(open + "/tree").ok());
  ASSERT_TRUE(WriteFileAtomically(open + "/tree/secret", "x", 0600).ok());
  ASSERT_TRUE(WriteFileAtomically(open + "/tree/plain", "x", 0644).ok());
  ASSERT_EQ(::chown(open.c_str(), 1, 1), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setgid(1) != 0 || ::setuid(1) != 0) ::_exit(1);
    v1::ResticLocation location;
    location.set_repository(open + "/repository");
    location.set_password_file(open + "/password");
    location.set_cache_directory(open + "/cache");
    if (!WriteFileAtomically(open + "/password", "x\n", 0600).ok()) ::_exit(2);
    const Restic restic = ResticRepositoryForTest::Open(location);
    if (!restic.Init().ok()) ::_exit(3);
    const auto summary = restic.BackupPaths({open + "/tree"}, {}, kTags, nullptr);
    if (!summary.ok()) ::_exit(4);
    if (!summary->incomplete || summary->files_processed != 1 || summary->errors.empty()) ::_exit(5);
    ::_exit(summary->errors[0] == open + "/tree/secret: could not be read" ||
                    summary->errors[0].find("/tree/secret: ") != std::string::npos
                ? 0
                : 6);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(RemoveTree(open).ok());
}

TEST_F(ResticTest, AnotherResticAtWorkIsALockAndGoneOnesLocksAreStale) {
  repository_.Make();
  const Restic restic = repository_.Open();
  const auto kept = restic.StoreText("x", "one", kTags);
  ASSERT_TRUE(kept.ok()) << kept.status();
  ProcessSpec spec = restic.StdinBackup("y", kTags);
  int fds[2];
  ASSERT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  UniqueFd own(fds[1]);
  spec.input = UniqueFd(fds[0]);
  auto busy = Tools().StartProcess(std::move(spec));
  ASSERT_TRUE(busy.ok()) << busy.status();
  const std::string locks = repository_.Location().repository() + "/locks";
  ASSERT_TRUE(Eventually([&] {
    const auto listed = Tools().Run(Shell("ls " + locks), {}, SteadyTime::InfiniteFuture());
    return listed.ok() && !listed->output.empty();
  }));
  const Status locked = restic.Forget({*kept});
  EXPECT_EQ(locked.code(), absl::StatusCode::kUnavailable) << locked;
  EXPECT_TRUE(Restic::IsLocked(locked));
  ASSERT_EQ(::kill((*busy)->Pid(), SIGKILL), 0);
  EXPECT_FALSE((*busy)->Wait({}, SteadyTime::InfiniteFuture())->Ok());
  EXPECT_TRUE(Restic::IsLocked(restic.Forget({*kept})));  // its lock is still there
  EXPECT_EQ(restic.RemoveStaleLocks().value().removed, 1);
  EXPECT_TRUE(restic.Forget({*kept}).ok());
}

TEST_F(ResticTest, AStreamIntoALockedRepositoryIsWorthAnotherTry) {
  repository_.Make();
  LeaveExclusiveLock(repository_.Location());
  const Restic restic = repository_.Open();
  const auto refused = RunPipe(Tools(), Shell("exec cat /dev/zero"), restic.StdinBackup("x", kTags), {}, {},
                               SteadyTime::InfiniteFuture());
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable) << refused.status();
  EXPECT_TRUE(Restic::IsLocked(refused.status()));
  EXPECT_THAT(HintOf(refused.status()), HasSubstr("restic unlock"));
}

TEST_F(ResticTest, AFullDiskIsToldAsSuch) {
  const std::string small = repository_.Path() + "/small";
  ASSERT_TRUE(MakeDirectories(small).ok());
  if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=6m") != 0) GTEST_SKIP() << "cannot mount a tmpfs";
  repository_.Location().set_repository(small + "/repository");
  repository_.Make();
  const Restic restic = repository_.Open();
  const std::string noise = RandomBytes(20 << 20);
  const auto stored = restic.StoreText("x", noise, kTags);
  EXPECT_EQ(stored.status().code(), absl::StatusCode::kResourceExhausted) << stored.status();
  EXPECT_THAT(HintOf(stored.status()), HasSubstr("Free space"));
  // It closes its input before it says so, and there is more to come.
  const Status stopped = RunPipe(Tools(), Shell("exec cat /dev/urandom"), restic.StdinBackup("x", kTags), {},
                                 {}, SteadyTime::InfiniteFuture())
                             .status();
  EXPECT_EQ(stopped.code(), absl::StatusCode::kResourceExhausted) << stopped;
  EXPECT_TRUE(restic.Find(kTags).value().empty());
  EXPECT_EQ(::umount2(small.c_str(), MNT_DETACH), 0);
}

TEST_F(ResticTest, WhoeverReadsNeedsNobodysLeaveAndWritersAreToldWhoIsInTheWay) {
  repository_.Make();
  const Restic restic = repository_.Open();
  const auto kept = restic.StoreText("x", "one", kTags);
  ASSERT_TRUE(kept.ok()) << kept.status();
  const LivingExclusiveLock lock(repository_.Location());
  v1::Artifact artifact;
  artifact.set_snapshot(*kept);
  artifact.set_path("/x");
  EXPECT_TRUE(restic.Check().ok());
  EXPECT_EQ(restic.Find(kTags).value().size(), 1u);
  EXPECT_EQ(restic.LoadText(artifact).value(), "one");
  EXPECT_TRUE(restic.CheckSnapshot(*kept).ok());
  EXPECT_TRUE(restic.ListPaths(*kept, [](const std::string&, const std::string&) {}).ok());
  EXPECT_TRUE(restic.Restore(*kept, repository_.Path() + "/target", {}).ok());

  const Status refused = restic.StoreText("y", "two", kTags).status();
  EXPECT_TRUE(Restic::IsLocked(refused)) << refused;
  EXPECT_THAT(MessageOf(refused), HasSubstr("PID " + std::to_string(lock.Pid()) + " on "));
  EXPECT_THAT(MessageOf(refused), HasSubstr("lock was created at "));
  const auto locks = restic.RemoveStaleLocks();
  ASSERT_TRUE(locks.ok()) << locks.status();
  EXPECT_EQ(locks->removed, 0);
  ASSERT_EQ(locks->living.size(), 1u);
  EXPECT_EQ(locks->living[0].pid, lock.Pid());
  EXPECT_TRUE(locks->living[0].exclusive);
}

// restic takes it for alive.
TEST_F(ResticTest, TheLockOfAZombieGoes) {
  repository_.Make();
  const ExclusiveLockOfAZombie lock(repository_.Location());
  const Restic restic = repository_.Open();
  EXPECT_TRUE(Restic::IsLocked(restic.StoreText("x", "one", kTags).status()));
  const auto locks = restic.RemoveStaleLocks();
  ASSERT_TRUE(locks.ok()) << locks.status();
  EXPECT_EQ(locks->removed, 1);
  EXPECT_TRUE(locks->living.empty());
  EXPECT_TRUE(locks->stuck.empty());
  EXPECT_TRUE(restic.StoreText("x", "one", kTags).ok());
}

TEST_F(ResticTest, AReadOnlyRepositoryIsReadAndAWriterIsToldPlainly) {
  repository_.Make();
  const auto kept = repository_.Open().StoreText("x", "one", kTags);
  ASSERT_TRUE(kept.ok()) << kept.status();
  const std::string there = repository_.Path() + "/read-only";
  ASSERT_TRUE(MakeDirectories(there).ok());
  if (::mount(repository_.Location().repository().c_str(), there.c_str(), nullptr, MS_BIND, nullptr) != 0 ||
      ::mount(nullptr, there.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    GTEST_SKIP() << "cannot mount";
  }
  repository_.Location().set_repository(there);
  const Restic restic = repository_.Open();
  v1::Artifact artifact;
  artifact.set_snapshot(*kept);
  artifact.set_path("/x");
  EXPECT_EQ(restic.LoadText(artifact).value(), "one");
  EXPECT_EQ(restic.Find(kTags).value().size(), 1u);
  const Status refused = restic.Forget({*kept});  // after restic's own 45 s
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_THAT(MessageOf(refused), HasSubstr("read-only file system"));
  EXPECT_THAT(MessageOf(refused), testing::Not(HasSubstr("github.com")));
  EXPECT_EQ(::umount2(there.c_str(), MNT_DETACH), 0);
}

TEST_F(ResticTest, WhatIsMissingOrDamagedIsAFindingAndAStorageThatIsAwayIsNone) {
  repository_.Make();
  const Restic restic = repository_.Open();
  const auto kept = restic.StoreText("x", "some content", kTags);
  ASSERT_TRUE(kept.ok()) << kept.status();
  v1::Artifact artifact;
  artifact.set_path("/x");
  artifact.set_snapshot(std::string(64, 'a'));
  const auto ignore = [](const std::string&, const std::string&) {};
  EXPECT_EQ(restic.LoadText(artifact).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(restic.CheckSnapshot(artifact.snapshot()).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(restic.ListPaths(artifact.snapshot(), ignore).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(restic.Restore(artifact.snapshot(), repository_.Path() + "/target", {}).code(),
            absl::StatusCode::kDataLoss);

  artifact.set_snapshot(*kept);
  ASSERT_TRUE(RemoveTree(repository_.Location().cache_directory()).ok());
  for (const auto& file :
       std::filesystem::recursive_directory_iterator(repository_.Location().repository() + "/data")) {
    if (!file.is_regular_file()) continue;
    std::string bytes = *ReadFile(file.path());
    for (char& c : bytes) c = static_cast<char>(c ^ 1);
    ASSERT_TRUE(WriteFileAtomically(file.path(), bytes).ok());
  }
  const Status damaged = restic.LoadText(artifact).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss) << damaged;

  v1::ResticLocation away = repository_.Location();
  away.set_repository("rest:http://127.0.0.1:1/");
  const Restic elsewhere = ResticRepositoryForTest::Open(away);
  EXPECT_EQ(elsewhere.LoadText(artifact).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(elsewhere.CheckSnapshot(*kept).code(), absl::StatusCode::kUnavailable);
  away.set_repository(repository_.Path() + "/nowhere");
  EXPECT_EQ(ResticRepositoryForTest::Open(away).LoadText(artifact).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ResticTest, CancellingIsCancelled) {
  repository_.Make();
  std::stop_source stop;
  stop.request_stop();
  ResticContext context;
  context.tools = &Tools();
  context.stop = stop.get_token();
  EXPECT_EQ(Restic(repository_.Location(), context).Check().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace salvor::agent
