#include "agent/kubernetes/movers/mover_job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "agent/kubernetes/movers/mover_testing.h"
#include "agent/kubernetes/velero/resources.h"

namespace salvor::movers {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

TEST(MoverJob, HasANameOfItsOwnForEachAttempt) {
  EXPECT_EQ(JobName(ATask().lease()), JobName(ATask().lease()));
  std::set<std::string> names = {JobName(ATask().lease())};
  v1::LeaseKey lease = ATask().lease();
  lease.set_attempt(2);
  names.insert(JobName(lease));
  lease = ATask().lease();
  lease.set_step("db.dump.shop-2");
  names.insert(JobName(lease));
  lease = ATask().lease();
  lease.set_run("backup-shop-2");
  names.insert(JobName(lease));
  EXPECT_EQ(names.size(), 4u);
  lease.set_step(std::string(80, '.') + "A/b");
  for (const std::string& name : {*names.begin(), JobName(lease)}) {
    EXPECT_THAT(name, MatchesRegex("mover-[a-z0-9-]*[a-z0-9]"));
    EXPECT_LE(name.size(), 63u) << "it is the value of a label, too";
  }
}

TEST(MoverJob, IsThePodTemplateWithOneTask) {
  const v1::Task task = ATask();
  const auto job = MakeJob(APodTemplate(), task, absl::Hours(2));
  ASSERT_TRUE(job.ok()) << job.status();
  const Json& spec = (*job)["spec"];
  EXPECT_EQ(spec["backoffLimit"], 0);
  EXPECT_EQ(spec["activeDeadlineSeconds"], 7200);
  EXPECT_EQ(spec["ttlSecondsAfterFinished"], 86400);
  const Json& pod = spec["template"];
  EXPECT_EQ(pod["spec"]["restartPolicy"], "Never");
  EXPECT_EQ(pod["spec"]["serviceAccountName"], "salvor-mover");
  EXPECT_EQ(pod["metadata"]["labels"]["team"], "storage") << "what the operator wrote stays";
  EXPECT_EQ(pod["metadata"]["labels"][kJobLabel], JobName(task.lease()));
  EXPECT_EQ(pod["metadata"]["labels"][velero::kExcludeLabel], "true");
  const Json& arguments = pod["spec"]["containers"][1]["args"];
  ASSERT_EQ(arguments.size(), 3u);
  EXPECT_EQ(arguments[0], "--state-directory=/state");
  EXPECT_EQ(arguments[1], "--job=" + JobName(task.lease()));
  const auto read = DecodeTask(arguments[2].get<std::string>().substr(std::string("--task=").size()));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->DebugString(), task.DebugString());
}

TEST(MoverJob, EndsAtSomeTimeHoweverLongTheAttemptMayTake) {
  const auto endless = MakeJob(APodTemplate(), ATask(), absl::InfiniteDuration());
  EXPECT_EQ((*endless)["spec"]["activeDeadlineSeconds"], 7 * 24 * 3600);
  const auto late = MakeJob(APodTemplate(), ATask(), -absl::Seconds(1));
  EXPECT_EQ((*late)["spec"]["activeDeadlineSeconds"], 60) << "zero is refused by the server";
}

TEST(MoverJob, IsNotMadeOfATemplateWithoutItsContainer) {
  for (const char* text : {"{}", R"({"template": 3})", R"({"template": {"spec": {"containers": "mover"}}})",
                           R"({"template": {"spec": {"containers": [{"name": "other"}]}}})"}) {
    const auto job = MakeJob(Json::parse(text), ATask(), absl::Hours(1));
    EXPECT_EQ(job.status().code(), absl::StatusCode::kFailedPrecondition) << text;
    EXPECT_THAT(HintOf(job.status()), HasSubstr("mover.yaml"));
  }
}

// Whoever may look at Jobs reads what stands in them.
TEST(MoverJob, ShowsNoSecret) {
  struct Row {
    const char* repository;
    bool ok;
  };
  for (const Row& row :
       {Row{"s3:https://s3.example.com/backups/salvor", true},
        Row{"rest:https://backup:geheim@example.com/", false}, Row{"rest:https://example.com/a:b@c", true},
        Row{"sftp://backup@example.com/x", true}, Row{"/srv/vault", true}}) {
    v1::Task task = ATask();
    task.mutable_action()->mutable_postgres_dump()->mutable_target()->mutable_location()->set_repository(
        row.repository);
    const auto text = EncodeTask(task);
    EXPECT_EQ(text.ok(), row.ok) << row.repository;
    EXPECT_THAT(MessageOf(text.status()), Not(HasSubstr("geheim")));
  }
}

TEST(MoverJob, RefusesWhatNoCommandLineHasRoomFor) {
  v1::Task task = ATask();
  (*task.mutable_inputs())["db.restore.shop"].set_note(std::string(1 << 20, 'x'));
  EXPECT_THAT(MessageOf(EncodeTask(task).status()), HasSubstr("no command line has room for"));
  EXPECT_FALSE(DecodeTask("not base64!").ok());
}

TEST(MoverJob, HasALongTaskInSeveralArguments) {
  v1::Task task = ATask();
  (*task.mutable_inputs())["db.restore.shop"].set_note(std::string(300 << 10, 'x'));
  const Json job = *MakeJob(APodTemplate(), task, absl::Hours(1));
  std::string joined;
  int parts = 0;
  Json arguments;
  for (const Json& container : job["spec"]["template"]["spec"]["containers"]) {
    if (container["name"] == "mover") arguments = container["args"];
  }
  for (const Json& argument : arguments) {
    const std::string text = argument.get<std::string>();
    EXPECT_LT(text.size(), 128u << 10);
    if (text.rfind("--task=", 0) != 0) continue;
    joined += text.substr(7);
    ++parts;
  }
  EXPECT_EQ(parts, 4);
  EXPECT_EQ(DecodeTask(joined)->inputs().at("db.restore.shop").note().size(), 300u << 10);
}

TEST(MoverJob, IsTakenForOursOnlyWhereAllOfItIs) {
  const v1::Task task = ATask();
  const Json job = *MakeJob(APodTemplate(), task, absl::Hours(1));
  EXPECT_TRUE(IsOfTask(job, task));
  EXPECT_EQ(AttemptOf(job), 1);
  v1::Task other = task;
  other.mutable_lease()->set_attempt(2);
  EXPECT_FALSE(IsOfTask(job, other));
  other = task;
  other.mutable_action()->mutable_postgres_dump()->set_database("mail");
  EXPECT_FALSE(IsOfTask(job, other)) << "the same attempt does the same";
  other = task;
  other.mutable_lease()->set_epoch(9);
  EXPECT_TRUE(IsOfTask(job, other)) << "an epoch is of the control plane alone";
  for (const char* text :
       {"{}", R"({"metadata": 3})", R"({"metadata": {"annotations": {"salvor.dev/attempt": "1x"}}})"}) {
    EXPECT_FALSE(IsOfTask(Json::parse(text), task)) << text;
    EXPECT_EQ(AttemptOf(Json::parse(text)), 0) << text;
  }
}

}  // namespace
}  // namespace salvor::movers
