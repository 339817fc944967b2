#include "agent/kubernetes/velero/actions/object_wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/kubernetes/client/api_error.h"
#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/process/process.h"

namespace salvor::velero {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const kubernetes::ObjectKey& Key() {
  static const kubernetes::ObjectKey key{Backups(), "velero", "b"};
  return key;
}

Status Refusal(int http_status) {
  const kubernetes::ApiRequest request{"list", "backups.velero.io", "velero", ""};
  return kubernetes::MakeApiError(http_status, "", "User \"salvor\" cannot list backups", request);
}

// A Backup b, whose phase is told as it is, and whose stall a test decides. The clock goes on by `pace` whenever it is
// read, and `at_look` is called with the number of each look.
class ObjectWaitTest : public testing::Test {
 protected:
  ObjectWaitTest() {
    config_.name = "executor";
    cluster_.Serve(Backups(), "Backup");
    const Json velero = {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "velero"}}}};
    EXPECT_TRUE(cluster_.Create(Namespaces(), "", velero, {}, {}).ok());
    const Json backup = {{"apiVersion", "velero.io/v1"},
                         {"kind", "Backup"},
                         {"metadata", {{"name", "b"}, {"namespace", "velero"}}},
                         {"status", {{"phase", "InProgress"}}}};
    EXPECT_TRUE(cluster_.Create(Backups(), "velero", backup, {}, {}).ok());
    options_.look_every = absl::Milliseconds(2);
    options_.now = [this] { return SteadyTime::At(elapsed_ += pace_); };
    context_.progress = [this](const v1::Progress& progress) { told_.push_back(progress.message()); };
    context_.log = [this](std::string_view, std::string_view line) { log_.emplace_back(line); };
  }

  void SetPhase(const std::string& phase) {
    EXPECT_TRUE(cluster_.Change(Key(), [&](Json& object) { object["status"]["phase"] = phase; }).ok());
  }

  ObjectEyes Eyes() {
    return {[this](const Json& object) {
              phase_ = TextAt(object, {"status", "phase"});
              return phase_ == "Completed";
            },
            [this] {
              v1::Progress progress;
              progress.set_message("Velero says " + phase_);
              return progress;
            },
            [this] {
              if (at_look_) at_look_(++looks_);
              return stall_;
            }};
  }

  // "over", "gone", "stopped", "late", or the error.
  std::string End() {
    const auto end = wait_.Until(Key(), Eyes());
    if (!end.ok()) return MessageOf(end.status());
    switch (*end) {
      case WaitEnd::kOver:
        return "over";
      case WaitEnd::kGone:
        return "gone";
      case WaitEnd::kStopped:
        return "stopped";
      case WaitEnd::kLate:
        return "late";
    }
    return "";
  }

  kubernetes::FakeKubernetes cluster_;
  agent::AgentConfig config_;
  agent::SupervisedTools tools_{"none"};
  v1::Task task_;
  std::stop_source stop_;
  agent::ActionContext context_{config_, tools_, task_, stop_.get_token(), SteadyTime::InfiniteFuture(),
                                nullptr, nullptr};
  VeleroOptions options_;
  absl::Duration elapsed_ = absl::ZeroDuration(), pace_ = absl::ZeroDuration();
  std::function<void(int look)> at_look_;
  std::optional<std::string> stall_;
  int looks_ = 0;
  std::string phase_;
  std::vector<std::string> told_, log_;
  ObjectWait wait_{"Velero's backup", context_, options_, cluster_};
};

TEST_F(ObjectWaitTest, EndsWhenTheObjectIsOver) {
  at_look_ = [this](int) { SetPhase("Completed"); };
  EXPECT_EQ(End(), "over");
  EXPECT_EQ(told_.front(), "Velero says InProgress");
  EXPECT_EQ(told_.back(), "Velero says Completed");
}

TEST_F(ObjectWaitTest, SaysThatTheObjectIsGone) {
  at_look_ = [this](int) { EXPECT_TRUE(cluster_.Delete(Key(), {}, {}).ok()); };
  EXPECT_EQ(End(), "gone");
}

TEST_F(ObjectWaitTest, EndsAtOnceWhenItIsAskedTo) {
  at_look_ = [this](int) { stop_.request_stop(); };
  EXPECT_EQ(End(), "stopped");
  EXPECT_EQ(looks_, 1);
}

TEST_F(ObjectWaitTest, SaysWhatWasToldLastWhenItsTimeIsOver) {
  EXPECT_EQ(wait_.LastTold(), "") << "nothing was told yet";
  at_look_ = [this](int) { context_.deadline = SteadyTime::InfinitePast(); };
  EXPECT_EQ(End(), "late");
  EXPECT_EQ(wait_.LastTold(), "; Velero says InProgress");
}

TEST_F(ObjectWaitTest, SaysThatNothingMovesUntilSomethingDoes) {
  at_look_ = [this](int look) {
    stall_ = look < 5 ? std::optional<std::string>("nothing has moved") : std::nullopt;
    if (look == 6) SetPhase("Completed");
  };
  EXPECT_EQ(End(), "over");
  const auto first = std::find(told_.begin(), told_.end(), "nothing has moved");
  const auto last = std::find(told_.rbegin(), told_.rend(), "nothing has moved").base();
  ASSERT_LT(first, last);
  EXPECT_THAT(std::vector<std::string>(first, last), testing::Each("nothing has moved"));
  EXPECT_EQ(told_.back(), "Velero says Completed");
  EXPECT_THAT(log_, ElementsAre("nothing has moved")) << "the log has it once";
}

TEST_F(ObjectWaitTest, NamesTheStallWhenItsTimeIsOver) {
  at_look_ = [this](int look) {
    stall_ = "nothing has moved";
    if (look == 2) context_.deadline = SteadyTime::InfinitePast();
  };
  EXPECT_EQ(End(), "late");
  EXPECT_EQ(wait_.LastTold(), "; nothing has moved");
}

TEST_F(ObjectWaitTest, WaitsOutARefusalOfAnyKindForAWhile) {
  for (const Status& refusal : {Refusal(403), Refusal(401), Internal("the answer is no JSON")}) {
    pace_ = absl::Seconds(5);
    SetPhase("Completed");
    cluster_.Fail("list", Backups(), refusal, 12);
    EXPECT_EQ(End(), "over") << refusal;
  }
  EXPECT_THAT(log_, Contains(HasSubstr("waiting for Velero's backup all the same: list backups.velero.io")));
  EXPECT_EQ(log_.size(), 3) << "each time is said once";
}

TEST_F(ObjectWaitTest, EndsWithARefusalThatLastsAndNotWithManyShortOnes) {
  options_.refusals_pass_within = absl::Minutes(1);
  pace_ = absl::Seconds(20);
  at_look_ = [this](int look) {
    if (look == 20) return SetPhase("Completed");
    if (look % 2 == 1) cluster_.Fail("list", Backups(), Refusal(403));
  };
  EXPECT_EQ(End(), "over") << "each was answered after a moment";
  at_look_ = nullptr;
  cluster_.Fail("list", Backups(), Refusal(403), 1000);
  EXPECT_THAT(End(), HasSubstr("cannot list backups"));
}

TEST_F(ObjectWaitTest, WaitsOutARefusalBeforeItHasSeenTheObjectAndLooksAtNothingMeanwhile) {
  at_look_ = [](int) { FAIL() << "there is nothing to look at yet"; };
  SetPhase("Completed");
  cluster_.Fail("list", Backups(), Refusal(403), 3);
  EXPECT_EQ(End(), "over");
}

TEST_F(ObjectWaitTest, StopsInTheMiddleOfARefusal) {
  cluster_.Fail("list", Backups(), Refusal(403), 1000);
  context_.log = [this](std::string_view, std::string_view) { stop_.request_stop(); };
  EXPECT_EQ(End(), "stopped");
}

TEST_F(ObjectWaitTest, EndsAtOnceWithAnErrorThatNoWaitingMends) {
  cluster_.Fail("list", Backups(), Refusal(400));
  EXPECT_THAT(End(), HasSubstr("list backups.velero.io"));
  EXPECT_THAT(log_, IsEmpty());
}

}  // namespace
}  // namespace salvor::velero
