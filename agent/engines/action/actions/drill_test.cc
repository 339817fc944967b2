// From a program's artifacts to a copy that was compared, and every damage by its name.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/engines/action/actions/actions_testing.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST_F(ProgramActionsTest, AStreamIsKeptAndComesBackEqual) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ASSERT_EQ(kept_.artifacts_size(), 2);
  EXPECT_EQ(Kept("text").bytes(), 9);
  EXPECT_EQ(Kept("text").program().program(), "toy");
  EXPECT_EQ(Kept("text").program().sha256().size(), 32u);
  EXPECT_EQ(Kept("record").contents().role(), v1::Artifact::ROLE_DETAILS);
  EXPECT_THAT(Drill(), ElementsAre("PASSED expectation cache: 2 expectations equal",
                                   "PASSED program cache: 1 check of its own passed"));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(ProgramActionsTest, AFileIsKeptAndComesBackEqual) {
  ASSERT_NO_FATAL_FAILURE(MustBackup("file"));
  EXPECT_EQ(Kept("text").bytes(), 9);
  EXPECT_THAT(Drill(), Contains("PASSED expectation cache: 2 expectations equal"));
}

// Its surroundings are what the contract says and nothing else.
TEST_F(ProgramActionsTest, RunsUnprivilegedWithNothingOfTheAgents) {
  ::setenv("SALVOR_TEST_AMBIENT", "leaks", 1);
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ::unsetenv("SALVOR_TEST_AMBIENT");
  const std::string log = Log();
  EXPECT_THAT(log,
              HasSubstr("['HOME', 'LC_ALL', 'PATH', 'SALVOR_CONTRACT', 'SALVOR_EVENTS_FD', 'TMPDIR', 'TZ']"));
  EXPECT_THAT(log, HasSubstr("['0', '1', '2', '3', '4', '5', '6']")) << "6 is the listing's own";
  if (::geteuid() == 0) {
    EXPECT_THAT(log, Not(HasSubstr("I am 0 ")));
  }
}

TEST_F(ProgramActionsTest, ADrillHasNoNetworkNoSecretsAndNoFileOfTheHost) {
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener.Get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.Get(), 1), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(listener.Get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  Set("restore", "out");
  Set("port", std::to_string(ntohs(address.sin_port)));
  Set("secret", directory_ / "password");
  (*component_.mutable_secrets())["password"] = directory_ / "password";
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ASSERT_FALSE(Drill().empty());
  EXPECT_THAT(warnings_, ElementsAre("program toy: there is no network"));
}

TEST_F(ProgramActionsTest, DamageInTheCopyIsNamed) {
  Set("restore", "other");
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_THAT(Drill(), Contains(HasSubstr("FAILED expectation sha256: ")));
  Set("restore", "shorter");
  EXPECT_THAT(Drill(), Contains("FAILED expectation length: 9 at the backup, 8 in the copy"));
}

TEST_F(ProgramActionsTest, WhatIsNotLookedAtInTheCopyIsNoPass) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  Set("mode", "does-not-look");
  EXPECT_THAT(Drill(), Contains(HasSubstr("FAILED expectation sha256: ")));
}

// Found by Salvor, before the program sees a byte of it.
TEST_F(ProgramActionsTest, DamageInAnArtifactIsNamedAndDisproves) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  for (v1::Artifact& artifact : *kept_.mutable_artifacts()) {
    if (artifact.name() == "cache.text") artifact.set_sha256(std::string(32, 'x'));
  }
  const auto digest = Restore();
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kDataLoss) << digest.status();
  EXPECT_THAT(MessageOf(digest.status()), HasSubstr("artifact text: cache.text in snapshot"));
  for (v1::Artifact& artifact : *kept_.mutable_artifacts()) {
    if (artifact.name() == "cache.text") artifact.set_bytes(8);
  }
  EXPECT_THAT(MessageOf(Restore().status()), HasSubstr("is 9 bytes long and should be 8"));
}

TEST_F(ProgramActionsTest, AnArtifactThatIsGoneIsNamed) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  const v1::ActionResult whole = kept_;
  kept_.clear_artifacts();
  *kept_.add_artifacts() = whole.artifacts(1);  // the record
  ASSERT_EQ(kept_.artifacts(0).name(), "cache.record");
  const auto restored = Restore();
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(MessageOf(restored.status()),
              HasSubstr("artifact text is in the record, and not in the backup"));
}

TEST_F(ProgramActionsTest, DamageThatOnlyTheProgramSeesDisprovesToo) {
  Set("restore", "damaged");
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  const auto restored = Restore();
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss) << restored.status();
  EXPECT_THAT(MessageOf(restored.status()), HasSubstr("this is no text of mine"));
}

TEST_F(ProgramActionsTest, WithoutAnArtifactItIsUnverifiable) {
  ASSERT_NO_FATAL_FAILURE(MustBackup("nothing"));
  EXPECT_EQ(kept_.artifacts_size(), 1);
  EXPECT_THAT(kept_.warnings(), Contains(HasSubstr("declared no artifact")));
  EXPECT_THAT(Drill(), ElementsAre(HasSubstr("UNVERIFIABLE artifacts cache: ")));
}

TEST_F(ProgramActionsTest, AnotherProgramThanAtTheBackupIsSaid) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  ASSERT_TRUE(WriteFileAtomically(directory_ / "toy", std::string(kToyProgram) + "# newer\n", 0755).ok());
  EXPECT_THAT(Drill(), Contains("PASSED expectation cache: 2 expectations equal"));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("program toy is another one")));
}

TEST_F(ProgramActionsTest, WhatIsInTheWayOfARestoreRefusesIt) {
  ASSERT_NO_FATAL_FAILURE(MustBackup());
  EXPECT_TRUE(Plan().ok()) << Plan().status();
  Set("mode", "in-the-way");
  const auto refused = Plan();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_EQ(MessageOf(refused.status()), "program toy: there is one already");
}

TEST_F(ProgramActionsTest, OnlyWhatTheHostAllowsIsRun) {
  component_.set_program("other");
  EXPECT_THAT(MessageOf(Backup().status()), HasSubstr("this agent does not allow the action other"));
  component_.set_program("toy");
  ASSERT_EQ(::chmod((directory_ / "toy").c_str(), 0775), 0);
  EXPECT_THAT(MessageOf(Backup().status()), HasSubstr("can be changed by others"));
  ASSERT_EQ(::chmod((directory_ / "toy").c_str(), 0755), 0);
  component_.set_contract(2);
  EXPECT_THAT(MessageOf(Backup().status()), HasSubstr("is written for version 2 of the action contract"));
  component_.set_contract(1);
  EXPECT_TRUE(Backup().ok());
}

}  // namespace
}  // namespace salvor::agent
