// The texts of restic are read without restic: its errors, its JSON, and the files around it.
#include <absl/time/clock.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "agent/restic/environment_file.h"
#include "agent/restic/restic.h"
#include "agent/restic/restic_errors.h"
#include "agent/restic/restic_json.h"
#include "agent/restic/restic_locks.h"
#include "agent/restic/restic_stall.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::ResticLocation Location() {
  v1::ResticLocation location;
  location.set_password_file("/etc/salvor/password");
  return location;
}

absl::StatusCode CodeOf(std::string_view text, int exit_code = 1) {
  return ResticError(text, exit_code, Location()).code();
}

TEST(ResticErrors, AreToldApartByTheirText) {
  EXPECT_EQ(CodeOf("Fatal: wrong password or no key found"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf("Fatal: unable to open config file: stat /r/config: no such file or directory"),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf("Fatal: unable to open config file: client.Head: dial tcp 127.0.0.1:1: connect: "
                   "connection refused\n"
                   "Is there a repository at the following location?"),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf("unable to create lock in backend: repository is already locked by PID 3 on vm by root"),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(CodeOf("Fatal: unable to save snapshot: write /r/data/df: no space left on device"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf("unable to create lock in backend: open /r/locks/x: no space left on device"),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf("Fatal: unable to open config file: open /r/config: permission denied"),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf("Fatal: something new"), absl::StatusCode::kInternal);
}

TEST(ResticErrors, AreToldApartByExitCodeWhereResticHasThem) {
  EXPECT_EQ(CodeOf("", 10), absl::StatusCode::kNotFound);
  EXPECT_TRUE(IsResticLocked(ResticError("", 11, Location())));
  EXPECT_EQ(CodeOf("", 12), absl::StatusCode::kFailedPrecondition);
}

// As restic 0.14 ends after ten tries.
TEST(ResticErrors, GoesStacksAndTriesAreNotForPeople) {
  const Status status = ResticError(
      "Save(<lock/db4b2e2279>) returned error, retrying after 15.39s: open /r/locks/db: read-only file system\n"
      "open /r/locks/db: read-only file system\n"
      "github.com/restic/restic/internal/backend/local.(*Local).Save\n"
      "\tgithub.com/restic/restic/internal/backend/local/local.go:153\n"
      "runtime.goexit\n"
      "\truntime/asm_amd64.s:1594\n"
      "unable to create lock in backend\n",
      1, Location());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(status),
            "restic: open /r/locks/db: read-only file system; unable to create lock in backend");
  const Status crash = ResticError(
      "panic: runtime error: index out of range [3]\n\ngoroutine 1 [running]:\nmain.main()\n\t/x/main.go:3\n",
      2, Location());
  EXPECT_EQ(MessageOf(crash), "restic: it crashed: panic: runtime error: index out of range [3]");
  EXPECT_EQ(crash.code(), absl::StatusCode::kInternal);
}

TEST(ResticErrors, ALockIsToldWithItsOwnerAndAge) {
  const Status status = ResticError(
      "unable to create lock in backend: repository is already locked exclusively by PID 7 on vm by root (UID 0, "
      "GID 0)\nlock was created at 2026-11-25 21:16:54 (2.08s ago)\nstorage ID 2ee4ad78\nthe `unlock` command can "
      "be used to remove stale locks\n",
      1, Location());
  EXPECT_TRUE(IsResticLocked(status));
  EXPECT_THAT(MessageOf(status), HasSubstr("by PID 7 on vm by root"));
  EXPECT_THAT(MessageOf(status), HasSubstr("lock was created at 2026-11-25 21:16:54 (2.08s ago)"));
}

TEST(ResticErrors, DamageIsToldFromAStorageThatFails) {
  for (
      const char* text :
      {"invalid id \"deadbeef\": no matching ID found for prefix \"deadbeef\"",
       "loading tree for snapshot \"latest\" failed: decrypting blob 7436 failed: ciphertext verification failed",
       "loading tree for snapshot \"latest\" failed: id 7436dc not found in repository",
       "cannot dump file: path \"/x\" not found in snapshot",
       "Ignoring \"0f14\", could not load snapshot: load <snapshot/0f1452f855>: invalid data returned",
       "ignoring error for /: ReadFull(<data/c7a91fc063>): open /r/data/c7/c7a9: no such file or directory\n"
       "Fatal: There were 2 errors"}) {
    const Status status = ResticError(text, 1, Location());
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_TRUE(IsResticDamage(status)) << text;
  }
  for (
      const char* text :
      {"ReadFull(<data/c7a91fc063>): Get \"https://vault/data/c7\": dial tcp 10.0.0.1:443: connect: connection refused",
       "ReadFull(<data/c7a91fc063>): Get \"https://vault/data/c7\": unexpected EOF",
       "Fatal: unable to open config file: stat /r/config: no such file or directory"}) {
    EXPECT_FALSE(IsResticDamage(ResticError(text, 1, Location()))) << text;
  }
  v1::ResticLocation local = Location();
  local.set_repository("/r");
  EXPECT_TRUE(IsResticDamage(ResticError("ReadFull(<data/c7a91fc063>): unexpected EOF", 2, local)));
  EXPECT_THAT(MessageOf(ResticError("ignoring error for /a: bad\nFatal: There were 2 errors", 1, local)),
              HasSubstr("error for /a: bad"));
}

TEST(ResticLocks, AreReadAndDescribed) {
  const auto lock = ParseResticLock(
      "ab",
      R"({"time":"2026-11-25T21:16:54.36Z","exclusive":true,"hostname":"vm","username":"root","pid":7})");
  ASSERT_TRUE(lock.ok()) << lock.status();
  EXPECT_TRUE(lock->exclusive);
  EXPECT_EQ(Describe(*lock, lock->created + absl::Seconds(125)), "restic of root on vm (PID 7, since 2m05s)");
  for (const char* json :
       {"", "[]", "{}", R"({"hostname":"vm","pid":"7"})", R"({"hostname":"vm","pid":7,"time":"x"})"})
    EXPECT_FALSE(ParseResticLock("ab", json).ok()) << json;
}

TEST(ResticLocks, OnlyTheDeadOfThisHostAreGone) {
  ResticLock lock;
  lock.host = "vm";
  lock.pid = 7;
  lock.created = absl::FromUnixSeconds(1'000);
  const absl::Time before = lock.created - absl::Seconds(9), after = lock.created + absl::Seconds(9);
  EXPECT_TRUE(IsOwnerGone(lock, "vm", {false, false, "", std::nullopt}));
  EXPECT_TRUE(IsOwnerGone(lock, "vm", {true, true, "restic", before}));
  EXPECT_TRUE(IsOwnerGone(lock, "vm", {true, false, "nginx", after})) << "another has its number";
  EXPECT_FALSE(IsOwnerGone(lock, "vm", {true, false, "restic", before}));
  EXPECT_FALSE(IsOwnerGone(lock, "vm", {true, false, "restic", after})) << "a clock that was set";
  EXPECT_FALSE(IsOwnerGone(lock, "vm", {true, false, "restic_0.14", before}));
  EXPECT_FALSE(IsOwnerGone(lock, "vm", {true, false, "", std::nullopt})) << "hidden from us";
  EXPECT_FALSE(IsOwnerGone(lock, "other", {false, false, "", std::nullopt}));
  lock.host = "";
  EXPECT_FALSE(IsOwnerGone(lock, "", {false, false, "", std::nullopt}));
}

TEST(ResticLocks, AProcessOfOursIsKnown) {
  const ProcessFacts facts = ReadProcessFacts(::getpid());
  EXPECT_TRUE(facts.exists);
  EXPECT_FALSE(facts.zombie);
  ASSERT_TRUE(facts.started.has_value());
  EXPECT_LE(*facts.started, absl::Now() + absl::Seconds(2));
  EXPECT_GT(*facts.started, absl::Now() - absl::Hours(24));
  EXPECT_FALSE(ReadProcessFacts(0).exists);
}

TEST(ResticErrors, AWrongPasswordPointsToItsFile) {
  EXPECT_THAT(HintOf(ResticError("wrong password or no key found", 1, Location())),
              HasSubstr("/etc/salvor/password"));
}

TEST(ResticErrors, NeverShowThePasswordInARepositorysAddress) {
  const std::string message =
      MessageOf(ResticError("Head \"https://user:secret@host:8000/x@y\": EOF", 1, Location()));
  EXPECT_THAT(message, Not(HasSubstr("secret")));
  EXPECT_THAT(message, HasSubstr("https://host:8000/x@y"));
}

TEST(ResticJson, ReadsWhat014Prints) {
  const ResticMessage summary = ParseResticMessage(
      R"({"message_type":"summary","files_new":1,"total_files_processed":3,"total_bytes_processed":3000000,"snapshot_id":"f7c9cf46"})");
  EXPECT_EQ(summary.kind, ResticMessage::Kind::kSummary);
  EXPECT_EQ(summary.summary.snapshot, "f7c9cf46");
  EXPECT_EQ(summary.summary.bytes_processed, 3000000);
  EXPECT_EQ(summary.summary.files_processed, 3);
  EXPECT_EQ(ParseResticMessage(R"({"message_type":"error","error":{},"during":"scan","item":"/a"})").error,
            "/a: could not be read");
  EXPECT_EQ(ParseResticMessage(R"({"message_type":"error","error":{"message":"no"},"item":"/a"})").error,
            "/a: no");
}

TEST(ResticJson, TakesAnythingElseForNothing) {
  for (const char* line :
       {"", "open repository", "[1]", "{\"message_type\":7}", "{\"message_type\":\"summary\",", "null"}) {
    EXPECT_EQ(ParseResticMessage(line).kind, ResticMessage::Kind::kOther) << line;
  }
  EXPECT_FALSE(ParseResticSnapshots("{}").ok());
  EXPECT_FALSE(ParseResticSnapshots("[{\"id\":\"x\"}]").ok());
  EXPECT_FALSE(ParseResticSnapshots("").ok());
}

TEST(ResticJson, SnapshotsComeOldestFirstWithTheirTags) {
  const auto snapshots = ParseResticSnapshots(
      R"([{"time":"2026-11-21T08:15:29.4Z","id":"bb","tags":["salvor","a=x%2Cy"]},{"time":"2026-11-21T09:15:28+01:00","id":"aa"}])");
  ASSERT_TRUE(snapshots.ok()) << snapshots.status();
  ASSERT_EQ(snapshots->size(), 2u);
  EXPECT_EQ((*snapshots)[0].id, "aa");
  EXPECT_EQ((*snapshots)[1].tags.at("a"), "x,y");
  EXPECT_EQ((*snapshots)[1].tags.at("salvor"), "");
  EXPECT_EQ(ResticTag("a", "x,y"), "a=x%2Cy");
}

TEST(EnvironmentFile, HoldsOneVariableALine) {
  const auto variables = ParseEnvironment("# key\n\nAWS_ACCESS_KEY_ID = abc\nSECRET=\"a b=c\"\r\nEMPTY=\n");
  ASSERT_TRUE(variables.ok()) << variables.status();
  EXPECT_EQ(variables->at("AWS_ACCESS_KEY_ID"), "abc");
  EXPECT_EQ(variables->at("SECRET"), "a b=c");
  EXPECT_EQ(variables->at("EMPTY"), "");
}

TEST(EnvironmentFile, ErrorsNameTheLineAndNeverItsText) {
  const Status status = ParseEnvironment("A=b\nsecret value\n").status();
  EXPECT_THAT(MessageOf(status), HasSubstr("line 2"));
  EXPECT_THAT(MessageOf(status), Not(HasSubstr("secret")));
  EXPECT_FALSE(ParseEnvironment("RESTIC_PASSWORD=x\n").ok());
}

TEST(ResticSnapshots, AShortIdIsGoodWhileOnlyOneSnapshotBeginsWithIt) {
  ResticSnapshot one, another;
  one.id = std::string(64, 'a');
  another.id = "aaaaaaab" + std::string(56, 'c');
  EXPECT_EQ(Restic::FullId({one, another}, "aaaaaaaa"), one.id);
  EXPECT_EQ(Restic::FullId({one, another}, another.id), another.id);
  EXPECT_EQ(Restic::FullId({one, another}, "bbbbbbbb"), std::nullopt);
  EXPECT_EQ(Restic::FullId({one, another}, "aaaaaaa"), std::nullopt) << "too short to mean one";
  another.id = "aaaaaaaa" + std::string(56, 'c');
  EXPECT_EQ(Restic::FullId({one, another}, "aaaaaaaa"), std::nullopt) << "of two";
}

TEST(ResticStall, AnUploadThatStandsStillOnAFullDiskIsOutOfSpaceWithinSeconds) {
  EXPECT_TRUE(JudgeIdleUpload(absl::Seconds(9), 0).ok());
  const Status full = JudgeIdleUpload(absl::Seconds(10), 4096);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(MessageOf(full), HasSubstr("no space left on device: 4.00 KiB free"));
  EXPECT_THAT(HintOf(full), HasSubstr("Free space"));
}

TEST(ResticStall, AnUploadThatStandsStillElsewhereIsGivenMinutesAndIsThenWorthAnotherTry) {
  const int64_t plenty = int64_t{1} << 40;
  EXPECT_TRUE(JudgeIdleUpload(absl::Seconds(179), plenty).ok());
  EXPECT_TRUE(JudgeIdleUpload(absl::Seconds(179), std::nullopt).ok());
  EXPECT_EQ(JudgeIdleUpload(absl::Minutes(3), plenty).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(JudgeIdleUpload(absl::Minutes(3), std::nullopt).code(), absl::StatusCode::kUnavailable);
}

TEST(ResticStall, OtherWorkIsGivenLongerThanResticsOwnRetriesTake) {
  EXPECT_TRUE(JudgeIdleRestic(absl::Minutes(19)).ok());
  EXPECT_EQ(JudgeIdleRestic(absl::Minutes(20)).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(JudgeIdleRestic(absl::Minutes(20))), HasSubstr("stood still for 20m00s"));
}

TEST(ResticStall, OnlyARepositoryOfThisHostHasFreeBytes) {
  v1::ResticLocation location;
  for (const char* local : {"/", "local:/"}) {
    location.set_repository(local);
    EXPECT_GT(FreeBytesOfRepository(location).value_or(-1), 0) << local;
  }
  for (const char* other : {"s3:http://127.0.0.1:9000/bucket", "sftp:host:/", "relative", "/no/such/place"}) {
    location.set_repository(other);
    EXPECT_EQ(FreeBytesOfRepository(location), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace salvor::agent
