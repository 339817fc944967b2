// Codec, comparison and coverage: what is kept of a tree, and what is made of it.
#include <gmock/gmock.h>

#include <algorithm>
#include <limits>

#include "agent/engines/disk/tree_testing.h"
#include "agent/process/process_testing.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DetailsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(MakeOddTree(root_));
    entries_ = EntriesOf({root_});
    changed_ = entries_;
  }
  v1::TreeEntry& Changed(const std::string& path) { return *EntryAt(changed_, PercentEncode(root_ + path)); }
  void Remove(const std::string& path) {
    const std::string encoded = PercentEncode(root_ + path);
    changed_.erase(
        std::remove_if(changed_.begin(), changed_.end(), [&](const auto& e) { return e.path() == encoded; }),
        changed_.end());
  }
  TreeComparison Compare() { return CompareTrees(entries_, changed_, root_, root_); }
  static void ExpectTotals(const TreeComparison& compared, int64_t structure, int64_t content,
                           int64_t metadata) {
    EXPECT_EQ(compared.structure.total, structure) << Join(compared.structure.first, "; ");
    EXPECT_EQ(compared.content.total, content) << Join(compared.content.first, "; ");
    EXPECT_EQ(compared.metadata.total, metadata) << Join(compared.metadata.first, "; ");
  }

  TemporaryDirectory directory_;
  std::string root_ = NormalisePaths({directory_ / "tree"}).front();
  std::vector<v1::TreeEntry> entries_, changed_;
};

TEST_F(DetailsTest, WhatIsEncodedIsDecodedAsItWas) {
  entries_[3].set_not_covered("said \"no\"");
  entries_[4].set_attributes("ai");
  entries_[4].set_allocated_bytes(4096);
  entries_[4].set_mtime_unknown(true);
  const auto decoded = DecodeTree(EncodeTree(entries_).value_or(""));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->entries.size(), entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i)
    EXPECT_EQ(decoded->entries[i].DebugString(), entries_[i].DebugString());
  EXPECT_EQ(decoded->summary.files(), 11);
  EXPECT_EQ(decoded->summary.directories(), 5);
  EXPECT_EQ(decoded->summary.symlinks(), 3);
  EXPECT_EQ(decoded->summary.others(), 1);
}

TEST_F(DetailsTest, ALineThatWasAlteredLostOrCutIsDataLoss) {
  const std::string text = EncodeTree(entries_).value_or("");
  ASSERT_GT(text.size(), 100u);
  std::string altered = text;
  altered[altered.size() - 20] ^= 1;
  for (const std::string& bad :
       {altered, text.substr(0, text.size() - 1), text.substr(0, text.rfind('\n', text.size() - 2) + 1),
        std::string("{}"), std::string("nonsense\n"), std::string()}) {
    EXPECT_EQ(DecodeTree(bad).status().code(), absl::StatusCode::kDataLoss) << bad.substr(0, 80);
  }
}

TEST_F(DetailsTest, ATreeEqualsItself) {
  const TreeComparison compared = Compare();
  ExpectTotals(compared, 0, 0, 0);
  EXPECT_EQ(compared.compared, 20);
  EXPECT_EQ(compared.files, 11);
}

TEST_F(DetailsTest, ATreeRestoredElsewhereIsComparedPathByPath) {
  for (auto& entry : changed_) {
    entry.set_path("/scratch/a%20b" + entry.path());
    if (!entry.hard_link().empty()) entry.set_hard_link("/scratch/a%20b" + entry.hard_link());
  }
  const TreeComparison compared = CompareTrees(entries_, changed_, root_, "/scratch/a b" + root_);
  ExpectTotals(compared, 0, 0, 0);
  EXPECT_EQ(compared.compared, 20);
  // Below another path nothing is looked at.
  EXPECT_EQ(CompareTrees(entries_, changed_, root_ + "/empty", "/scratch/a b" + root_ + "/empty").compared,
            1);
}

TEST_F(DetailsTest, ATreeIsComparedUnderTheNameItsCopyHas) {
  for (auto& entry : changed_) {
    const std::string encoded = PercentEncode(root_);
    entry.set_path("/other/place" + entry.path().substr(encoded.size()));
    if (!entry.hard_link().empty())
      entry.set_hard_link("/other/place" + entry.hard_link().substr(encoded.size()));
  }
  const auto compare = [&] { return CompareTrees(entries_, changed_, root_, "/other/place"); };
  ExpectTotals(compare(), 0, 0, 0);
  EXPECT_EQ(compare().compared, 20);
  EntryAt(changed_, "/other/place/program")->set_sha256("00");
  ExpectTotals(compare(), 0, 1, 0);
  EXPECT_THAT(compare().content.first, ElementsAre(HasSubstr(PercentEncode(root_) + "/program: ")));
}

TEST_F(DetailsTest, WhatCannotBeReadInTheCopyIsNeitherRightNorWrong) {
  Changed("/program").set_not_covered("cannot be read: Input/output error");
  Changed("/program").clear_sha256();
  Changed("/a directory/deep").set_not_covered("cannot be read: Input/output error");
  Remove("/a directory/deep/er");
  Remove("/a directory/deep/er/secret");
  Changed("/pipe").set_type("unknown");
  const TreeComparison compared = Compare();
  ExpectTotals(compared, 0, 0, 0);
  EXPECT_EQ(compared.unread.total, 4);
}

TEST_F(DetailsTest, ATimeThatResticCannotKeepIsNotCompared) {
  EntryAt(entries_, PercentEncode(root_ + "/program"))->set_mtime_unknown(true);
  Changed("/program").set_mtime_ns(1);
  ExpectTotals(Compare(), 0, 0, 0);
  Changed("/nothing").set_mtime_ns(1);
  ExpectTotals(Compare(), 0, 0, 1);
}

TEST_F(DetailsTest, AMissingAnUnexpectedAndAnotherTypedEntryAreStructureAndNothingElse) {
  Remove("/a directory/deep/er/secret");
  Changed("/a directory/deep/er").set_mtime_ns(5);
  ExpectTotals(Compare(), 1, 0, 0);
  Changed("/nothing").set_type("dir");
  Changed("/nothing").set_mode(0);
  ExpectTotals(Compare(), 2, 0, 0);
  changed_.emplace_back().set_path(PercentEncode(root_ + "/zzz"));
  changed_.back().set_type("file");
  const TreeComparison compared = Compare();
  ExpectTotals(compared, 3, 0, 0);
  EXPECT_THAT(compared.structure.first, testing::Contains(HasSubstr("/zzz: file is unexpected")));
}

TEST_F(DetailsTest, OtherBytesOtherLengthAndOtherTargetsAreContent) {
  Changed("/program").set_sha256("00");
  ExpectTotals(Compare(), 0, 1, 0);
  Changed("/nothing").set_bytes(1);
  Changed("/link").set_target("elsewhere");
  ExpectTotals(Compare(), 0, 3, 0);
}

TEST_F(DetailsTest, ModeOwnerTimesAttributesAndLinksAreMetadata) {
  Changed("/program").set_mode(0755);
  Changed("/link").set_uid(99);
  Changed("/pipe").set_gid(99);
  Changed("/a directory").set_mtime_ns(7);
  Changed("/empty").clear_xattrs();
  Changed("/linked").clear_hard_link();
  const TreeComparison compared = Compare();
  ExpectTotals(compared, 0, 0, 6);
  EXPECT_THAT(compared.metadata.first, testing::Contains(HasSubstr("/program: mode is 0755, was 4755")));
  EXPECT_THAT(compared.metadata.first,
              testing::Contains(HasSubstr("/linked: is a file of its own, was a hard link to")));
}

TEST_F(DetailsTest, WhatWasNotCoveredIsCountedAndLeftOutAndSocketsAreToo) {
  EntryAt(entries_, PercentEncode(root_ + "/program"))->set_not_covered("changed while it was backed up");
  EntryAt(entries_, PercentEncode(root_ + "/pipe"))->set_type("socket");
  Remove("/pipe");
  Changed("/program").set_sha256("00");
  const TreeComparison compared = Compare();
  ExpectTotals(compared, 0, 0, 0);
  EXPECT_EQ(compared.not_covered, 1);
  EXPECT_EQ(compared.compared, 18);
}

v1::TreeEntry Made(const std::string& path, const std::string& type, int64_t mtime_ns = 1) {
  v1::TreeEntry entry;
  entry.set_path(path);
  entry.set_type(type);
  entry.set_mtime_ns(mtime_ns);
  return entry;
}

// "/t/a-b" sorts between "/t/a" and what is in it.
TEST(CompareTest, ADirectoryIsRememberedWhileOthersComeBeforeItsContent) {
  const std::vector<v1::TreeEntry> captured = {Made("/t", "dir"), Made("/t/a", "dir"), Made("/t/a-b", "file"),
                                               Made("/t/a/x", "file")};
  std::vector<v1::TreeEntry> found = {captured[0], Made("/t/a", "dir", 2), captured[2]};
  TreeComparison compared = CompareTrees(captured, found, "/t", "/t");
  EXPECT_THAT(compared.structure.first, ElementsAre("/t/a/x: file is missing"));
  EXPECT_EQ(compared.metadata.total, 0);  // a consequence
  found.push_back(captured[3]);
  EXPECT_THAT(CompareTrees(captured, found, "/t", "/t").metadata.first,
              ElementsAre(HasSubstr("/t/a: modified")));
  found.pop_back();
  found[1].set_not_covered("cannot be read");
  compared = CompareTrees(captured, found, "/t", "/t");
  EXPECT_EQ(compared.structure.total, 0);
  EXPECT_THAT(compared.unread.first, ElementsAre("/t/a/x: its directory could not be read"));
}

TEST(CompareTest, PlacesAreComparedInOnePassThoughTheirCopiesSortOtherwise) {
  const std::vector<v1::TreeEntry> captured = {Made("/a", "dir"), Made("/a/1", "file"), Made("/b", "file"),
                                               Made("/d", "dir")};
  const std::vector<ComparedPlace> places = {{"/a", "/z"}, {"/b", "/x"}, {"/c", "/y"}};
  const CapturedPaths paths(places);
  EXPECT_EQ(paths.Of("/z/1"), "/a/1");
  EXPECT_EQ(paths.Of("/x"), "/b");
  EXPECT_EQ(paths.Of("/xx"), "/xx");
  const std::vector<v1::TreeEntry> found = {Made("/a", "dir"), Made("/a/2", "file"), Made("/b", "file", 2)};
  const auto compared = CompareTrees(SourceOf(captured), SourceOf(found), places, SpoolForTests());
  ASSERT_TRUE(compared.ok()) << compared.status();
  EXPECT_THAT((*compared)[0].structure.first,
              ElementsAre("/a/1: file is missing", "/a/2: file is unexpected"));
  EXPECT_EQ((*compared)[0].metadata.total, 0);
  EXPECT_THAT((*compared)[1].metadata.first, ElementsAre(HasSubstr("/b: modified")));
  EXPECT_TRUE((*compared)[1].is_known);
  EXPECT_FALSE((*compared)[2].is_known);
}

TEST(CompareTest, HardLinksAreComparedAmongWhatBothSidesHave) {
  std::vector<v1::TreeEntry> captured, found;
  for (const char* path : {"/t/1", "/t/2", "/t/3", "/t/4"}) {
    captured.push_back(Made(path, "file"));
    found.push_back(Made(path, "file"));
  }
  for (size_t i : {1, 2}) captured[i].set_hard_link("/t/1");
  found[2].set_hard_link("/t/2");
  found[3].set_hard_link("/t/2");
  // The entries 2 and 3 still belong together without the first name; 4 is new among them.
  const auto without_first = [](std::vector<v1::TreeEntry> entries) {
    entries.erase(entries.begin());
    return entries;
  };
  EXPECT_THAT(CompareTrees(captured, without_first(found), "/t", "/t").metadata.first,
              ElementsAre("/t/4: is a hard link to /t/2, was a file of its own"));
  EXPECT_THAT(CompareTrees(captured, found, "/t", "/t").metadata.first,
              ElementsAre("/t/2: is a file of its own, was a hard link to /t/1",
                          "/t/3: is a hard link to /t/2, was a hard link to /t/1",
                          "/t/4: is a hard link to /t/2, was a file of its own"));
}

TEST(CompareTest, TheFirstDifferencesByPathAreNamedAndAllAreCounted) {
  std::vector<v1::TreeEntry> captured, found;
  for (int i = 0; i < 50; ++i) {
    captured.push_back(Made(fmt::format("/t/{:02}", i), "dir"));
    captured.push_back(Made(fmt::format("/t/{:02}/x", i), "file"));
  }
  found = captured;
  for (v1::TreeEntry& entry : found) entry.set_mtime_ns(2);
  const TreeComparison compared = CompareTrees(captured, found, "/t", "/t");
  EXPECT_EQ(compared.metadata.total, 100);
  ASSERT_EQ(compared.metadata.first.size(), kKeptDifferences);
  EXPECT_THAT(compared.metadata.first[0], HasSubstr("/t/00: modified"));
  EXPECT_THAT(compared.metadata.first[1], HasSubstr("/t/00/x: modified"));
  EXPECT_THAT(compared.metadata.first.back(), HasSubstr("/t/09/x: modified"));
}

CapturedEntry Captured(const std::string& path, int64_t ctime_ns) {
  CapturedEntry captured;
  captured.entry.set_path(path);
  captured.entry.set_type("file");
  captured.ctime_ns = ctime_ns;
  return captured;
}

std::vector<std::string> Marks(const std::vector<CapturedEntry>& entries) {
  std::vector<std::string> marks;
  for (const CapturedEntry& one : entries) marks.push_back(one.entry.path() + " " + one.entry.not_covered());
  return marks;
}

TEST(CoverageTest, WhatChangedVanishedOrAppearedIsMarked) {
  std::vector<CapturedEntry> before = {Captured("/a", 1), Captured("/b", 1), Captured("/d", 1)};
  MarkChanges(&before, {Captured("/a", 1), Captured("/b", 2), Captured("/c", 1)});
  EXPECT_THAT(Marks(before),
              ElementsAre("/a ", "/b changed while it was backed up", "/c appeared while the backup ran",
                          "/d vanished while it was backed up"));
}

TEST(CoverageTest, SocketsMayComeAndGo) {
  const auto socket = [](const std::string& path, int64_t ctime_ns) {
    CapturedEntry captured = Captured(path, ctime_ns);
    captured.entry.set_type("socket");
    return captured;
  };
  std::vector<CapturedEntry> before = {socket("/s/a", 1), socket("/s/b", 1)};
  MarkChanges(&before, {socket("/s/a", 2), socket("/s/c", 1)});
  EXPECT_THAT(ApplySnapshot(&before, {}, {"/s"}), IsEmpty());
  EXPECT_THAT(Marks(before), ElementsAre("/s/a ", "/s/b ", "/s/c "));
}

TEST(CoverageTest, WhatTheSnapshotLacksIsMarked) {
  std::vector<CapturedEntry> entries = {Captured("/s/a", 1), Captured("/s/b", 1), Captured("/s/c:%20d", 1)};
  SnapshotView view;
  view.types = {{"/", "dir"}, {"/s", "dir"}, {"/s/a", "file"}, {"/s/z", "fifo"}};
  view.errors = {"/s/c: d: open: denied", "/elsewhere: odd"};
  const auto unmatched = ApplySnapshot(&entries, view, {"/s/a", "/s/b", "/s/c: d", "/s/z"});
  EXPECT_THAT(Marks(entries),
              ElementsAre("/s/a ", "/s/b is not in the snapshot", "/s/c:%20d restic: open: denied",
                          "/s/z appeared and vanished while the backup ran"));
  EXPECT_THAT(unmatched, ElementsAre("/elsewhere: odd"));
}

TEST(CoverageTest, NamesThatLookAlikeToResticAreJudgedAlike) {
  const std::vector<CapturedEntry> walked = {Captured("/s/%20", 1), Captured("/s/%FE", 1),
                                             Captured("/s/%FF", 1), Captured("/s/a", 1)};
  SnapshotView view;
  view.types = {{"/s/ ", "file"}, {"/s/a", "file"}, {"/s/\xef\xbf\xbd", "file"}};
  std::vector<CapturedEntry> entries = walked;
  EXPECT_THAT(ApplySnapshot(&entries, view, {"/s"}), IsEmpty());
  EXPECT_THAT(Marks(entries), ElementsAre("/s/%20 ", "/s/%FE ", "/s/%FF ", "/s/a "));
  entries = walked;
  view.types.erase("/s/\xef\xbf\xbd");
  view.errors = {"/s/\xef\xbf\xbd: denied"};
  EXPECT_THAT(ApplySnapshot(&entries, view, {"/s"}), IsEmpty());
  EXPECT_THAT(Marks(entries),
              ElementsAre("/s/%20 ", "/s/%FE restic: denied", "/s/%FF restic: denied", "/s/a "));
  entries = {walked[0], walked[3]};
  view.types["/s/\xef\xbf\xbd"] = "file";
  view.errors = {};
  EXPECT_THAT(ApplySnapshot(&entries, view, {"/s"}), IsEmpty());
  EXPECT_THAT(Marks(entries),
              ElementsAre("/s/%20 ", "/s/%EF%BF%BD appeared and vanished while the backup ran", "/s/a "));
}

TEST(CoverageTest, OfTwoEntriesWithOnePathTheFirstCounts) {
  const auto tree = CapturedTreeOf({Captured("/s/b", 1), Captured("/s/a", 1), Captured("/s/b", 2)});
  const auto listed = ListOf(tree->Read());
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ(listed->at(1).ctime_ns, 1);
}

TEST(CoverageTest, WhatResticDoesNotKeepIsNamed) {
  std::vector<v1::TreeEntry> entries(6);
  const char* types[] = {"socket", "file", "symlink", "symlink", "fifo", "file"};
  for (size_t i = 0; i < entries.size(); ++i) {
    entries[i].set_path("/s/" + std::to_string(i));
    entries[i].set_type(types[i]);
  }
  entries[1].set_mtime_unknown(true);
  entries[1].set_mtime_ns(std::numeric_limits<int64_t>::max());
  entries[4].set_mtime_unknown(true);  // a mount's
  entries[2].set_target("bad%FF");
  entries[3].set_target("caf%C3%A9");
  entries[4].set_hard_link("/s/0");
  entries[5].set_attributes("i");
  std::vector<std::string> named;
  for (const v1::TreeEntry& entry : entries) {
    for (const std::string& words : NotKeptByRestic(entry)) named.push_back(words);
  }
  EXPECT_THAT(
      named, ElementsAre(HasSubstr("/s/0: a socket is not kept"), HasSubstr("/s/1: its time of modification"),
                         HasSubstr("/s/2: a symlink whose target is not UTF-8"),
                         HasSubstr("/s/4: a fifo with several names"), HasSubstr("/s/5: its attributes i")));
}

TEST(CoverageTest, NamesAreReadAsResticPrintsThem) {
  EXPECT_EQ(AsResticPrints("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(AsResticPrints("\xff\xc3"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(AsResticPrints("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

}  // namespace
}  // namespace salvor::agent
