#include "agent/location/manifest_actions.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "agent/restic/restic_testing.h"
#include "agent/work/action_testing.h"
#include "agent/work/clean_up.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

constexpr char kRun[] = "backup-shop-1";

class ManifestWrite : public testing::Test {
 protected:
  void SetUp() override {
    repository_.Make();
    v1::ManifestWrite& write = *attempt_.Action().mutable_manifest_write();
    *write.mutable_location() = repository_.Location();
    write.mutable_manifest()->set_backup("shop-1");
    write.mutable_manifest()->set_run(kRun);
  }

  std::map<std::string, std::string> Tags(const std::string& artifact, const std::string& run = kRun) {
    return {{"salvor", ""}, {"run", run}, {"backup", "shop-1"}, {"component", "db"}, {"artifact", artifact}};
  }
  std::string Keep(const std::string& artifact, const std::string& run = kRun) {
    const auto stored = repository_.Open().StoreText("dump", "content of " + artifact, Tags(artifact, run));
    EXPECT_TRUE(stored.ok()) << stored.status();
    const auto found = repository_.Open().Find(Tags(artifact, run));
    EXPECT_TRUE(found.ok()) << found.status();
    return stored.ok() && found.ok() ? Restic::FullId(*found, *stored).value_or("") : "";
  }
  void Plan(const std::string& step, const std::string& artifact) {
    v1::PlannedArtifact& planned = *attempt_.Action().mutable_manifest_write()->add_planned();
    planned.set_step(step);
    planned.set_component("db");
    planned.set_artifact(artifact);
    planned.set_title("database " + artifact);
  }
  v1::ActionResult& Input(const std::string& step) { return (*attempt_.task.mutable_inputs())[step]; }
  void Kept(const std::string& step, const std::string& artifact, const std::string& id) {
    v1::Artifact& one = *Input(step).add_artifacts();
    one.set_component("db");
    one.set_name(artifact);
    one.set_snapshot(id);
  }
  v1::Manifest Stored(const std::string& id) {
    v1::Artifact artifact;
    artifact.set_snapshot(id);
    artifact.set_path("/manifest.json");
    const auto json = repository_.Open().LoadText(artifact);
    EXPECT_TRUE(json.ok()) << json.status();
    const auto manifest = ParseManifest(json.ok() ? *json : "");
    EXPECT_TRUE(manifest.ok()) << manifest.status();
    return manifest.ok() ? *manifest : v1::Manifest();
  }

  ResticRepositoryForTest repository_;
  AttemptForTest attempt_{repository_.Path() + "/state", kRun};
};

TEST_F(ManifestWrite, NamesWhatIsThereAndWhatIsNotAndWhy) {
  const std::string shop = Keep("shop"), partial = Keep("partial");
  for (const char* name : {"shop", "partial", "failed", "vanished", "silent", "skipped"})
    Plan(std::string("dump-") + name, name);
  Kept("dump-shop", "shop", shop.substr(0, 8));  // restic 0.14 says no more than that
  Kept("dump-partial", "partial", partial);
  Input("dump-partial").mutable_error()->set_message("2 files cannot be read");
  Input("dump-failed").mutable_error()->set_message("pg_dump: no such database");
  Kept("dump-vanished", "vanished", std::string(64, 'a'));
  Input("dump-silent").add_warnings("something odd");

  const auto result = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::Manifest& manifest = result->manifest();
  ASSERT_EQ(manifest.artifacts_size(), 2);
  EXPECT_EQ(manifest.artifacts(0).snapshot(), partial);
  EXPECT_EQ(manifest.artifacts(1).snapshot(), shop);
  std::map<std::string, std::string> missing;
  for (const v1::MissingArtifact& one : manifest.missing()) missing[one.title()] = one.why();
  EXPECT_EQ(missing.size(), 5u);
  EXPECT_EQ(missing["database partial"], "kept in part: 2 files cannot be read");
  EXPECT_EQ(missing["database failed"], "pg_dump: no such database");
  EXPECT_THAT(missing["database vanished"], HasSubstr("is not in the repository"));
  EXPECT_EQ(missing["database silent"], "step dump-silent succeeded and kept nothing by this name");
  EXPECT_EQ(missing["database skipped"], "step dump-skipped did not run");
  ASSERT_EQ(manifest.warnings_size(), 1);

  v1::Manifest stored = Stored(manifest.snapshot());
  EXPECT_EQ(stored.snapshot(), "");
  stored.set_snapshot(manifest.snapshot());
  EXPECT_EQ(stored.SerializeAsString(), manifest.SerializeAsString());
  const auto found =
      repository_.Open().Find({{"salvor", ""}, {"kind", "manifest"}, {"backup", "shop-1"}, {"run", kRun}});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().id, manifest.snapshot());
}

TEST_F(ManifestWrite, SaysOnceWhatSeveralStepsWarnOf) {
  for (const char* step : {"volumes.backup.shop", "volumes.backup.web"}) {
    v1::ActionResult& velero = Input(step);
    velero.add_warnings("Velero's repositories have the published password");
    velero.add_warnings(std::string("of ") + step);
  }
  const auto result = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(
      std::vector<std::string>(result->manifest().warnings().begin(), result->manifest().warnings().end()),
      (std::vector<std::string>{"Velero's repositories have the published password", "of volumes.backup.shop",
                                "of volumes.backup.web"}));
}

// Whoever keeps it has looked whether it is there; restic cannot tell.
TEST_F(ManifestWrite, NamesWhatIsKeptElsewhereAndWhichOfIt) {
  Plan("volumes.backup.shop", "uploads");
  Plan("volumes.backup.shop", "logs");
  Plan("volumes.backup.shop", "silent");
  v1::ActionResult& velero = Input("volumes.backup.shop");
  v1::Artifact& volume = *velero.add_artifacts();
  volume.set_component("db");
  volume.set_name("uploads");
  volume.set_keeper(v1::Artifact::KEEPER_VELERO);
  volume.mutable_contents()->set_word("volume");
  volume.mutable_velero()->set_claim("uploads");
  v1::MissingArtifact& missing = *velero.add_missing();
  missing.set_component("db");
  missing.set_artifact("logs");
  missing.set_why("no pod has it mounted");
  v1::MissingArtifact& objects = *velero.add_missing();  // nobody planned them one by one
  objects.set_title("objects of namespace shop");
  objects.set_why("Velero says error");
  velero.mutable_velero()->set_backup("shop-1");
  velero.mutable_velero()->set_objects(42);
  Input("volumes.preflight").mutable_velero()->set_velero_version("v1.18.2");

  const auto result = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::Manifest& manifest = result->manifest();
  ASSERT_EQ(manifest.artifacts_size(), 1);
  EXPECT_EQ(manifest.artifacts(0).velero().claim(), "uploads");
  ASSERT_EQ(manifest.velero_size(), 1) << "a preflight has made no Backup";
  EXPECT_EQ(manifest.velero(0).objects(), 42);
  ASSERT_EQ(manifest.missing_size(), 3);
  EXPECT_EQ(manifest.missing(0).title(), "objects of namespace shop");
  EXPECT_EQ(manifest.missing(0).why(), "Velero says error");
  EXPECT_EQ(manifest.missing(1).title(), "database logs");
  EXPECT_EQ(manifest.missing(1).why(), "no pod has it mounted");
  EXPECT_EQ(manifest.missing(2).title(), "database silent");
  v1::Manifest stored = Stored(manifest.snapshot());
  stored.set_snapshot(manifest.snapshot());
  EXPECT_EQ(stored.SerializeAsString(), manifest.SerializeAsString());

  AttemptForTest check(repository_.Path() + "/state", "drill-shop-1");
  *check.Action().mutable_manifest_check()->mutable_location() = repository_.Location();
  *check.Action().mutable_manifest_check()->mutable_manifest() = manifest;
  const auto checked = check.Run(RunManifestCheck);
  ASSERT_TRUE(checked.ok()) << checked.status();
  ASSERT_EQ(checked->checks_size(), 1);
  EXPECT_EQ(checked->checks(0).verdict(), v1::Check::VERDICT_PASSED) << checked->checks(0).compared();
  EXPECT_THAT(checked->checks(0).compared(), HasSubstr("all 0 snapshots"));
}

// What a version does not know may be anywhere, so it is not believed to be missing; what should be in the repository is.
TEST_F(ManifestWrite, OnlyWhatResticKeepsIsLookedForInTheRepository) {
  for (int keeper = 0; keeper <= 3; ++keeper) {
    const std::string name = "a" + std::to_string(keeper);
    Plan("step", name);
    Kept("step", name, "");
    Input("step").mutable_artifacts(keeper)->set_keeper(static_cast<v1::Artifact::Keeper>(keeper));
  }
  const auto result = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(result.ok()) << result.status();
  std::vector<std::string> kept;
  for (const v1::Artifact& one : result->manifest().artifacts()) kept.push_back(one.name());
  EXPECT_THAT(kept, testing::ElementsAre("a2", "a3"));
  EXPECT_EQ(result->manifest().missing_size(), 2);
}

// It keeps nothing under the name of an artifact, and yet may be killed with the repository locked.
TEST_F(ManifestWrite, ALockOfAnAttemptThatWasCutShortIsRemoved) {
  LeaveExclusiveLock(repository_.Location());
  ASSERT_TRUE(Restic::IsLocked(attempt_.Run(RunManifestWrite).status()));
  AgentConfig config;
  config.state_directory = repository_.Path() + "/state";
  const Status cleaned = CleanUpAfter(attempt_.task, config, Tools(), absl::Minutes(1));
  ASSERT_TRUE(cleaned.ok()) << cleaned;
  EXPECT_TRUE(attempt_.Run(RunManifestWrite).ok());
}

TEST_F(ManifestWrite, WhatWasTooLargeForOneActionComesAsPartsInTheOrderOfTheirNames) {
  attempt_.Action().mutable_manifest_write()->mutable_manifest()->mutable_created_at()->set_seconds(
      1795256100);
  const AttemptForTest small = attempt_;
  v1::ManifestWrite& write = *attempt_.Action().mutable_manifest_write();
  for (const char* name : {"db", "files", "more"}) write.mutable_manifest()->add_components()->set_name(name);
  write.mutable_manifest()->add_warnings("component files: doubtBelow is never");
  Plan("dump-shop", "shop");
  Plan("dump-lost", "lost");
  Kept("dump-shop", "shop", Keep("shop"));
  const auto whole = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(whole.ok()) << whole.status();

  const auto inputs = attempt_.task.inputs();
  const v1::ManifestWrite all = attempt_.Action().manifest_write();
  attempt_ = small;
  *attempt_.task.mutable_inputs() = inputs;
  const auto have = [&](const std::string& step, const v1::ManifestPart& part) {
    v1::Action action;
    *action.mutable_manifest_part() = part;
    AttemptForTest one(repository_.Path() + "/state", kRun);
    one.Action() = action;
    const auto result = one.Run(RunManifestPart);
    ASSERT_TRUE(result.ok()) << result.status();
    (*attempt_.task.mutable_inputs())[step] = *result;
  };
  v1::ManifestPart first, second;
  *first.add_components() = all.manifest().components(0);
  *first.add_components() = all.manifest().components(1);
  *second.add_components() = all.manifest().components(2);
  *second.mutable_planned() = all.planned();
  *second.mutable_warnings() = all.manifest().warnings();
  have("manifest.part-002", second);
  have("manifest.part-001", first);
  const auto parts = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(parts.ok()) << parts.status();
  v1::Manifest expected = whole->manifest(), found = parts->manifest();
  EXPECT_EQ(expected.components_size(), 3);
  EXPECT_EQ(expected.missing_size(), 1);
  expected.clear_snapshot();
  found.clear_snapshot();
  EXPECT_EQ(found.DebugString(), expected.DebugString());
}

TEST_F(ManifestWrite, ASecondAttemptReplacesTheManifestOfTheFirst) {
  ASSERT_TRUE(attempt_.Run(RunManifestWrite).ok());
  attempt_.task.mutable_lease()->set_attempt(2);
  const auto second = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(second.ok()) << second.status();
  const auto found = repository_.Open().Find({{"kind", "manifest"}});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().id, second->manifest().snapshot());
}

TEST_F(ManifestWrite, WhatNoManifestOfTheRunNamesIsForgottenAndNothingElse) {
  const std::string kept = Keep("shop"), unfinished = Keep("shop"), stranger = Keep("shop", "backup-shop-2");
  Plan("dump-shop", "shop");
  Kept("dump-shop", "shop", kept);
  const auto written = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(written.ok()) << written.status();
  const Restic restic = repository_.Open();
  const auto left = restic.Find({});
  ASSERT_TRUE(left.ok()) << left.status();
  std::vector<std::string> ids;
  for (const ResticSnapshot& snapshot : *left) ids.push_back(snapshot.id);
  EXPECT_THAT(ids, testing::UnorderedElementsAre(kept, stranger, written->manifest().snapshot()));
}

// A backup as a drill or a restore finds it.
class ManifestCheck : public ManifestWrite {
 protected:
  void SetUp() override {
    ManifestWrite::SetUp();
    for (const char* name : {"shop", "shop.details"}) {
      ids_[name] = Keep(name);
      Plan(std::string("dump-") + name, name);
      Kept(std::string("dump-") + name, name, ids_[name]);
    }
    const auto written = attempt_.Run(RunManifestWrite);
    ASSERT_TRUE(written.ok()) << written.status();
    manifest_ = written->manifest();
  }
  StatusOr<v1::ActionResult> Check(const std::vector<std::string>& components = {}) {
    AttemptForTest attempt(repository_.Path() + "/state", "drill-shop-1");
    v1::ManifestCheck& check = *attempt.Action().mutable_manifest_check();
    *check.mutable_location() = repository_.Location();
    *check.mutable_manifest() = manifest_;
    check.set_essentials_only(left_out_ > 0);
    check.set_artifacts_left_out(left_out_);
    for (const std::string& component : components) check.add_components(component);
    return attempt.Run(RunManifestCheck);
  }
  // The one check there must be.
  v1::Check TheCheck() {
    const auto result = Check();
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok() || result->checks_size() != 1) {
      ADD_FAILURE() << (result.ok() ? result->DebugString() : "");
      return {};
    }
    EXPECT_EQ(result->checks(0).kind(), "manifest");
    return result->checks(0);
  }
  void Replace(const std::string& json) {
    ASSERT_TRUE(repository_.Open().Forget({manifest_.snapshot()}).ok());
    const std::map<std::string, std::string> tags = {
        {"salvor", ""}, {"kind", "manifest"}, {"backup", "shop-1"}, {"run", kRun}};
    const auto stored = repository_.Open().StoreText("manifest.json", json, tags);
    ASSERT_TRUE(stored.ok()) << stored.status();
    manifest_.clear_snapshot();
  }

  std::map<std::string, std::string> ids_;
  v1::Manifest manifest_;
  int64_t left_out_ = 0;
};

TEST_F(ManifestCheck, WhatWasWrittenPasses) {
  const v1::Check check = TheCheck();
  EXPECT_EQ(check.verdict(), v1::Check::VERDICT_PASSED);
  EXPECT_THAT(check.compared(), HasSubstr("all 2 snapshots"));
  manifest_.clear_snapshot();  // found by its tags
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_PASSED);
}

TEST_F(ManifestCheck, AForgottenManifestFails) {
  ASSERT_TRUE(repository_.Open().Forget({manifest_.snapshot()}).ok());
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_FAILED);
  EXPECT_THAT(TheCheck().compared(), HasSubstr("does not hold the manifest"));
  manifest_.clear_snapshot();
  EXPECT_THAT(TheCheck().compared(), HasSubstr("holds no manifest"));
}

TEST_F(ManifestCheck, AForgottenDetailsSnapshotFailsByName) {
  ASSERT_TRUE(repository_.Open().Forget({ids_["shop.details"]}).ok());
  const v1::Check check = TheCheck();
  EXPECT_EQ(check.verdict(), v1::Check::VERDICT_FAILED);
  EXPECT_EQ(check.subject(), "shop.details");
  EXPECT_EQ(check.component(), "db");
  // It counts only for who needs it.
  const auto other = Check({"files"});
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->checks(0).verdict(), v1::Check::VERDICT_PASSED);
}

TEST_F(ManifestCheck, AnEditedManifestFailsAndSaysWhere) {
  v1::Manifest edited = Stored(manifest_.snapshot());
  edited.mutable_artifacts(0)->set_bytes(edited.artifacts(0).bytes() + 1);
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(edited, &json).ok());
  Replace(json);
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_FAILED);
  EXPECT_THAT(TheCheck().compared(), HasSubstr("bytes"));
}

TEST_F(ManifestCheck, OneThatAnAgentOfAnEarlierVersionWroteLacksWhatOnlyALaterOneSays) {
  manifest_.mutable_artifacts(0)->mutable_contents()->set_word("dump");
  manifest_.mutable_artifacts(0)->mutable_postgres()->set_server_version_num(150018);
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_PASSED) << TheCheck().compared();
  // One that has them is compared by them.
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(manifest_, &json).ok());
  Replace(json);
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_PASSED) << TheCheck().compared();
  manifest_.mutable_artifacts(0)->mutable_postgres()->set_server_version_num(140005);
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_FAILED);
  EXPECT_THAT(TheCheck().compared(), HasSubstr("server_version_num"));
}

TEST_F(ManifestCheck, AnotherApplicationsManifestFails) {
  v1::Manifest other = Stored(manifest_.snapshot());
  other.set_application("wiki");
  std::string json;
  ASSERT_TRUE(google::protobuf::util::MessageToJsonString(other, &json).ok());
  Replace(json);
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_FAILED);
  EXPECT_THAT(TheCheck().compared(), HasSubstr("application"));
}

TEST_F(ManifestCheck, SomethingThatIsNoManifestFails) {
  Replace("no JSON");
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_FAILED);
}

TEST_F(ManifestCheck, OfALargeManifestTheRestIsLookedForByTheStoredOnesWord) {
  manifest_.mutable_artifacts()->RemoveLast();
  left_out_ = 1;
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_PASSED);
  left_out_ = 2;
  EXPECT_THAT(TheCheck().compared(), HasSubstr("names 2 artifacts, the control plane knows 3"));
  left_out_ = 1;
  const std::string last = manifest_.artifacts(0).name() == "shop" ? "shop.details" : "shop";
  ASSERT_TRUE(repository_.Open().Forget({ids_[last]}).ok());
  EXPECT_EQ(TheCheck().subject(), last);
  EXPECT_EQ(TheCheck().verdict(), v1::Check::VERDICT_FAILED);
}

// That says nothing about the backup.
TEST_F(ManifestCheck, ARepositoryThatDoesNotAnswerIsAnErrorAndNoFinding) {
  repository_.Location().set_repository("rest:http://127.0.0.1:1/");
  EXPECT_EQ(Check().status().code(), absl::StatusCode::kUnavailable) << Check().status();
}

TEST_F(ManifestWrite, WhatRunsWithoutABackupLeftIsForgottenAndABackupIsNot) {
  const std::string kept = Keep("shop"), left = Keep("shop", "backup-shop-2"),
                    other = Keep("shop", "backup-shop-3");
  Plan("dump-shop", "shop");
  Kept("dump-shop", "shop", kept);
  const auto written = attempt_.Run(RunManifestWrite);
  ASSERT_TRUE(written.ok()) << written.status();
  const Restic restic = repository_.Open();
  const auto forgotten = ForgetRuns(restic, {kRun, "backup-shop-2", ""});
  ASSERT_TRUE(forgotten.ok()) << forgotten.status();
  EXPECT_EQ(*forgotten, 1);
  const auto found = restic.Find({});
  ASSERT_TRUE(found.ok()) << found.status();
  std::vector<std::string> ids;
  for (const ResticSnapshot& snapshot : *found) ids.push_back(snapshot.id);
  EXPECT_THAT(ids, testing::UnorderedElementsAre(kept, other, written->manifest().snapshot()));
}

TEST(Manifest, OneOfAFormatWeDoNotKnowIsRefused) {
  EXPECT_EQ(ParseManifest("{\"format\": 99}").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseManifest("no JSON").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace salvor::agent
