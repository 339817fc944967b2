// Trees of any size in bounded memory: entries that no file system has to hold go the way of a backup and of a drill.
#include <gmock/gmock.h>
#include <malloc.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "agent/engines/disk/tree_testing.h"
#include "agent/process/process_testing.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kEntries = 200'000;
// Small, so that all of it goes through runs on disk.
constexpr SpoolLimits kLimits{size_t{1} << 20, 16};
// These entries would take 400 MiB in memory. The record of how hard links hang together takes up to 16 MiB on each
// side.
constexpr int64_t kMostGrowth = int64_t{48} << 20;

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// How far the memory in use has grown since this began, at its highest of all looks.
class MemoryWatch {
 public:
  MemoryWatch() {
    ::malloc_trim(0);
    begin_ = ResidentBytes();
  }
  void Look() { most_ = std::max(most_, ResidentBytes() - begin_); }
  int64_t Growth() const { return kPeaksAreMeaningful ? most_ : 0; }

 private:
  int64_t begin_ = 0, most_ = 0;
};

// Number `i` of a tree whose entries come in an order of no kind, as directories give them. Every tenth is a name of the
// inode of the one before it.
CapturedEntry Synthetic(int64_t i) {
  const int64_t number = (i * 7'919) % kEntries;
  CapturedEntry captured;
  v1::TreeEntry& entry = captured.entry;
  entry.set_path(fmt::format("/srv/a-rather-long-folder-name/{:03}/another-folder-with-a-name/{:08}.jpeg",
                             number % 997, number));
  entry.set_type("file");
  entry.set_mode(0644);
  entry.set_bytes(number);
  entry.set_mtime_ns(1'700'000'000'000'000'000 + number);
  entry.set_sha256(std::string(64, static_cast<char>('0' + number % 10)));
  captured.device = 1;
  captured.inode = static_cast<uint64_t>(number % 10 == 1 ? number - 1 : number) + 1;
  captured.has_several_names = number % 10 < 2;
  return captured;
}

class TreeMemoryTest : public testing::Test {
 protected:
  void Fill(CapturedTree* tree, int64_t except = -1) {
    for (int64_t i = 0; i < kEntries; ++i) {
      if (i == except) continue;
      ASSERT_TRUE(tree->Add(Synthetic(i)).ok());
      if (i % 1'000 == 0) memory_.Look();
    }
    ASSERT_TRUE(tree->Finish().ok());
    memory_.Look();
  }

  MemoryWatch memory_;
};

TEST_F(TreeMemoryTest, ABackupsEntriesAreMarkedJudgedAndWritten) {
  CapturedTree before(SpoolForTests(), kLimits), after(SpoolForTests(), kLimits);
  ASSERT_NO_FATAL_FAILURE(Fill(&before));
  ASSERT_NO_FATAL_FAILURE(Fill(&after, 5));
  SnapshotContent content(SpoolForTests(), kLimits);
  for (int64_t i = 0; i < kEntries; ++i) {
    if (i != 9) {
      ASSERT_TRUE(content.Add(Synthetic(i).entry.path(), "file").ok());
    }
  }
  ASSERT_TRUE(content.Finish().ok());
  ResticErrors errors({});
  auto writer = TreeDetailsWriter::Open(SpoolForTests());
  ASSERT_TRUE(writer.ok()) << writer.status();
  std::vector<std::string> marked;
  int64_t linked = 0, entries = 0;
  const SnapshotJudgement judgement{
      [&] { return MarkChanges(before, after); }, true, &content, &errors, {"/srv"}};
  const Status status = ApplySnapshot(judgement, SpoolForTests(), [&](const v1::TreeEntry& entry) {
    if (!entry.not_covered().empty()) marked.push_back(entry.path() + " " + entry.not_covered());
    linked += entry.hard_link().empty() ? 0 : 1;
    if (++entries % 1'000 == 0) memory_.Look();
    return writer->Add(entry);
  });
  ASSERT_TRUE(status.ok()) << status;
  const auto written = writer->Finish();
  ASSERT_TRUE(written.ok()) << written.status();
  memory_.Look();
  EXPECT_EQ(written->summary.files(), kEntries);
  EXPECT_EQ(linked, kEntries / 10);
  EXPECT_THAT(marked,
              testing::UnorderedElementsAre(Synthetic(5).entry.path() + " vanished while it was backed up",
                                            Synthetic(9).entry.path() + " is not in the snapshot"));
  EXPECT_LT(memory_.Growth(), kMostGrowth);
}

TEST_F(TreeMemoryTest, ADrillsTreesAreComparedEntryByEntry) {
  CapturedTree expected(SpoolForTests(), kLimits), found(SpoolForTests(), kLimits);
  ASSERT_NO_FATAL_FAILURE(Fill(&expected));
  ASSERT_NO_FATAL_FAILURE(Fill(&found, 5));
  const auto compared =
      CompareTrees(expected.Source(), found.Source(), {{"/srv", "/elsewhere"}}, SpoolForTests());
  ASSERT_TRUE(compared.ok()) << compared.status();
  memory_.Look();
  ASSERT_EQ(compared->size(), 1u);
  EXPECT_EQ(compared->front().compared, kEntries - 1);
  EXPECT_THAT(compared->front().structure.first,
              ElementsAre(HasSubstr(Synthetic(5).entry.path() + ": file is missing")));
  EXPECT_EQ(compared->front().metadata.total, 0);
  EXPECT_LT(memory_.Growth(), kMostGrowth);
}

TEST_F(TreeMemoryTest, WhenAllIsDifferentTheFirstAreNamedAndTheRestCounted) {
  CapturedTree expected(SpoolForTests(), kLimits), found(SpoolForTests(), kLimits);
  ASSERT_NO_FATAL_FAILURE(Fill(&expected));
  ASSERT_TRUE(found.Finish().ok());
  const auto compared = CompareTrees(expected.Source(), found.Source(), {{"/srv", "/srv"}}, SpoolForTests());
  ASSERT_TRUE(compared.ok()) << compared.status();
  memory_.Look();
  EXPECT_EQ(compared->front().structure.total, kEntries);
  EXPECT_EQ(compared->front().structure.first.size(), kKeptDifferences);
  EXPECT_THAT(compared->front().structure.first.front(),
              HasSubstr("/000/another-folder-with-a-name/00000000.jpeg"));
  EXPECT_LT(memory_.Growth(), kMostGrowth);
}

}  // namespace
}  // namespace salvor::agent
