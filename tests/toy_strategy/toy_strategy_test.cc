// A kind of component that Salvor is not built with needs two lines of the rest: one line in a registry of strategies,
// one in that of actions. From there on it goes from `salvor apply` to a proven backup through the real control plane,
// agent, restic and command line, which all run in this program.
#include "tests/toy_strategy/toy_strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <thread>

#include "agent/agent.h"
#include "agent/host_actions.h"
#include "agent/restic/restic_testing.h"
#include "base/io/system_clock.h"
#include "controlplane/controlplane.h"
#include "strategies/registry.h"
#include "tests/toy_strategy/toy_actions.h"
#include "tools/cli/cli.h"
#include "tools/cli/client/client.h"
#include "toy.pb.h"

namespace salvor::toy {
namespace {

using testing::HasSubstr;

strategies::StrategyRegistry Strategies() {
  auto strategies = strategies::NewStrategies();
  strategies.push_back(std::make_unique<ToyStrategy>());
  return strategies::StrategyRegistry(std::move(strategies));
}

agent::ActionRegistry Actions() {
  agent::ActionRegistry actions = agent::HostActions();
  RegisterToyActions(actions);
  return actions;
}

class ToyStrategyTest : public testing::Test {
 protected:
  struct Said {
    int code = 0;
    std::string out, err;
  };

  void SetUp() override {
    repository_.Make();
    ASSERT_TRUE(WriteFileAtomically(directory_ / "toy", "colour=red\nwheels=4\n").ok());
    controlplane::ControlPlaneOptions options;
    options.state_directory = directory_ / "salvord";
    options.listen = "unix://" + (directory_ / "s");
    options.version = "test";
    ASSERT_TRUE(MakeDirectories(options.state_directory, 0700).ok());
    auto control_plane = controlplane::ControlPlane::Start(std::move(options), strategies_);
    ASSERT_TRUE(control_plane.ok()) << control_plane.status();
    control_plane_ = *std::move(control_plane);
  }
  ~ToyStrategyTest() override {
    StopAgent();
    if (control_plane_ != nullptr) control_plane_->Stop();
  }

  void StartAgent(agent::ActionRegistry actions) {
    agent::AgentOptions options;
    options.config.name = "host-a";
    options.config.environment = "local";
    options.config.state_directory = directory_ / "agent";
    options.supervisor = agent::Supervisor();
    options.server = "unix://" + (directory_ / "s");
    options.token_file = directory_ / "salvord/agent.token";
    options.version = "test";
    options.actions = std::move(actions);
    ASSERT_TRUE(MakeDirectories(options.config.state_directory, 0700).ok());
    auto agent = agent::Agent::Start(std::move(options));
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
    serving_ = std::thread([this] { EXPECT_TRUE(agent_->Run().ok()); });
  }
  void StopAgent() {
    if (agent_ == nullptr) return;
    agent_->Stop();
    serving_.join();
    agent_.reset();
  }

  Said Salvor(const std::vector<std::string>& arguments) {
    std::istringstream in;
    std::ostringstream out, err;
    const SystemClock clock;
    cli::Environment environment;
    environment.variables = {{"SALVOR_SERVER", "unix://" + (directory_ / "s")},
                             {"SALVOR_TOKEN_FILE", directory_ / "salvord/api.token"}};
    environment.in = &in;
    environment.out = &out;
    environment.err = &err;
    environment.clock = &clock;
    const int code = cli::RunCli(arguments, environment);
    return {code, out.str(), err.str()};
  }
  std::string Done(const std::vector<std::string>& arguments) {
    const Said said = Salvor(arguments);
    EXPECT_EQ(said.code, 0) << said.out << said.err;
    return said.out;
  }

  // Asks for a restore with these options of the component of that name.
  template <typename Options>
  StatusOr<v1::CreateRunResponse> Restore(const std::string& component, const Options& options) {
    cli::ClientOptions server;
    server.server = "unix://" + (directory_ / "s");
    server.token_file = directory_ / "salvord/api.token";
    ASSIGN_OR_RETURN(const std::unique_ptr<cli::Client> client, cli::Client::Make(server));
    v1::CreateRestoreRequest request;
    request.set_backup("latest:nursery");
    request.set_to("nursery");
    (*request.mutable_options())[component].mutable_extension()->PackFrom(options);
    return client->Call(&cli::ControlStub::CreateRestore, request);
  }

  // The application with a toy of this declaration, which stands below "extension:".
  Said Apply(const std::string& toy, const std::string& wheels = "4") {
    const std::string text = R"(apiVersion: salvor.dev/v1
kind: Location
metadata: {name: vault}
spec: {restic: {repository: )" +
                             repository_.Location().repository() +
                             ", passwordFile: " + repository_.Location().password_file() + R"(}}
---
apiVersion: salvor.dev/v1
kind: Environment
metadata: {name: local}
spec: {runtime: Host, location: vault}
---
apiVersion: salvor.dev/v1
kind: Driver
metadata: {name: nursery}
spec:
  components:
    - name: car
      extension: {"@type": toybox.Toy, mostLines: 100}
---
apiVersion: salvor.dev/v1
kind: Application
metadata: {name: nursery}
spec:
  environment: local
  driver: nursery
  components:
    - name: car
      extension: )" + toy + R"(
      checks:
        - name: wheels
          extension: {"@type": toybox.ToyProbe, key: wheels, expect: ")" +
                             wheels + "\"}\n";
    EXPECT_TRUE(WriteFileAtomically(directory_ / "nursery.yaml", text).ok());
    return Salvor({"apply", "-f", directory_ / "nursery.yaml"});
  }
  std::string Toy() { return R"({"@type": toybox.Toy, file: )" + (directory_ / "toy") + "}"; }

  agent::TemporaryDirectory directory_;
  agent::ResticRepositoryForTest repository_;
  const strategies::StrategyRegistry strategies_ = Strategies();
  std::unique_ptr<controlplane::ControlPlane> control_plane_;
  std::unique_ptr<agent::Agent> agent_;
  std::thread serving_;
};

TEST_F(ToyStrategyTest, GoesFromADeclarationToAProvenBackupAndBack) {
  StartAgent(Actions());
  const Said applied = Apply(Toy());
  ASSERT_EQ(applied.code, 0) << applied.out << applied.err;
  EXPECT_THAT(Done({"get", "application", "nursery", "-o", "yaml"}), HasSubstr("\"@type\": toybox.Toy\n"));
  EXPECT_THAT(Done({"backup", "create", "nursery", "--dry-run"}), HasSubstr("toy " + (directory_ / "toy")));
  Done({"backup", "create", "nursery", "--wait"});
  const std::string shown = Done({"backup", "show", "latest:nursery"});
  EXPECT_THAT(shown, HasSubstr("toy lines")) << "as the artifact calls itself";
  EXPECT_THAT(Done({"drill", "create", "--backup", "latest:nursery", "--wait"}), HasSubstr("proven"));
  EXPECT_THAT(Done({"backup", "show", "proven:nursery"}), HasSubstr("toybox.Toy"));
  EXPECT_TRUE(std::filesystem::is_empty(directory_ / "agent/toys")) << "the drill's place is gone";

  const Said refused =
      Salvor({"restore", "create", "--backup", "latest:nursery", "--to", "nursery", "--wait"});
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.out + refused.err, HasSubstr("there is a toy at"));
  ASSERT_TRUE(RemoveTree(directory_ / "toy").ok());
  Done({"restore", "create", "--backup", "latest:nursery", "--to", "nursery", "--wait"});
  EXPECT_EQ(ReadFile(directory_ / "toy").value_or("nothing"), "colour=red\nwheels=4\n");
}

TEST_F(ToyStrategyTest, ItsProbesJudgeTheCopy) {
  StartAgent(Actions());
  ASSERT_EQ(Apply(Toy(), "3").code, 0);
  Done({"backup", "create", "nursery", "--wait"});
  const Said drill = Salvor({"drill", "create", "--backup", "latest:nursery", "--wait"});
  EXPECT_THAT(drill.out + drill.err, HasSubstr("wheels is another"));
  EXPECT_THAT(Done({"backup", "list"}), HasSubstr("disproven"));
}

// The driver says how many lines there may be, the application which file it is: both count.
TEST_F(ToyStrategyTest, IsLaidOverTheDriversFieldByField) {
  StartAgent(Actions());
  std::string lines;
  for (int i = 0; i < 101; ++i) lines += "line\n";
  ASSERT_TRUE(WriteFileAtomically(directory_ / "toy", lines).ok());
  ASSERT_EQ(Apply(Toy()).code, 0);
  const Said backup = Salvor({"backup", "create", "nursery", "--wait"});
  EXPECT_THAT(backup.out + backup.err, HasSubstr("the toy has 101 lines, more than 100"));
}

TEST_F(ToyStrategyTest, GoesWhereTheOptionsOfItsRestoreSay) {
  StartAgent(Actions());
  ASSERT_EQ(Apply(Toy()).code, 0);
  Done({"backup", "create", "nursery", "--wait"});
  toybox::ToyRestoreOptions options;
  options.set_file(directory_ / "other");
  const auto started = Restore("car", options);
  ASSERT_TRUE(started.ok()) << started.status();
  Done({"run", "watch", started->run()});
  EXPECT_EQ(ReadFile(directory_ / "other").value_or("nothing"), "colour=red\nwheels=4\n");

  EXPECT_THAT(MessageOf(Restore("cart", options).status()), HasSubstr("has no component 'cart', it has car"));
  options.set_file("here");
  EXPECT_EQ(MessageOf(Restore("car", options).status()),
            "options.car.extension.file: path 'here' must be absolute");
  EXPECT_EQ(MessageOf(Restore("car", v1::Metadata()).status()),
            "options.car.extension: holds no options of a toy");
}

TEST_F(ToyStrategyTest, WhatIsWrongWithItIsNamedAtItsPlace) {
  const Said wrong = Apply(R"({"@type": toybox.Toy, file: here})");
  EXPECT_NE(wrong.code, 0);
  EXPECT_THAT(wrong.out + wrong.err, HasSubstr("extension.file"));
  const Said misspelt = Apply(R"({"@type": toybox.Toy, fiel: /srv/toy})");
  EXPECT_THAT(misspelt.out + misspelt.err, HasSubstr("did you mean 'file'?"));
}

TEST_F(ToyStrategyTest, AKindThatNobodyKnowsIsRefusedByItsName) {
  const Said unread = Apply(R"({"@type": toybox.Train})");
  EXPECT_NE(unread.code, 0);
  EXPECT_THAT(unread.out + unread.err, HasSubstr("'toybox.Train' is no kind that this program knows"));
  // A message that is there, and no strategy's.
  const Said unknown = Apply(R"({"@type": salvor.v1.Metadata})");
  EXPECT_NE(unknown.code, 0);
  EXPECT_THAT(unknown.out + unknown.err, HasSubstr("is of kind 'salvor.v1.Metadata'"));
}

// Its steps wait for an agent that can do them, and do not go to one that would fail them.
TEST_F(ToyStrategyTest, AnAgentThatCantDoItIsNotAsked) {
  StartAgent(agent::HostActions());
  ASSERT_EQ(Apply(Toy()).code, 0);
  const Said started = Salvor({"backup", "create", "nursery"});
  ASSERT_EQ(started.code, 0) << started.err;
  const std::string list = Done({"run", "list", "-o", "json"});
  const size_t name = list.find("backup-nursery-");
  ASSERT_NE(name, std::string::npos) << list;
  const std::string run = list.substr(name, list.find('"', name) - name);
  ASSERT_TRUE(agent::Eventually([&] {
    return Done({"run", "show", run}).find("toybox.ToyCapture") != std::string::npos;
  })) << Done({"run", "show", run});
  StopAgent();
  StartAgent(Actions());
  Done({"run", "watch", run});
  EXPECT_THAT(Done({"backup", "list"}), HasSubstr("complete"));
}

}  // namespace
}  // namespace salvor::toy
