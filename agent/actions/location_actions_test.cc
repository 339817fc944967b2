#include "agent/actions/location_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "agent/actions/action_testing.h"
#include "agent/restic/restic_testing.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

class LocationOpen : public testing::Test {
 protected:
  StatusOr<v1::ActionResult> Open(bool create) {
    AttemptForTest attempt(repository_.Path() + "/state");
    *attempt.Action().mutable_location_open()->mutable_location() = repository_.Location();
    attempt.Action().mutable_location_open()->set_create(create);
    return attempt.Run(RunLocationOpen);
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
  auto check = Process::Start(Supervisor(), std::move(spec));
  ASSERT_TRUE(check.ok()) << check.status();
  const auto has_a_whole_lock = [&] {  // its name is a hash; while it is written it has "-tmp-" in it
    for (const auto& entry : std::filesystem::directory_iterator(locks)) {
      if (entry.path().filename().native().size() == 64) return true;
    }
    return false;
  };
  ASSERT_TRUE(Eventually(has_a_whole_lock));
  ASSERT_EQ(::kill((*check)->Pid(), SIGKILL), 0);
  EXPECT_FALSE((*check)->Wait({}, absl::InfiniteFuture())->Ok());
  ASSERT_TRUE(has_a_whole_lock());
  const auto opened = Open(false);
  ASSERT_TRUE(opened.ok()) << opened.status();
  ASSERT_EQ(opened->warnings_size(), 1);
  EXPECT_THAT(opened->warnings(0), HasSubstr("stale locks"));
}

}  // namespace
}  // namespace salvor::agent
