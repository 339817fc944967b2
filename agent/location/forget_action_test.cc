#include "agent/location/forget_action.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "agent/process/scripted_tools.h"
#include "agent/restic/restic_testing.h"
#include "agent/work/action_testing.h"
#include "base/io/steady_clock.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

using Tags = std::map<std::string, std::string>;
constexpr char kRun[] = "backup-shop-1";

class LocationForget : public testing::Test {
 protected:
  void SetUp() override {
    repository_.Make();
    v1::LocationForget& forget = *attempt_.Action().mutable_location_forget();
    *forget.mutable_location() = repository_.Location();
    forget.set_backup("shop-1");
    forget.set_run(kRun);
    forget.set_environment("vps-1");
  }

  v1::LocationForget& Action() { return *attempt_.Action().mutable_location_forget(); }
  std::string Keep(Tags tags, const std::string& text = "content") {
    tags["salvor"] = "";
    const auto stored = repository_.Open().StoreText("file", text, tags);
    EXPECT_TRUE(stored.ok()) << stored.status();
    const auto found = repository_.Open().Find(tags);
    EXPECT_TRUE(found.ok()) << found.status();
    return stored.ok() && found.ok() ? Restic::FullId(*found, *stored).value_or("") : "";
  }
  std::string KeepArtifact(const std::string& name, const std::string& backup = "shop-1",
                           const std::string& run = kRun) {
    return Keep({{"run", run}, {"backup", backup}, {"component", "db"}, {"artifact", name}}, name + backup);
  }
  std::string KeepManifest(const std::string& environment = "vps-1") {
    v1::Manifest manifest;
    manifest.set_format(1);
    manifest.set_backup("shop-1");
    manifest.set_environment(environment);
    std::string json;
    EXPECT_TRUE(google::protobuf::util::MessageToJsonString(manifest, &json).ok());
    const Tags tags = {{"salvor", ""}, {"kind", "manifest"}, {"backup", "shop-1"}, {"run", kRun}};
    const auto stored = repository_.Open().StoreText("manifest.json", json, tags);
    EXPECT_TRUE(stored.ok()) << stored.status();
    return Restic::FullId(*repository_.Open().Find(tags), *stored).value_or("");
  }
  std::string KeepVerification() {
    return Keep({{"run", "drill-shop-1"},
                 {"backup", "shop-1"},
                 {"artifact", "verification"},
                 {"kind", "verification"}},
                "proven");
  }
  void Record(const std::vector<std::string>& ids) {
    for (const std::string& id : ids) Action().add_snapshots(id);
  }
  std::vector<std::string> There() {
    const auto ids = repository_.Open().ListSnapshotIds();
    EXPECT_TRUE(ids.ok()) << ids.status();
    return ids.ok() ? *ids : std::vector<std::string>();
  }
  StatusOr<v1::ActionResult> Run(ToolRunner& tools = Tools()) {
    return attempt_.Run(RunLocationForget, tools);
  }

  ResticRepositoryForTest repository_;
  AttemptForTest attempt_{repository_.Path() + "/state", "delete-shop-1"};
};

TEST_F(LocationForget, ExactlyWhatIsOfTheBackupGoes) {
  const std::string dump = KeepArtifact("shop"), details = KeepArtifact("shop.details");
  KeepArtifact("leftover");  // of an attempt that the manifest does not name
  KeepVerification();
  const std::string manifest = KeepManifest();
  // The neighbours: of the same application, of a name that begins alike, of a run of another backup, a stranger's.
  const std::string newer = KeepArtifact("shop", "shop-2", "backup-shop-2");
  const std::string longer = KeepArtifact("shop", "shop-10", "backup-shop-10");
  const std::string namesake = KeepArtifact("shop", "shop-1", "backup-of-another");
  const std::string proof =
      Keep({{"run", "drill-2"}, {"backup", "shop-2"}, {"kind", "verification"}}, "other");
  const auto stranger = repository_.Open().StoreText("file", "no tags of ours", {{"backup", "shop-1"}});
  ASSERT_TRUE(stranger.ok());
  Record({dump, details, manifest});
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->has_error()) << result->error().message();
  EXPECT_EQ(result->deletion().removed(), 5);
  EXPECT_EQ(result->deletion().already_gone(), 0);
  EXPECT_EQ(result->note(), "forgot 5 snapshots; their space comes back when the repository is pruned");
  std::vector<std::string> left = There();
  EXPECT_EQ(left.size(), 5u);
  for (const std::string& id : {newer, longer, namesake, proof}) {
    EXPECT_EQ(std::count(left.begin(), left.end(), id), 1);
    EXPECT_TRUE(repository_.Open().CheckSnapshot(id).ok());
  }
}

TEST_F(LocationForget, WhatIsGoneAlreadyCountsAsDoneAndIsSaid) {
  const std::string dump = KeepArtifact("shop"), manifest = KeepManifest();
  Record({dump, manifest, std::string(64, 'a')});
  ASSERT_TRUE(repository_.Open().Forget({dump}).ok());
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_FALSE(result->has_error());
  EXPECT_EQ(result->deletion().removed(), 1);
  EXPECT_EQ(result->deletion().already_gone(), 2);
  EXPECT_THAT(result->note(), HasSubstr("2 were gone already"));
  const auto again = Run();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->deletion().removed(), 0);
  EXPECT_EQ(again->deletion().already_gone(), 3);
}

// A stranger who finds what is left must find no backup.
TEST_F(LocationForget, TheManifestGoesFirstAndWhatIsGoneIsGoneWhateverResticSays) {
  const std::string dump = KeepArtifact("shop"), manifest = KeepManifest();
  Record({dump, manifest});
  ScriptedTools tools(Tools());
  tools.Next({"restic", "forget", manifest}, ToolScript::Really(0));
  ToolScript broken = ToolScript::Really(1);
  broken.error = "Fatal: unable to open repository: connection refused\n";
  tools.Next({"restic", "forget", dump}, std::move(broken));
  const auto result = Run(tools);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(tools.Played());
  EXPECT_FALSE(result->has_error()) << result->error().message();
  EXPECT_EQ(result->deletion().left_size(), 0) << "restic did it, and only its answer was lost";
  EXPECT_THAT(There(), testing::IsEmpty());
}

TEST_F(LocationForget, OneThatIsCutShortLeavesNoManifestAndSaysWhatIsLeft) {
  const std::string dump = KeepArtifact("shop"), manifest = KeepManifest();
  Record({dump, manifest});
  ScriptedTools tools(Tools());
  tools.Next({"restic", "forget", manifest}, ToolScript::Really(0));
  ToolScript broken;
  broken.error = "Fatal: unable to open repository: connection refused\n";
  broken.code = 1;
  tools.Next({"restic", "forget", dump}, std::move(broken));
  const auto result = Run(tools);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->error().retryable()) << result->error().message();
  EXPECT_EQ(result->deletion().removed(), 1);
  ASSERT_EQ(result->deletion().left_size(), 1);
  EXPECT_THAT(result->deletion().left(0), HasSubstr("1 snapshot in the repository"));
  EXPECT_THAT(There(), UnorderedElementsAre(dump));
  attempt_.task.mutable_lease()->set_attempt(2);
  const auto again = Run();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->has_error());
  EXPECT_THAT(There(), testing::IsEmpty());
}

TEST_F(LocationForget, WhatAnotherEnvironmentMadeIsRefusedAndStays) {
  const std::string dump = KeepArtifact("shop"), manifest = KeepManifest("vps-2");
  Record({dump, manifest});
  const auto refused = Run();
  EXPECT_EQ(ToError(refused.status()).reason(), v1::Error::REASON_REFUSED) << refused.status();
  EXPECT_EQ(MessageOf(refused.status()), "backup shop-1 was made by environment vps-2, and this is vps-1");
  EXPECT_THAT(There(), UnorderedElementsAre(dump, manifest));
}

TEST_F(LocationForget, ASnapshotWithAnothersTagsIsRefusedAndAllStays) {
  const std::string dump = KeepArtifact("shop"), other = KeepArtifact("shop", "shop-2", "backup-shop-2");
  Record({dump, other});
  const auto refused = Run();
  EXPECT_EQ(ToError(refused.status()).reason(), v1::Error::REASON_REFUSED) << refused.status();
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("does not carry its tags"));
  EXPECT_THAT(There(), UnorderedElementsAre(dump, other));
}

TEST_F(LocationForget, WaitsForNobodyPastItsTimeAndSaysWhoHoldsTheRepository) {
  const std::string dump = KeepArtifact("shop"), manifest = KeepManifest();
  Record({dump, manifest});
  const LivingExclusiveLock lock(repository_.Location());
  AgentConfig config;
  config.state_directory = repository_.Path() + "/state";
  ActionContext context{config,  Tools(), attempt_.task, {}, SteadyNow() + absl::Seconds(20),
                        nullptr, nullptr};  // no time to wait in
  const auto locked = RunLocationForget(Action(), context);
  EXPECT_TRUE(ToError(locked.status()).retryable()) << locked.status();
  EXPECT_THAT(MessageOf(locked.status()), HasSubstr("PID " + std::to_string(lock.Pid())));
  EXPECT_THAT(There(), UnorderedElementsAre(dump, manifest));
  lock.LetGo();
  context.deadline = SteadyTime::InfiniteFuture();
  const auto done = RunLocationForget(Action(), context);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_THAT(There(), testing::IsEmpty());
}

// restic passes over a snapshot that it can't read, and says that it succeeded.
TEST_F(LocationForget, OneThatResticCanNotReadIsNotCalledGone) {
  const std::string dump = KeepArtifact("shop"), manifest = KeepManifest();
  Record({dump, manifest});
  const std::string file = repository_.Location().repository() + "/snapshots/" + dump;
  ASSERT_TRUE(WriteFileAtomically(file, "no longer what it was", 0600).ok());
  Action().mutable_location()->set_cache_directory(repository_.Path() + "/no-cache-of-it");
  const auto result = Run();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->has_error());
  EXPECT_FALSE(result->error().retryable());
  ASSERT_EQ(result->deletion().left_size(), 1);
  EXPECT_THAT(result->deletion().left(0), HasSubstr(dump.substr(0, 8)));
}

// A disk that is not mounted is not an empty one.
TEST_F(LocationForget, WhereThereIsNoRepositoryNothingIsCalledGone) {
  Record({std::string(64, 'a')});
  Action().mutable_location()->set_repository(repository_.Path() + "/not-mounted");
  EXPECT_FALSE(Run().ok());
}

}  // namespace
}  // namespace salvor::agent
