#include "agent/actions/manifest_actions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/actions/action_testing.h"
#include "agent/actions/clean_up.h"
#include "agent/restic/restic_testing.h"

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

// It keeps nothing under the name of an artifact, and yet may be killed with the repository locked.
TEST_F(ManifestWrite, ALockOfAnAttemptThatWasCutShortIsRemoved) {
  LeaveExclusiveLock(repository_.Location());
  ASSERT_TRUE(Restic::IsLocked(attempt_.Run(RunManifestWrite).status()));
  AgentConfig config;
  config.supervisor = Supervisor();
  config.state_directory = repository_.Path() + "/state";
  const Status cleaned = CleanUpAfter(attempt_.task, config, absl::Minutes(1));
  ASSERT_TRUE(cleaned.ok()) << cleaned;
  EXPECT_TRUE(attempt_.Run(RunManifestWrite).ok());
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

TEST(Manifest, OneOfAFormatWeDoNotKnowIsRefused) {
  EXPECT_EQ(ParseManifest("{\"format\": 99}").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ParseManifest("no JSON").status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace salvor::agent
