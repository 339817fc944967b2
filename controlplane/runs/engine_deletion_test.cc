// A backup is deleted by a run like any other: while one reads it none deletes it and the other way round, and what becomes
// of the run decides what its record says, across restarts too.
#include "controlplane/runs/engine_testing.h"

namespace salvor::controlplane {
namespace {

using testing::HasSubstr;

class EngineDeletionTest : public EngineTest {
 protected:
  static v1::Backup ABackup(const std::string& name, bool proven = false) {
    v1::Backup backup;
    backup.set_name(name);
    backup.set_application("shop");
    backup.set_environment("local");
    backup.set_location("vault");
    backup.set_run("backup-" + name);
    backup.set_coverage(v1::Backup::COVERAGE_COMPLETE);
    backup.set_verification(proven ? v1::Backup::VERIFICATION_PROVEN : v1::Backup::VERIFICATION_UNPROVEN);
    backup.mutable_manifest()->add_artifacts()->set_name("db.dump");
    return backup;
  }
  void Keep(const std::vector<v1::Backup>& backups) {
    for (const v1::Backup& backup : backups) ASSERT_TRUE(CommitAndWait(store_, {PutBackup{backup}}).ok());
    Restart();
  }

  static v1::RunHeader Header(const std::string& name, v1::RunKind kind, const std::string& backup) {
    v1::RunHeader header;
    header.set_name(name);
    header.set_kind(kind);
    header.set_application("shop");
    header.set_environment("local");
    header.set_backup(backup);
    header.set_requested_by("ann");
    return header;
  }
  Status Begin(const std::string& name, v1::RunKind kind, const std::string& backup,
               const verdicts::DeletionTerms& terms = {}) {
    return StartRunAndWait(*engine_, Header(name, kind, backup), Chain(1), "", terms);
  }
  Status Delete(const std::string& name, const std::string& backup,
                const verdicts::DeletionTerms& terms = {}) {
    return Begin(name, v1::RUN_KIND_DELETE, backup, terms);
  }

  v1::Backup Stored(const std::string& name) {
    EXPECT_TRUE(CommitAndWait(store_, {}).ok());
    const auto all = ReadAllBackups(store_);
    for (const v1::Backup& backup : *all) {
      if (backup.name() == name) return backup;
    }
    ADD_FAILURE() << name << " is not stored";
    return {};
  }
  v1::Deletion::State StateOf(const std::string& name) {
    const v1::Backup stored = Stored(name);
    EXPECT_EQ(engine_->FindBackup(name)->SerializeAsString(), stored.SerializeAsString());
    return stored.deletion().state();
  }
  std::vector<std::string> Listed(bool include_deleted) {
    std::vector<std::string> names;
    BackupFilter filter;
    filter.include_deleted = include_deleted;
    const auto page = engine_->ListBackups(filter, {10, ""});
    for (const v1::Backup& backup : page->items) names.push_back(backup.name());
    return names;
  }
};

TEST_F(EngineDeletionTest, IsMarkedInTheCommitThatBeginsItAndGoneWhenItIsOver) {
  Keep({ABackup("a"), ABackup("b")});
  ASSERT_TRUE(Delete("d1", "a").ok());
  EXPECT_EQ(StateOf("a"), v1::Deletion::STATE_DELETING);
  EXPECT_EQ(engine_->FindBackup("latest:shop")->name(), "b");
  Restart();
  EXPECT_EQ(StateOf("a"), v1::Deletion::STATE_DELETING);
  const Agent agent = Connect();
  Report(agent, Take(agent).tasks(0).lease());
  EXPECT_EQ(PhaseOf("d1"), v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ(StateOf("a"), v1::Deletion::STATE_DELETED);
  EXPECT_EQ(Stored("a").deletion().by(), "ann");
  EXPECT_EQ(Stored("a").deletion().run(), "d1");
  EXPECT_THAT(Listed(false), testing::ElementsAre("b"));
  EXPECT_THAT(Listed(true), testing::ElementsAre("a", "b"));
  EXPECT_EQ(engine_->CountBackupsAt("vault"), 1);
  Restart();
  EXPECT_EQ(StateOf("a"), v1::Deletion::STATE_DELETED);
}

TEST_F(EngineDeletionTest, NothingReadsWhatIsBeingDeletedAndNobodyDeletesItTwice) {
  Keep({ABackup("a"), ABackup("b")});
  ASSERT_TRUE(Delete("d1", "a").ok());
  for (const v1::RunKind kind : {v1::RUN_KIND_RESTORE, v1::RUN_KIND_DRILL, v1::RUN_KIND_INSPECT}) {
    const Status refused = Begin("r1", kind, "a");
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << kind;
    EXPECT_EQ(MessageOf(refused), "backup a is being deleted by d1");
    EXPECT_EQ(engine_->GetRun("r1").status().code(), absl::StatusCode::kNotFound);
  }
  EXPECT_THAT(MessageOf(Delete("d2", "a")), HasSubstr("d1 deletes it already"));
  EXPECT_TRUE(Begin("r2", v1::RUN_KIND_RESTORE, "b").ok()) << "its neighbour is as it was";
}

TEST_F(EngineDeletionTest, NobodyDeletesWhatARunReadsHoweverLongThatWaits) {
  Keep({ABackup("a"), ABackup("b")});
  for (const v1::RunKind kind : {v1::RUN_KIND_RESTORE, v1::RUN_KIND_DRILL, v1::RUN_KIND_INSPECT}) {
    const std::string run = "r" + std::to_string(kind);
    ASSERT_TRUE(Begin(run, kind, "a").ok());
    const Status refused = Delete("d1", "a");
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(MessageOf(refused), "backup a is not deleted: " + run + " reads it");
    EXPECT_THAT(HintOf(refused), HasSubstr("salvor run watch " + run));
    EXPECT_FALSE(Stored("a").has_deletion()) << "what is refused leaves nothing";
    Restart();
    EXPECT_FALSE(Delete("d1", "a").ok()) << "a restart changes nothing about it";
    ASSERT_TRUE(CancelRunAndWait(*engine_, run, "ann", "").ok());
  }
  EXPECT_TRUE(Delete("d1", "a").ok());
}

TEST_F(EngineDeletionTest, NobodyDeletesWhatIsStillMade) {
  ASSERT_TRUE(
      StartRunAndWait(*engine_, Header("backup-a", v1::RUN_KIND_BACKUP, "a"), Chain(1), "vault").ok());
  EXPECT_THAT(MessageOf(Delete("d1", "a")), HasSubstr("backup-a still makes it"));
}

TEST_F(EngineDeletionTest, OfTheLastTwoOneAloneGoes) {
  Keep({ABackup("a"), ABackup("b")});
  ASSERT_TRUE(Delete("d1", "a").ok());
  const Status refused = Delete("d2", "b");
  EXPECT_EQ(MessageOf(refused),
            "backup b is not deleted: it is the last backup that shop could be restored from");
  const auto objections = engine_->ObjectionsToDeletion("b", {});
  ASSERT_TRUE(objections.ok());
  ASSERT_EQ(objections->size(), 1u);
  EXPECT_TRUE(engine_->ObjectionsToDeletion("b", {.last_usable = true})->empty());
  EXPECT_TRUE(Delete("d2", "b", {.last_usable = true}).ok());
}

TEST_F(EngineDeletionTest, TheLastProvenOneGoesByNameAlone) {
  Keep({ABackup("a", true), ABackup("b")});
  EXPECT_THAT(MessageOf(Delete("d1", "a")), HasSubstr("it is the last proven backup of shop"));
  EXPECT_TRUE(Delete("d1", "a", {.last_proven = true}).ok());
}

TEST_F(EngineDeletionTest, WhatFailedStaysFailedUntilItIsDeletedAgain) {
  Keep({ABackup("a"), ABackup("b")});
  const Agent agent = Connect();
  ASSERT_TRUE(Delete("d1", "a").ok());
  Report(agent, Take(agent).tasks(0).lease(), "the repository is locked");
  EXPECT_EQ(PhaseOf("d1"), v1::RUN_PHASE_FAILED);
  EXPECT_EQ(StateOf("a"), v1::Deletion::STATE_FAILED);
  EXPECT_THAT(Stored("a").deletion().reason(), HasSubstr("the repository is locked"));
  EXPECT_EQ(Stored("a").deletion().left_size(), 1);
  EXPECT_THAT(Listed(false), testing::ElementsAre("a", "b"));
  EXPECT_THAT(MessageOf(Begin("r1", v1::RUN_KIND_RESTORE, "a")), HasSubstr("may be gone"));
  ASSERT_TRUE(Delete("d2", "a").ok());
  Report(agent, Take(agent).tasks(0).lease());
  EXPECT_EQ(StateOf("a"), v1::Deletion::STATE_DELETED);
  const Status again = Delete("d3", "a");
  EXPECT_EQ(MessageOf(again), "backup a is not deleted: it was deleted already, by ann");
}

TEST_F(EngineDeletionTest, OneThatIsCancelledBeforeItBeganLeavesTheBackupAsItWas) {
  Keep({ABackup("a", true), ABackup("b", true)});
  ASSERT_TRUE(Delete("d1", "a").ok());
  ASSERT_TRUE(CancelRunAndWait(*engine_, "d1", "ann", "a slip").ok());
  EXPECT_EQ(PhaseOf("d1"), v1::RUN_PHASE_CANCELLED);
  EXPECT_EQ(Stored("a").SerializeAsString(), ABackup("a", true).SerializeAsString());
  EXPECT_TRUE(Begin("r1", v1::RUN_KIND_RESTORE, "a").ok());
}

TEST_F(EngineDeletionTest, WhatIsNotThereIsNotDeleted) {
  EXPECT_EQ(Delete("d1", "a").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(engine_->ObjectionsToDeletion("a", {}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace salvor::controlplane
