#include "words/words.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>

#include "base/text.h"

namespace salvor::words {
namespace {

// Every value that is not the unspecified one has a word of its own, so that no list shows two states as one.
template <typename Enum>
void ExpectAWordForEach(const google::protobuf::EnumDescriptor* values) {
  SCOPED_TRACE(values->full_name());
  const auto unknown = static_cast<Enum>(77);
  std::set<std::string> words;
  for (int i = 0; i < values->value_count(); ++i) {
    if (values->value(i)->number() == 0) continue;
    const std::string word = Word(static_cast<Enum>(values->value(i)->number()));
    EXPECT_TRUE(words.insert(word).second) << word;
    EXPECT_NE(word, "") << values->value(i)->name();
    EXPECT_NE(word, "unknown") << values->value(i)->name();
  }
  EXPECT_NE(Word(unknown), "");
}

TEST(Words, EachStateHasItsOwn) {
  ExpectAWordForEach<v1::RunPhase>(v1::RunPhase_descriptor());
  ExpectAWordForEach<v1::StepPhase>(v1::StepPhase_descriptor());
  ExpectAWordForEach<v1::Verdict>(v1::Verdict_descriptor());
  ExpectAWordForEach<v1::Backup::Coverage>(v1::Backup::Coverage_descriptor());
  ExpectAWordForEach<v1::Backup::Verification>(v1::Backup::Verification_descriptor());
  ExpectAWordForEach<v1::ObligationStatus::Phase>(v1::ObligationStatus::Phase_descriptor());
  ExpectAWordForEach<v1::RunKind>(v1::RunKind_descriptor());
  ExpectAWordForEach<v1::Runtime>(v1::Runtime_descriptor());
  ExpectAWordForEach<v1::TokenClass>(v1::TokenClass_descriptor());
}

TEST(Words, WhatIsNotKnownIsNeverSaidToBeGood) {
  EXPECT_EQ(Word(static_cast<v1::RunPhase>(77)), "unknown");
  EXPECT_EQ(Word(static_cast<v1::Verdict>(77)), "unknown");
  EXPECT_EQ(Word(static_cast<v1::Check::Verdict>(77)), "unverifiable");
  EXPECT_EQ(Word(static_cast<v1::Backup::Verification>(77)), "unproven");
  EXPECT_EQ(Word(static_cast<v1::TokenClass>(77)), "none");
}

TEST(Words, AScratchPlaceIsCalledSoWhateverRunsInIt) {
  v1::RunHeader run;
  v1::ObligationStatus obligation;
  const auto text = [&](const std::string& name, v1::ObligationStatus::Phase phase) {
    obligation.set_name(name);
    obligation.set_phase(phase);
    return ObligationText(obligation, run);
  };
  EXPECT_EQ(text("scratch", v1::ObligationStatus::PHASE_OPEN), "scratch place in use");
  EXPECT_EQ(text("scratch", v1::ObligationStatus::PHASE_RELEASED), "scratch place removed");
  EXPECT_EQ(text("scratch", v1::ObligationStatus::PHASE_UNCONFIRMED), "scratch place may be left");
  EXPECT_EQ(text("scratch", v1::ObligationStatus::PHASE_NOT_NEEDED), "no scratch place");
  EXPECT_EQ(text("scratch.graph", v1::ObligationStatus::PHASE_OPEN), "scratch place graph in use");
  EXPECT_EQ(text("scratch.graph", v1::ObligationStatus::PHASE_RELEASED), "scratch place graph removed");
  EXPECT_EQ(text("scratchy", v1::ObligationStatus::PHASE_OPEN), "scratchy is to be undone");
  EXPECT_EQ(text("scratch.", v1::ObligationStatus::PHASE_OPEN), "scratch. is to be undone");
  run.set_application("shop");
  EXPECT_EQ(text("quiesce", v1::ObligationStatus::PHASE_UNCONFIRMED), "shop may still be paused");
  EXPECT_EQ(text("quiesce.web", v1::ObligationStatus::PHASE_UNCONFIRMED),
            "shop (namespace web) may still be paused");
  EXPECT_EQ(text("quiescent", v1::ObligationStatus::PHASE_OPEN), "quiescent is to be undone");
}

TEST(Words, ARunIsItsVerdictOnceItIsOver) {
  v1::Run run;
  run.set_phase(v1::RUN_PHASE_RUNNING);
  EXPECT_EQ(VerdictWord(run), "running");
  run.set_phase(v1::RUN_PHASE_SUCCEEDED);
  EXPECT_EQ(VerdictWord(run), "finished") << "nobody knows what it found";
  run.set_verdict(v1::VERDICT_DISPROVEN);
  EXPECT_EQ(VerdictWord(run), "disproven");
}

TEST(Words, SubjectsAndKindsOfComponents) {
  v1::RunHeader header;
  header.set_kind(v1::RUN_KIND_DRILL);
  header.set_application("shop");
  header.set_backup("backup-shop-1");
  EXPECT_EQ(SubjectOf(header), "drill of backup-shop-1");
  header.set_kind(v1::RUN_KIND_DELETE);
  EXPECT_EQ(SubjectOf(header), "delete of backup-shop-1");
  header.set_kind(v1::RUN_KIND_BACKUP);
  EXPECT_EQ(SubjectOf(header), "backup of shop");
  header.set_kind(v1::RUN_KIND_RESTORE);
  EXPECT_EQ(SubjectOf(header), "restore of backup-shop-1 to shop");
  v1::Component component;
  EXPECT_EQ(StrategyWord(component), "");
  component.mutable_disk();
  EXPECT_EQ(StrategyWord(component), "disk");
  component.mutable_postgres();
  EXPECT_EQ(StrategyWord(component), "postgres");
}

TEST(Words, ADeletionIsSaidByItsState) {
  EXPECT_EQ(Word(v1::Deletion::STATE_DELETING), "deleting");
  EXPECT_EQ(Word(v1::Deletion::STATE_FAILED), "delete failed");
  EXPECT_EQ(Word(v1::Deletion::STATE_DELETED), "deleted");
  EXPECT_EQ(Word(static_cast<v1::Deletion::State>(77)), "unknown");
}

TEST(Words, AVolumeIsTheClaimOfItsNamespace) {
  v1::Artifact artifact;
  artifact.set_bytes(12 << 20);
  EXPECT_EQ(VolumeText(artifact), "");
  artifact.mutable_velero()->set_claim("uploads");
  artifact.mutable_velero()->set_namespace_("shop");
  artifact.mutable_velero()->set_method(v1::VOLUME_METHOD_FILE_SYSTEM);
  EXPECT_EQ(VolumeText(artifact), "volume uploads of shop, file-system backup, " + HumanBytes(12 << 20));
  artifact.mutable_velero()->set_method(static_cast<v1::VolumeMethod>(77));
  EXPECT_NE(VolumeText(artifact).find("does not know"), std::string::npos);
}

}  // namespace
}  // namespace salvor::words
