#include "agent/kubernetes/movers/mover_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/movers/mover_testing.h"

namespace salvor::movers {
namespace {

using testing::HasSubstr;
using Stage = MoverState::Stage;

Json Job(const std::string& status = "{}") {
  Json job = *MakeJob(APodTemplate(), ATask(), absl::Hours(1));
  job["metadata"]["uid"] = "uid-1";
  job["status"] = Json::parse(status);
  return job;
}

MoverState Judge(const std::string& pod_status, const std::string& job_status = "{}") {
  const Json job = Job(job_status);
  Json pod = APod(job);
  pod["status"] = Json::parse(pod_status);
  return JudgeMover(job, {pod});
}

TEST(MoverState, SaysWhatAMoverWaitsFor) {
  struct Row {
    const char* status;
    const char* reason;
    bool is_hopeless;
  };
  const Row table[] = {
      {R"({"phase": "Pending"})", "its pod is being started", false},
      {R"({"phase": "Pending", "containerStatuses": [{"name": "mover", "image": "salvor:9", "state": {"waiting":
          {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]})",
       "its image salvor:9 can't be had: ImagePullBackOff: Back-off pulling image", false},
      {R"({"phase": "Pending", "initContainerStatuses": [{"name": "prepare", "image": "Salvor:9", "state": {"waiting":
          {"reason": "InvalidImageName"}}}]})",
       "its image Salvor:9 can't be had: InvalidImageName", true},
      {R"({"phase": "Pending", "containerStatuses": [{"name": "mover", "state": {"waiting":
          {"reason": "CreateContainerConfigError", "message": "secret \"salvor-vault\" not found"}}}]})",
       "its container can't be started: CreateContainerConfigError: secret \"salvor-vault\" not found",
       false},
      {R"({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
          "message": "0/3 nodes are available"}]})",
       "no node takes its pod: Unschedulable: 0/3 nodes are available", false},
      {R"({"phase": "Pending", "containerStatuses": [{"name": "mover", "state": {"waiting":
          {"reason": "PodInitializing"}}}]})",
       "its pod is being started", false},
      {R"({"phase": "Unknown"})", "its pod is being started", false},
      {R"({"phase": 7, "conditions": "none", "containerStatuses": {"name": "mover"}})",
       "its pod is being started", false},
  };
  for (const Row& row : table) {
    const MoverState state = Judge(row.status);
    EXPECT_EQ(state.stage, Stage::kWaiting) << row.status;
    EXPECT_EQ(state.reason, row.reason);
    EXPECT_EQ(state.is_hopeless, row.is_hopeless) << row.status;
  }
}

TEST(MoverState, RunsAndEndsByItsContainer) {
  const Json job = Job();
  Json pod = APod(job);
  SetRunning(pod);
  EXPECT_EQ(JudgeMover(job, {pod}).stage, Stage::kRunning);
  EXPECT_EQ(JudgeMover(job, {pod}).pod, "mover-x");
  SetEnded(pod, 1, "word");
  const MoverState ended =
      JudgeMover(Job(R"({"conditions": [{"type": "Failed", "status": "True"}]})"), {pod});
  EXPECT_EQ(ended.stage, Stage::kEnded) << "what it left goes before what the Job says";
  EXPECT_EQ(ended.message, "word");
  EXPECT_EQ(ended.exit_code, 1);
  pod["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = "OOMKilled";
  EXPECT_THAT(JudgeMover(job, {pod}).reason, HasSubstr("ran out of memory"));
}

TEST(MoverState, IsLostWhereNothingIsLeftToWaitFor) {
  struct Row {
    const char* pod;
    const char* job;
    const char* reason;
    bool is_out_of_time;
  };
  const Row table[] = {
      {R"({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."})",
       "{}", "Evicted: The node was low on resource: memory.", false},
      {R"({"phase": "Failed", "initContainerStatuses": [{"name": "prepare", "state": {"terminated": {"exitCode": 1}}}]})",
       "{}", "its container prepare ended with exit code 1", false},
      {R"({"phase": "Failed"})", "{}", "its pod failed without a word", false},
      {R"({"phase": "Pending"})",
       R"({"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active
          longer than specified deadline"}]})",
       "DeadlineExceeded: Job was active", true},
      {R"({"phase": "Pending"})",
       R"({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})",
       "BackoffLimitExceeded", false},
  };
  for (const Row& row : table) {
    std::string job = row.job;
    for (char& letter : job) letter = letter == '\n' ? ' ' : letter;
    const MoverState state = Judge(row.pod, job);
    EXPECT_EQ(state.stage, Stage::kLost) << row.pod;
    EXPECT_THAT(state.reason, HasSubstr(row.reason));
    EXPECT_EQ(state.is_out_of_time, row.is_out_of_time) << row.job;
  }
  EXPECT_EQ(JudgeMover(Job(), {}).stage, Stage::kWaiting);
  const std::string failed =
      R"({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]})";
  EXPECT_EQ(JudgeMover(Job(failed), {}).reason,
            "its pod was taken away before it ended; BackoffLimitExceeded");
  EXPECT_EQ(JudgeMover(Job(R"({"conditions": [{"type": "Complete", "status": "True"}]})"), {}).stage,
            Stage::kLost);
}

// A label can be anybody's, and a Job that was made anew has other pods.
TEST(MoverState, TakesNoPodThatIsNotTheJobsOwn) {
  const Json job = Job();
  Json stranger = APod(job);
  SetEnded(stranger, 0, "forged");
  stranger["metadata"]["ownerReferences"][0]["uid"] = "uid-of-another";
  Json loose = stranger;
  loose["metadata"].erase("ownerReferences");
  Json half = stranger;
  half["metadata"]["ownerReferences"][0]["uid"] = "uid-1";
  half["metadata"]["ownerReferences"][0]["controller"] = false;
  for (const Json& pod : {stranger, loose, half}) {
    EXPECT_EQ(JudgeMover(job, {pod}).stage, Stage::kWaiting) << pod.dump();
    EXPECT_EQ(JudgeMover(job, {pod}).message, "");
  }
  Json nameless = job;
  nameless["metadata"].erase("uid");
  EXPECT_EQ(JudgeMover(nameless, {loose}).message, "");
}

TEST(MoverState, GoesByTheNewestPod) {
  const Json job = Job();
  Json old = APod(job, "old"), young = APod(job, "young");
  old["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z";
  young["metadata"]["creationTimestamp"] = "2026-01-01T00:00:05Z";
  SetRunning(young);
  old["status"]["phase"] = "Failed";
  EXPECT_EQ(JudgeMover(job, {young, old}).pod, "young");
  EXPECT_EQ(JudgeMover(job, {old, young}).stage, Stage::kRunning);
}

}  // namespace
}  // namespace salvor::movers
