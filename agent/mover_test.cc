#include "agent/mover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "agent/kubernetes/movers/mover_job.h"
#include "agent/kubernetes/movers/mover_output.h"
#include "agent/kubernetes/movers/mover_result.h"
#include "agent/process/process.h"
#include "agent/work/registry.h"
#include "base/io/files.h"

namespace salvor::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class MoverProgramTest : public testing::Test {
 protected:
  MoverProgramTest() : folder_(testing::TempDir() + "moverXXXXXX") {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    task_.mutable_lease()->set_run("backup-shop-1");
    task_.mutable_lease()->set_step("db.preflight");
    task_.mutable_lease()->set_attempt(1);
    auto* connection =
        task_.mutable_action()->mutable_postgres_preflight()->mutable_component()->mutable_connection();
    connection->set_host("db.default.svc");
    connection->set_user("backup");
    program_.config.state_directory = program_.secret_directory = folder_;
    program_.termination_message = folder_ + "/message";
    program_.tools = &tools_;
    program_.print = [this](const std::string& line) { lines_.push_back(line); };
    program_.cluster = [this]() -> StatusOr<std::shared_ptr<kubernetes::Kubernetes>> { return cluster_; };
    RegisterFunction<v1::PostgresPreflight>(
        program_.actions, [this](const v1::PostgresPreflight& action, ActionContext& context) {
          return act_(action, context);
        });
    EXPECT_TRUE(WriteFileAtomically(program_.termination_message, "").ok());
  }
  ~MoverProgramTest() override { EXPECT_TRUE(RemoveTree(folder_).ok()); }

  StatusOr<v1::ActionResult> Run() {
    program_.job = movers::JobName(task_.lease());
    if (program_.task.empty()) program_.task = *movers::EncodeTask(task_);
    ended_ = RunMover(program_);
    ASSIGN_OR_RETURN(const std::string text, ReadFile(program_.termination_message));
    ASSIGN_OR_RETURN(const movers::TerminationMessage message, movers::ReadTermination(text, program_.job));
    std::map<int, std::string> parts;
    for (const std::string& line : lines_) {
      const movers::OutputLine read = movers::ReadLine(line);
      if (read.kind == movers::OutputLine::Kind::kResult) parts[read.number] = read.text;
    }
    return movers::DecodeResult(message, parts);
  }

  std::string folder_;
  v1::Task task_;
  MoverProgram program_;
  SupervisedTools tools_{"none"};  // nothing is started here
  std::shared_ptr<kubernetes::FakeKubernetes> cluster_ = std::make_shared<kubernetes::FakeKubernetes>();
  std::vector<std::string> lines_;
  Status ended_;
  std::function<StatusOr<v1::ActionResult>(const v1::PostgresPreflight&, ActionContext&)> act_ =
      [](const v1::PostgresPreflight&, ActionContext&) { return v1::ActionResult(); };
};

TEST_F(MoverProgramTest, SaysWhatItDoesAndWhatBecameOfIt) {
  act_ = [](const v1::PostgresPreflight&, ActionContext& context) {
    EXPECT_EQ(context.task.lease().step(), "db.preflight");
    context.log("pg_dump", "15.8");
    v1::Progress progress;
    progress.set_message("looking");
    context.progress(progress);
    v1::ActionResult result;
    result.set_note("well");
    return result;
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->note(), "well");
  EXPECT_TRUE(ended_.ok());
  EXPECT_THAT(lines_, Contains("log pg_dump 15.8"));
  EXPECT_THAT(lines_, Contains("progress 0 0 looking"));
}

TEST_F(MoverProgramTest, GivesAnErrorAsItsResult) {
  act_ = [](const v1::PostgresPreflight&, ActionContext&) -> StatusOr<v1::ActionResult> {
    return WithHint(Unavailable("the server is starting"), "Wait for it.");
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->error().message(), "the server is starting");
  EXPECT_EQ(result->error().hint(), "Wait for it.");
  EXPECT_TRUE(result->error().retryable());
  EXPECT_FALSE(ended_.ok()) << "and so its Job fails, too";
}

TEST_F(MoverProgramTest, WritesWhatIsTooLargeToItsOutput) {
  act_ = [](const v1::PostgresPreflight&, ActionContext&) {
    v1::ActionResult result;
    for (int i = 0; i < 300; ++i)
      result.add_warnings("database " + std::to_string(i) + " has unlogged tables");
    return result;
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->warnings_size(), 300);
  EXPECT_LE(ReadFile(program_.termination_message)->size(), movers::kMostMessageBytes);
}

TEST_F(MoverProgramTest, ReadsTheSecretAndTellsNobody) {
  const kubernetes::ResourceType secrets{"", "v1", "secrets"};
  cluster_->Serve(secrets, "Secret");
  const kubernetes::Json secret = {{"apiVersion", "v1"},
                                   {"kind", "Secret"},
                                   {"metadata", {{"name", "login"}}},
                                   {"data", {{"password", "Z2VoZWlt"}}}};
  ASSERT_TRUE(cluster_->Create(secrets, "default", secret, {}, {}).ok());
  auto* named = task_.mutable_action()
                    ->mutable_postgres_preflight()
                    ->mutable_component()
                    ->mutable_connection()
                    ->mutable_secret();
  named->set_name("login");
  named->set_namespace_("default");
  act_ = [](const v1::PostgresPreflight& action, ActionContext&) -> StatusOr<v1::ActionResult> {
    EXPECT_EQ(*ReadFile(action.component().connection().passfile()), "*:*:*:*:geheim\n");
    v1::ActionResult result;
    result.set_note("connected");
    return result;
  };
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->note(), "connected");
  for (const std::string& line : lines_) EXPECT_THAT(line, Not(HasSubstr("geheim")));
}

TEST_F(MoverProgramTest, DoesNothingThatIsNotItsOwn) {
  program_.task = "!";
  EXPECT_EQ(Run()->error().reason(), v1::Error::REASON_INVALID);
  v1::Task other = task_;
  other.mutable_lease()->set_attempt(2);
  program_.task = *movers::EncodeTask(other);
  EXPECT_THAT(Run()->error().message(), HasSubstr("is of another Job"));
  program_.task.clear();
  task_.mutable_action()->mutable_velero_backup();
  EXPECT_THAT(Run()->error().message(), HasSubstr("a mover can't do velero_backup"));
}

// The environment file is the operator's word, in a mover as on a host.
TEST_F(MoverProgramTest, IsHeldToThePolicyOfItsPod) {
  bool ran = false;
  act_ = [&](const v1::PostgresPreflight&, ActionContext&) {
    ran = true;
    return v1::ActionResult();
  };
  task_.mutable_action()->mutable_postgres_preflight()->mutable_component()->set_dump_directory(
      "/var/tmp/dumps");
  EXPECT_EQ(Run()->error().reason(), v1::Error::REASON_REFUSED);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace salvor::agent
