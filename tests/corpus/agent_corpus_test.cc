// Today's agent reads the journal, the documents and the orders of earlier versions.
#include <gtest/gtest.h>

#include "agent/engines/disk/tree_testing.h"
#include "agent/engines/postgres/details_json.h"
#include "agent/host_actions.h"
#include "agent/journal/journal.h"
#include "agent/location/manifest_actions.h"
#include "proto/artifact.h"
#include "salvor/v1/manifest.pb.h"
#include "tests/corpus/corpus.h"

namespace salvor::agent {
namespace {

const std::filesystem::path kCorpus = std::filesystem::path(SALVOR_CORPUS) / "0.1";

TEST(AgentCorpusTest, TheJournalOfAKilledAgentIsReadWhole) {
  const corpus::Copy copy(kCorpus / "agent.db");
  auto journal = Journal::Open(copy.Directory());
  ASSERT_TRUE(journal.ok()) << journal.status();
  const auto entries = (*journal)->Entries();
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_FALSE(entries->empty());
  bool has_result = false;
  for (const JournalEntry& entry : *entries) {
    EXPECT_FALSE(corpus::HasUnknownFields(entry.task));
    has_result = has_result || entry.result.has_value();
  }
  EXPECT_TRUE(has_result) << "the recording waited for a result that nobody took";
}

TEST(AgentCorpusTest, ManifestsAndDetailsAreRead) {
  const std::filesystem::path documents = kCorpus / "documents";
  const auto manifests = corpus::Files(documents, ".manifest");
  ASSERT_EQ(manifests.size(), 3u);
  for (const auto& file : manifests) {
    const auto manifest = ParseManifest(corpus::Content(file));
    ASSERT_TRUE(manifest.ok()) << file << manifest.status();
    EXPECT_EQ(manifest->application(), "shop");
    EXPECT_GT(manifest->artifacts_size(), 0);
  }
  for (const auto& file : corpus::Files(documents, ".db.dump.shop.details")) {
    v1::DatabaseDetails details;
    const Status read = FromJson(corpus::Content(file), &details);
    ASSERT_TRUE(read.ok()) << file << read;
    EXPECT_EQ(details.tables_size(), 3);
    EXPECT_FALSE(details.catalog().empty());
  }
  for (const auto& file : corpus::Files(documents, ".db.globals")) {
    v1::GlobalsDetails details;
    const Status read = FromJson(corpus::Content(file), &details);
    ASSERT_TRUE(read.ok()) << file << read;
    EXPECT_GE(details.roles_size(), 2);
  }
  for (const auto& file : corpus::Files(documents, ".uploads.tree.details")) {
    const auto tree = DecodeTree(corpus::Content(file));
    ASSERT_TRUE(tree.ok()) << file << tree.status();
    EXPECT_EQ(tree->entries.size(), 9u);
  }
}

// "db.dump.shop: dump, data, 502 rows, 3 tables, of 150018" of each artifact.
std::vector<std::string> WhatEachHolds(const v1::Manifest& manifest) {
  std::vector<std::string> lines;
  for (const v1::Artifact& artifact : manifest.artifacts()) {
    const v1::Artifact::Contents contents = ContentsOf(artifact);
    std::string line =
        artifact.name() + ": " + contents.word() + (HoldsData(contents) ? ", data" : ", details");
    for (const v1::Artifact::Count& count : contents.counts())
      line += ", " + std::to_string(count.number()) + " " + count.noun() + "s";
    if (contents.gaps() > 0) line += ", " + std::to_string(contents.gaps()) + " gaps";
    const int version = PostgresFactsOf(artifact).server_version_num();
    lines.push_back(line + (version > 0 ? ", of " + std::to_string(version) : ""));
  }
  return lines;
}

TEST(AgentCorpusTest, ArtifactsThatSayNothingOfThemselvesHoldWhatTheyHeld) {
  const std::vector<std::string> tree = {"uploads.tree: files, data, 7 files",
                                         "uploads.tree.details: file details, details"};
  std::vector<std::string> whole = {"db.dump.shop: dump, data, 502 rows, 3 tables, of 150018",
                                    "db.dump.shop.details: dump details, details, of 150018",
                                    "db.globals: roles, data, of 150018"};
  whole.insert(whole.end(), tree.begin(), tree.end());
  for (const auto& file : corpus::Files(kCorpus / "documents", ".manifest")) {
    const auto manifest = ParseManifest(corpus::Content(file));
    ASSERT_TRUE(manifest.ok()) << file << manifest.status();
    EXPECT_EQ(WhatEachHolds(*manifest), manifest->missing().empty() ? whole : tree) << file;
  }
}

TEST(AgentCorpusTest, EveryOrderOfThatVersionNamesAnActionThatTodaysAgentCanDo) {
  const ActionRegistry actions = HostActions();
  int tasks = 0;
  for (const std::string& bytes : corpus::Messages(kCorpus / "conversation-0.control")) {
    v1::ControlMessage message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    EXPECT_FALSE(corpus::HasUnknownFields(message));
    for (const v1::Task& task : message.tasks()) {
      ++tasks;
      const auto* kind = v1::Action::descriptor()->FindFieldByNumber(task.action().kind_case());
      ASSERT_NE(kind, nullptr) << task.lease().step();
      EXPECT_EQ(actions.count(kind->name()), 1u) << kind->name();
    }
  }
  EXPECT_GT(tasks, 30);
}

}  // namespace
}  // namespace salvor::agent
