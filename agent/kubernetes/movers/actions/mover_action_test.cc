// Movers on a Kubernetes that behaves: the test plays the Job's controller, the kubelet and the mover.
#include "agent/kubernetes/movers/actions/mover_action.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "agent/kubernetes/movers/mover_output.h"
#include "agent/kubernetes/movers/mover_result.h"
#include "agent/kubernetes/movers/mover_testing.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/process/process.h"

namespace salvor::movers {
namespace {

using kubernetes::FakeKubernetes;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

v1::ActionResult Dumped(const std::string& note) {
  v1::ActionResult result;
  result.add_artifacts()->set_name("db.dump.shop");
  result.set_note(note);
  return result;
}

class MoverAction : public testing::Test {
 protected:
  MoverAction() {
    cluster_->Serve(PodTemplates(), "PodTemplate");
    Make(velero::Namespaces(), "",
         {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "salvor"}}}});
    Make(PodTemplates(), "salvor", APodTemplate());
    cluster_->OnCreate(Jobs(), [this](const Json& job) {
      if (on_job_ && !nobody_reacts_) on_job_(job);
    });
    options_.cluster = [this]() -> StatusOr<std::shared_ptr<kubernetes::Kubernetes>> { return cluster_; };
    options_.look_every = absl::Milliseconds(1);
    options_.gone_within = absl::Seconds(30);
    on_job_ = [this](const Json& job) { StartPod(job); };
    on_running_ = [this](const Json& job) { End(job, 0, Dumped("dumped")); };
  }

  Json Make(const kubernetes::ResourceType& type, const std::string& name_space, const Json& object) {
    auto made = cluster_->Create(type, name_space, object, {}, {});
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : Json();
  }
  static std::string NameOf(const Json& job) { return kubernetes::TextAt(job, {"metadata", "name"}); }
  static kubernetes::ObjectKey PodOf(const Json& job) {
    return {velero::Pods(), "salvor", NameOf(job) + "-pod"};
  }

  // The controller and the kubelet.
  void MakePod(const Json& job) { Make(velero::Pods(), "salvor", APod(job, PodOf(job).name)); }
  void StartPod(const Json& job) {
    MakePod(job);
    ASSERT_TRUE(cluster_->Change(PodOf(job), SetRunning).ok());
    if (on_running_) on_running_(job);
  }
  void Say(const Json& job, const std::string& text) {
    cluster_->SetLogs("salvor", PodOf(job).name, kContainer, text);
  }
  void EndWith(const Json& job, int exit_code, const std::string& message) {
    ASSERT_TRUE(cluster_->Change(PodOf(job), [&](Json& pod) { SetEnded(pod, exit_code, message); }).ok());
  }
  void End(const Json& job, int exit_code, const v1::ActionResult& result) {
    const EncodedResult encoded = EncodeResult(NameOf(job), result);
    std::string log = LogLine("pg_dump", "dumping") + "\n";
    for (size_t i = 0; i < encoded.parts.size(); ++i)
      log += ResultLine(static_cast<int>(i) + 1, encoded.parts[i]) + "\n";
    Say(job, log);
    EndWith(job, exit_code, encoded.message);
  }

  StatusOr<v1::ActionResult> Run(int attempt = 1) {
    task_ = ATask(attempt);
    agent::ActionContext context{config_, tools_, task_, stop_.get_token(), deadline_, nullptr, nullptr};
    context.log = [this](std::string_view source, std::string_view line) {
      std::lock_guard lock(mutex_);
      lines_.push_back(fmt::format("{}: {}", source, line));
    };
    context.progress = [this](const v1::Progress& progress) {
      {
        std::lock_guard lock(mutex_);
        told_.push_back(progress.message());
      }
      if (on_progress_) on_progress_();
    };
    return RunInMover(task_.action(), context, options_);
  }
  std::string Failed(int attempt = 1) {
    const auto result = Run(attempt);
    EXPECT_FALSE(result.ok());
    code_ = result.status().code();
    return MessageOf(result.status());
  }
  std::vector<std::string> NamesOf(const kubernetes::ResourceType& type) {
    std::vector<std::string> names;
    EXPECT_TRUE(cluster_
                    ->List(type, "salvor", {},
                           [&](const Json& item) {
                             names.push_back(NameOf(item));
                             return OkStatus();
                           },
                           {})
                    .ok());
    return names;
  }
  void ExpectNothingLeft() {
    EXPECT_THAT(NamesOf(Jobs()), IsEmpty());
    EXPECT_THAT(NamesOf(velero::Pods()), IsEmpty());
  }
  int Created() {
    int count = 0;
    for (const kubernetes::ApiRequest& request : cluster_->Requests())
      count += request.verb == "create" && request.resource == "jobs.batch" ? 1 : 0;
    return count;
  }

  std::shared_ptr<FakeKubernetes> cluster_ = std::make_shared<FakeKubernetes>();
  MoverOptions options_;
  std::function<void(const Json&)> on_job_, on_running_;
  std::function<void()> on_progress_;
  bool nobody_reacts_ = false;
  std::stop_source stop_;
  SteadyTime deadline_ = SteadyTime::InfiniteFuture();
  absl::StatusCode code_ = absl::StatusCode::kOk;
  std::mutex mutex_;
  std::vector<std::string> lines_, told_;

 private:
  agent::AgentConfig config_;
  agent::SupervisedTools tools_{"none"};  // nothing is started here
  v1::Task task_;
};

TEST_F(MoverAction, IsDoneByAJobThatIsGoneAfterwards) {
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->DebugString(), Dumped("dumped").DebugString());
  EXPECT_THAT(lines_, Contains("pg_dump: dumping"));
  ExpectNothingLeft();
}

TEST_F(MoverAction, TellsWhatTheActionSaidOfItsFailure) {
  on_running_ = [this](const Json& job) {
    v1::ActionResult refused;
    refused.mutable_error()->set_message("role backup may not read public.orders");
    refused.mutable_error()->set_reason(v1::Error::REASON_REFUSED);
    End(job, 1, refused);
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->error().reason(), v1::Error::REASON_REFUSED);
  ExpectNothingLeft();
}

TEST_F(MoverAction, TakesALargeResultFromTheLog) {
  v1::ActionResult large = Dumped("large");
  for (int i = 0; i < 500; ++i) large.add_warnings("table " + std::to_string(i) + " was truncated meanwhile");
  on_running_ = [&](const Json& job) { End(job, 0, large); };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->warnings_size(), 500);
}

// An executor was killed after it made the Job, and takes the same attempt up again.
TEST_F(MoverAction, AdoptsTheJobOfTheSameAttempt) {
  on_running_ = nullptr;
  const Json job = Make(Jobs(), "salvor", *MakeJob(APodTemplate(), ATask(), absl::Hours(1)));
  End(job, 0, Dumped("while nobody looked"));
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->note(), "while nobody looked");
  EXPECT_EQ(Created(), 2) << "the second one said that it exists";
  ExpectNothingLeft();
}

TEST_F(MoverAction, AdoptsWhatACallMadeThatNobodyAnswered) {
  bool made = false;
  on_job_ = [&](const Json& job) {
    made = true;
    StartPod(job);
  };
  Make(Jobs(), "salvor", *MakeJob(APodTemplate(), ATask(), absl::Hours(1)));
  cluster_->Fail("create", Jobs(), kubernetes::MakeApiError(503, "ServiceUnavailable", "away", {}));
  ASSERT_TRUE(made);
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->note(), "dumped");
}

TEST_F(MoverAction, EndsTheMoverOfAnEarlierAttemptAndTakesNothingFromIt) {
  on_running_ = nullptr;
  const Json earlier = Make(Jobs(), "salvor", *MakeJob(APodTemplate(), ATask(1), absl::Hours(1)));
  End(earlier, 0, Dumped("of attempt 1"));
  on_running_ = [this](const Json& job) {
    EXPECT_THAT(NamesOf(Jobs()), ElementsAre(NameOf(job))) << "two of a step never work beside each other";
    End(job, 0, Dumped("of attempt 2"));
  };
  const auto result = Run(2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->note(), "of attempt 2");
  ExpectNothingLeft();
}

// It was thought to be gone, and was only slow.
TEST_F(MoverAction, MakesNothingBesideALaterAttempt) {
  on_running_ = nullptr;
  Make(Jobs(), "salvor", *MakeJob(APodTemplate(), ATask(2), absl::Hours(1)));
  EXPECT_THAT(Failed(1), HasSubstr("attempt 2 of this step is at work already"));
  EXPECT_EQ(code_, absl::StatusCode::kAborted);
  EXPECT_EQ(NamesOf(Jobs()).size(), 1u) << "the later one goes on";
}

TEST_F(MoverAction, TouchesNoJobOfThatNameThatItDidNotMake) {
  Json foreign = *MakeJob(APodTemplate(), ATask(), absl::Hours(1));
  foreign["metadata"]["annotations"][kTaskAnnotation] = "another";
  foreign["metadata"]["labels"].erase(kStepLabel);
  on_job_ = nullptr;
  Make(Jobs(), "salvor", foreign);
  EXPECT_THAT(Failed(), HasSubstr("that this attempt did not make"));
  EXPECT_EQ(code_, absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(NamesOf(Jobs()).size(), 1u);
}

TEST_F(MoverAction, SaysWhyAnImageCannotBeHadAndGivesUpInTheEnd) {
  SteadyTime now = SteadyTime::At(absl::ZeroDuration());
  options_.now = [&now] { return now; };
  on_job_ = [this](const Json& job) {
    MakePod(job);
    ASSERT_TRUE(
        cluster_
            ->Change(
                PodOf(job),
                [](Json& pod) {
                  pod["status"] = Json::parse(
                      R"({"phase": "Pending", "containerStatuses": [{"name": "mover", "image": "salvor:9",
                                       "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]})");
                })
            .ok());
  };
  int told = 0;
  on_progress_ = [&] {
    if (++told == 3) now = now + absl::Minutes(11);
  };
  EXPECT_THAT(Failed(),
              HasSubstr("the mover did not begin: its image salvor:9 can't be had: ImagePullBackOff"));
  EXPECT_EQ(code_, absl::StatusCode::kUnavailable) << "worth another try";
  EXPECT_GE(told, 3) << "in run show meanwhile";
  EXPECT_THAT(told_.front(), HasSubstr("the mover waits: its image salvor:9"));
  ExpectNothingLeft();
}

TEST_F(MoverAction, WaitsForNothingThatNeverCanBegin) {
  on_job_ = [this](const Json& job) {
    MakePod(job);
    ASSERT_TRUE(
        cluster_
            ->Change(
                PodOf(job),
                [](Json& pod) {
                  pod["status"] = Json::parse(
                      R"({"phase": "Pending", "containerStatuses": [{"name": "mover", "image": "Salvor:9",
                                       "state": {"waiting": {"reason": "InvalidImageName"}}}]})");
                })
            .ok());
  };
  EXPECT_THAT(Failed(), HasSubstr("InvalidImageName"));
  ExpectNothingLeft();
}

TEST_F(MoverAction, SaysThatAPodWasEvicted) {
  on_running_ = [this](const Json& job) {
    ASSERT_TRUE(
        cluster_
            ->Change(PodOf(job),
                     [](Json& pod) {
                       pod["status"] = {{"phase", "Failed"}, {"reason", "Evicted"}, {"message", "no disk"}};
                     })
            .ok());
  };
  EXPECT_THAT(Failed(), HasSubstr("the mover was lost: Evicted: no disk"));
  EXPECT_EQ(code_, absl::StatusCode::kAborted);
  ExpectNothingLeft();
}

// Else the step would count as cancelled, and nobody would try again.
TEST_F(MoverAction, IsTriedAgainWhereItsNodeWasDrained) {
  on_running_ = [this](const Json& job) {
    v1::ActionResult told_to_end;
    told_to_end.mutable_error()->set_reason(v1::Error::REASON_CANCELLED);
    told_to_end.mutable_error()->set_message("pg_dump: stopped");
    End(job, 1, told_to_end);
  };
  EXPECT_THAT(Failed(), HasSubstr("was told to end before it had done its work"));
  EXPECT_EQ(code_, absl::StatusCode::kAborted);
  ExpectNothingLeft();
}

TEST_F(MoverAction, TakesNoMessageThatIsCutEmptyOrOfAnother) {
  const std::string whole = EncodeResult("mover-of-another", Dumped("forged")).message;
  for (const std::string& message : {std::string(), whole.substr(0, 40), whole, std::string("killed")}) {
    on_running_ = [&](const Json& job) { EndWith(job, 137, message); };
    EXPECT_THAT(Failed(), HasSubstr("its container ended with exit code 137, and left no result")) << message;
    EXPECT_EQ(code_, absl::StatusCode::kAborted);
    ExpectNothingLeft();
  }
}

TEST_F(MoverAction, EndsWithItsJobWhenItIsCancelled) {
  on_running_ = [this](const Json&) { stop_.request_stop(); };
  EXPECT_THAT(Failed(), HasSubstr("stopped"));
  EXPECT_EQ(code_, absl::StatusCode::kCancelled);
  ExpectNothingLeft();
}

TEST_F(MoverAction, EndsWithItsJobWhenItsTimeIsOver) {
  on_running_ = nullptr;
  deadline_ = SteadyNow() + absl::Milliseconds(300);
  Failed();
  EXPECT_EQ(code_, absl::StatusCode::kDeadlineExceeded);
  ExpectNothingLeft();
}

TEST_F(MoverAction, NoticesThatItsJobWasDeleted) {
  on_running_ = [this](const Json& job) {
    ASSERT_TRUE(cluster_->Delete({Jobs(), "salvor", NameOf(job)}, {}, {}).ok());
  };
  EXPECT_THAT(Failed(), HasSubstr("was deleted by somebody else"));
  EXPECT_EQ(code_, absl::StatusCode::kAborted);
}

TEST_F(MoverAction, LeavesAJobThatCameInItsPlace) {
  on_running_ = [this](const Json& job) {
    nobody_reacts_ = true;
    ASSERT_TRUE(cluster_->Delete({Jobs(), "salvor", NameOf(job)}, {}, {}).ok());
    Make(Jobs(), "salvor", *MakeJob(APodTemplate(), ATask(), absl::Hours(1)));
  };
  EXPECT_THAT(Failed(), HasSubstr("was deleted by somebody else"));
  EXPECT_EQ(NamesOf(Jobs()).size(), 1u) << "it is another executor's";
}

TEST_F(MoverAction, WaitsForAnApiServerThatIsAway) {
  on_running_ = [this](const Json& job) {
    const Status away = kubernetes::MakeApiError(503, "ServiceUnavailable", "away", {});
    cluster_->Fail("get", Jobs(), away, 3);
    cluster_->Fail("list", velero::Pods(), away, 2);
    End(job, 0, Dumped("meanwhile"));
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->note(), "meanwhile");
}

TEST_F(MoverAction, SaysWhichRightIsMissing) {
  cluster_->Fail(
      "create", Jobs(),
      kubernetes::MakeApiError(403, "Forbidden",
                               "jobs.batch is forbidden: User \"salvor\" cannot create resource \"jobs\" in "
                               "API group \"batch\" in the namespace \"salvor\"",
                               {"create", "jobs.batch", "salvor", ""}));
  const auto result = Run();
  EXPECT_EQ(result.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(HintOf(result.status()), HasSubstr("rights.yaml"));
  ASSERT_TRUE(cluster_->Delete({PodTemplates(), "salvor", "salvor-mover"}, {}, {}).ok());
  EXPECT_THAT(Failed(), HasSubstr("there is no pod template salvor-mover in namespace salvor"));
}

}  // namespace
}  // namespace salvor::movers
