// The suite that every Kubernetes passes: watches, logs, exec.
#include <gtest/gtest.h>

#include <thread>

#include "agent/kubernetes/fake/conformance_testing.h"

namespace salvor::kubernetes {
namespace {

using Texts = std::vector<std::string>;

class Watches : public Conformance {
 protected:
  // "ADDED a" for each event from there on, up to and with `last`.
  Texts WatchUntil(const std::string& version, const Selection& selection, const std::string& last) {
    Texts seen;
    const Status ended = kubernetes().Watch(
        kConfigMaps, name_space_, {selection, version},
        [&](const Event& event) {
          const char* const names[] = {"ADDED ", "MODIFIED ", "DELETED "};
          seen.push_back(names[static_cast<int>(event.type)] + TextAt(event.object, {"metadata", "name"}));
          return seen.back() != last;
        },
        Soon());
    EXPECT_TRUE(ended.ok()) << ended;
    return seen;
  }
};
INSTANTIATE_TEST_SUITE_P(On, Watches, Targets(), NameOf);

TEST_P(Watches, TellEveryChangeSinceTheList) {
  const std::string version = VersionNow();
  Make(ConfigMap("a", {}, {{"app", "shop"}}));
  Make(ConfigMap("b"));
  EXPECT_TRUE(kubernetes().Patch(Key("a"), PatchKind::kMerge, {{"data", {{"x", "1"}}}}, {}, Soon()).ok());
  EXPECT_TRUE(kubernetes().Delete(Key("a"), {}, Soon()).ok());
  EXPECT_EQ(WatchUntil(version, {"app=shop", ""}, "DELETED a"),
            (Texts{"ADDED a", "MODIFIED a", "DELETED a"}));
  EXPECT_EQ(WatchUntil(version, {"", "metadata.name=b"}, "ADDED b"), Texts{"ADDED b"});
}

TEST_P(Watches, WhatIsNoLongerSelectedIsDeletedToThem) {
  const std::string version = VersionNow();
  Make(ConfigMap("a", {}, {{"app", "shop"}}));
  const Json unlabel = {{"metadata", {{"labels", {{"app", nullptr}}}}}};
  EXPECT_TRUE(kubernetes().Patch(Key("a"), PatchKind::kMerge, unlabel, {}, Soon()).ok());
  EXPECT_EQ(WatchUntil(version, {"app=shop", ""}, "DELETED a"), (Texts{"ADDED a", "DELETED a"}));
}

TEST_P(Watches, GoOnFromTheVersionOfAnEvent) {
  const std::string version = VersionNow();
  const Json first = Make(ConfigMap("a", {}, {{"app", "shop"}}));
  Make(ConfigMap("b", {}, {{"app", "shop"}}));
  EXPECT_EQ(WatchUntil(TextAt(first, {"metadata", "resourceVersion"}), {"app=shop", ""}, "ADDED b"),
            Texts{"ADDED b"});
}

TEST_P(Watches, EndWhenTheyAreStoppedOrOutOfTime) {
  const std::string version = VersionNow();
  Make(ConfigMap("a"));
  std::stop_source stop;
  const auto on_event = [&stop](const Event&) {
    stop.request_stop();
    return true;
  };
  const WatchOptions from{.selection = {"", "metadata.name=a"}, .resource_version = version};
  EXPECT_EQ(kubernetes().Watch(kConfigMaps, name_space_, from, on_event, {stop.get_token()}).code(),
            absl::StatusCode::kCancelled);
  const WatchOptions nothing{.selection = {"", "metadata.name=none"}, .resource_version = version};
  const Call short_call{{}, SteadyNow() + absl::Milliseconds(100)};
  EXPECT_EQ(kubernetes().Watch(kConfigMaps, name_space_, nothing, on_event, short_call).code(),
            absl::StatusCode::kDeadlineExceeded);
}

TEST_P(Watches, WithoutABeginningOrATypeAreRefused) {
  const auto on_event = [](const Event&) { return true; };
  EXPECT_EQ(kubernetes().Watch(kConfigMaps, name_space_, {}, on_event, Soon()).code(),
            absl::StatusCode::kInvalidArgument);
  const ResourceType none{"none.salvor.dev", "v1", "backups"};
  const WatchOptions from{.resource_version = VersionNow()};
  const Status ended = kubernetes().Watch(none, name_space_, from, on_event, Soon());
  EXPECT_TRUE(kubernetes::IsNotFound(ended)) << ended;
}

TEST_P(Watches, WaitForWhatAnotherDoes) {
  Make(ConfigMap("a", {{"phase", "new"}}));
  std::jthread other;
  Texts phases;
  const auto done = WaitUntil(
      kubernetes(), Key("a"),
      [&](const Json* object) -> StatusOr<bool> {
        if (object == nullptr) return DataLoss("it is gone");
        phases.push_back(TextAt(*object, {"data", "phase"}));
        if (phases.size() == 1) {
          other = std::jthread([this] {
            const Json patch = {{"data", {{"phase", "done"}}}};
            EXPECT_TRUE(kubernetes().Patch(Key("a"), PatchKind::kMerge, patch, {}, Soon()).ok());
          });
        }
        return phases.back() == "done";
      },
      Soon());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(TextAt(*done, {"data", "phase"}), "done");
  EXPECT_EQ(phases, (Texts{"new", "done"}));
}

class Containers : public Conformance {
 protected:
  struct Ended {
    StatusOr<int> exit_code = 0;
    std::string output = {};
    std::string errors = {};
  };

  Ended Run(const std::vector<std::string>& argv, const std::optional<std::string>& input = {}) {
    Ended ended;
    const UniqueFd input_fd = input ? MemoryFile(*input).value() : UniqueFd();
    ExecCommand command{name_space_, "pod", "main", argv, input_fd.Get()};
    command.on_stdout = [&ended](std::string_view piece) {
      ended.output += piece;
      return OkStatus();
    };
    command.on_stderr = [&ended](std::string_view piece) {
      ended.errors += piece;
      return OkStatus();
    };
    ended.exit_code = kubernetes().Exec(command, Soon());
    return ended;
  }

  Texts Logs(LogOptions options, const std::string& last) {
    Texts lines;
    options.container = "main";
    const Status ended = kubernetes().Logs(
        name_space_, "pod", options,
        [&](std::string_view line) {
          lines.emplace_back(line);
          return line == last ? Aborted("seen") : OkStatus();
        },
        Soon());
    EXPECT_TRUE(ended.ok() || ended.code() == absl::StatusCode::kAborted) << ended;
    return lines;
  }
};
INSTANTIATE_TEST_SUITE_P(On, Containers, Targets(), NameOf);

TEST_P(Containers, HaveLogs) {
  MakePod("pod");
  EXPECT_EQ(Logs({.follow = true}, "two"), (Texts{"one", "two"}));
  EXPECT_EQ(Logs({.tail_lines = 1}, ""), Texts{"two"});
  EXPECT_EQ(Logs({.limit_bytes = 5}, ""), (Texts{"one", "t"}));
  const auto none = [](std::string_view) { return OkStatus(); };
  EXPECT_TRUE(kubernetes::IsNotFound(kubernetes().Logs(name_space_, "none", {}, none, Soon())));
}

TEST_P(Containers, RunCommands) {
  MakePod("pod");
  const Ended quiet = Run({"true"});
  EXPECT_EQ(quiet.exit_code.value_or(-1), 0) << quiet.exit_code.status();
  const Ended loud = Run({"sh", "-c", "echo out; echo \"$1\" >&2; exit 3", "sh", "an \"argument\" & more"});
  EXPECT_EQ(loud.exit_code.value_or(-1), 3) << loud.exit_code.status();
  EXPECT_EQ(loud.output, "out\n");
  EXPECT_EQ(loud.errors, "an \"argument\" & more\n");
}

TEST_P(Containers, CommandsSeeTheirInputAndItsEnd) {
  MakePod("pod");
  std::string input;
  for (int line = 0; input.size() < 1'000'000; ++line) input += "line " + std::to_string(line) + "\n";
  const Ended echoed = Run({"cat"}, input);
  EXPECT_EQ(echoed.exit_code.value_or(-1), 0) << echoed.exit_code.status();
  EXPECT_TRUE(echoed.output == input) << echoed.output.size();
  EXPECT_EQ(Run({"cat"}, "").output, "");
  EXPECT_EQ(Run({"sh", "-c", "cat; echo over"}).output, "over\n");
}

TEST_P(Containers, CommandsThatDoNotReadTheirInputEndAllTheSame) {
  MakePod("pod");
  const Ended ended = Run({"sh", "-c", "exit 4"}, std::string(100'000, 'x'));
  EXPECT_EQ(ended.exit_code.value_or(-1), 4) << ended.exit_code.status();
}

TEST_P(Containers, CommandsThatAreNotThereAreNotRun) {
  MakePod("pod");
  const Ended ended = Run({"no-such-program"});
  // containerd says so by an error, or by the exit code of a shell.
  EXPECT_TRUE(ended.exit_code.ok() ? *ended.exit_code != 0
                                   : ended.exit_code.status().code() == absl::StatusCode::kFailedPrecondition)
      << ended.exit_code.status();
  const Status nowhere = kubernetes().Exec({name_space_, "none", "main", {"true"}}, Soon()).status();
  EXPECT_TRUE(kubernetes::IsNotFound(nowhere)) << nowhere;
}

TEST_P(Containers, CommandsAreLeftWhenTheCallIsStoppedOrTheSinkFails) {
  MakePod("pod");
  std::stop_source stop;
  ExecCommand command{name_space_, "pod", "main", {"sh", "-c", "echo ready; exec sleep 60"}};
  command.on_stdout = [&stop](std::string_view) {
    stop.request_stop();
    return OkStatus();
  };
  EXPECT_EQ(kubernetes().Exec(command, {stop.get_token()}).status().code(), absl::StatusCode::kCancelled);
  command.on_stdout = [](std::string_view) { return ResourceExhausted("the disk is full"); };
  EXPECT_EQ(kubernetes().Exec(command, Soon()).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace salvor::kubernetes
