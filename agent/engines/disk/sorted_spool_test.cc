#include "agent/engines/disk/sorted_spool.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "agent/engines/disk/digest_table.h"
#include "agent/engines/disk/spool_file.h"
#include "agent/engines/disk/tree_testing.h"
#include "agent/process/process_testing.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Pairs = std::vector<std::pair<std::string, std::string>>;

StatusOr<Pairs> Read(const SortedSpool& spool) {
  const std::unique_ptr<SpoolCursor> cursor = spool.Read();
  Pairs pairs;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, cursor->Next());
    if (!more) return pairs;
    pairs.emplace_back(cursor->Key(), cursor->Value());
  }
}

// The process may write no file beyond this, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limit{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

class SortedSpoolTest : public testing::Test {
 protected:
  SpoolFolder Folder() const { return SpoolFolder(directory_.Path()); }
  // Whatever goes in comes out as a stable sort would give it, twice.
  void ExpectSorted(const Pairs& pairs, const SpoolLimits& limits, bool on_disk) {
    SortedSpool spool(Folder(), limits);
    for (const auto& [key, value] : pairs) ASSERT_TRUE(spool.Add(key, value).ok());
    ASSERT_TRUE(spool.Seal().ok());
    EXPECT_EQ(spool.IsOnDisk(), on_disk);
    EXPECT_EQ(spool.Size(), static_cast<int64_t>(pairs.size()));
    Pairs expected = pairs;
    std::stable_sort(expected.begin(), expected.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (int pass = 0; pass < 2; ++pass) {
      const auto read = Read(spool);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_TRUE(*read == expected);
    }
    EXPECT_THAT(Leftovers(), IsEmpty());
  }
  std::vector<std::string> Leftovers() const {
    std::vector<std::string> paths;
    if (::access(Folder().Path().c_str(), F_OK) != 0) return paths;
    for (const auto& entry : EntriesOf({Folder().Path()})) {
      if (entry.type() != "dir") paths.push_back(entry.path());
    }
    return paths;
  }

  TemporaryDirectory directory_;
};

Pairs RandomPairs(size_t count) {
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same pairs every time
  Pairs pairs;
  for (size_t i = 0; i < count; ++i) {
    std::string key(random() % 40, '\0');
    for (char& c : key) c = static_cast<char>(random() % 4 == 0 ? random() % 256 : 'a' + random() % 2);
    pairs.emplace_back(std::move(key), std::to_string(i) + std::string(random() % 100, 'v'));
  }
  return pairs;
}

TEST_F(SortedSpoolTest, NothingIsNothing) { ExpectSorted({}, {}, false); }

TEST_F(SortedSpoolTest, WhatFitsIntoMemoryTouchesNoDisk) {
  ExpectSorted(RandomPairs(2'000), {}, false);
  EXPECT_NE(::access(Folder().Path().c_str(), F_OK), 0);
}

TEST_F(SortedSpoolTest, RunsAreMergedInOrderWhateverTheBytes) {
  ExpectSorted(RandomPairs(5'000), {4'096, 256}, true);
}

TEST_F(SortedSpoolTest, RunsBecomeGreaterRunsOnSeveralLevels) {
  ExpectSorted(RandomPairs(5'000), {1'024, 3}, true);
}

TEST_F(SortedSpoolTest, EqualKeysComeInTheOrderOfTheirAddition) {
  Pairs pairs;
  for (int i = 0; i < 3'000; ++i) pairs.emplace_back(i % 3 == 0 ? "/a" : "/a-b", std::to_string(i));
  ExpectSorted(pairs, {1'024, 4}, true);
}

TEST_F(SortedSpoolTest, KeysAreBytesNotCharacters) {
  SortedSpool spool(Folder(), {16, 256});
  for (const char* key : {"/caf\xc3\xa9", "/caf\xe9", "/caf", "/cafe", "/caf\xff\xfe", ""})
    ASSERT_TRUE(spool.Add(key, "").ok());
  ASSERT_TRUE(spool.Seal().ok());
  const auto read = Read(spool);
  ASSERT_TRUE(read.ok());
  std::vector<std::string> keys;
  for (const auto& [key, value] : *read) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("", "/caf", "/cafe", "/caf\xc3\xa9", "/caf\xe9", "/caf\xff\xfe"));
}

TEST_F(SortedSpoolTest, APairLongerThanTheMemoryAndEveryBufferIsNoSpecialCase) {
  ExpectSorted({{"/b", std::string(3 << 20, 'b')}, {"/a", "x"}, {std::string(100'000, 'k'), "y"}}, {64, 2},
               true);
}

TEST_F(SortedSpoolTest, AFullDiskIsAnErrorWithAHintAndAgainRoomIsEnough) {
  const Pairs pairs = RandomPairs(20'000);
  SortedSpool spool(Folder(), {size_t{64} << 10, 256});
  Status status = OkStatus();
  {
    const FileSizeLimit limit(256 << 10);
    for (size_t i = 0; i < pairs.size() && status.ok(); ++i)
      status = spool.Add(pairs[i].first, pairs[i].second);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(MessageOf(status), HasSubstr("No space left on device"));
  EXPECT_THAT(HintOf(status), HasSubstr("Free some space"));
  EXPECT_THAT(Leftovers(), IsEmpty());
  ExpectSorted(pairs, {size_t{64} << 10, 256}, true);
}

TEST_F(SortedSpoolTest, AFolderThatCannotBeMadeIsAnErrorAndNoVerdict) {
  Put(directory_ / "spool", "a file");
  SortedSpool spool(Folder(), {16, 256});
  ASSERT_TRUE(spool.Add("/a", "").ok());
  const Status status = spool.Add("/b", "0123456789");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.code(), absl::StatusCode::kDataLoss);
}

TEST_F(SortedSpoolTest, FilesHaveNoNameAndTheirFolderIsTheAgentsAlone) {
  const auto file = Folder().NewFile();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Leftovers(), IsEmpty());
  struct stat facts {};
  ASSERT_EQ(::fstat(file->Get(), &facts), 0);
  EXPECT_EQ(facts.st_nlink, 0u);
  EXPECT_EQ(facts.st_mode & 07777, 0600u);
  ASSERT_EQ(::stat(Folder().Path().c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 07777, 0700u);
}

TEST_F(SortedSpoolTest, WhatACrashLeftGoesAtTheNextStart) {
  ASSERT_TRUE(MakeDirectories(Folder().Path(), 0700).ok());
  Put(Folder().Path() + "/0123456789abcdef", "half");
  ASSERT_TRUE(Folder().RemoveLeftovers().ok());
  EXPECT_NE(::access(Folder().Path().c_str(), F_OK), 0);
  ASSERT_TRUE(Folder().RemoveLeftovers().ok());
  EXPECT_TRUE(Folder().NewFile().ok());
}

TEST_F(SortedSpoolTest, LinesOfAnyLengthAreReadWhole) {
  const auto file = Folder().NewFile();
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<std::string> lines = {"\n", std::string(1000, 'x') + "\n", "a\rb\n", "no end"};
  SpoolOutput output(file->Get(), 7);
  for (const std::string& line : lines) ASSERT_TRUE(output.Append(line).ok());
  ASSERT_TRUE(output.Flush().ok());
  SpoolInput input(file->Get(), 7, output.Offset(), 16);
  for (const std::string& line : lines) {
    const auto taken = input.TakeLine();
    ASSERT_TRUE(taken.ok()) << taken.status();
    EXPECT_EQ(*taken, line);
  }
  EXPECT_TRUE(input.AtEnd());
  EXPECT_EQ(input.Take(1).status().code(), absl::StatusCode::kInternal);
}

TEST_F(SortedSpoolTest, DigestsAreFoundByInode) {
  DigestTable table(Folder());
  const auto digest = [](uint64_t number) { return std::string(31, 'd') + static_cast<char>(number % 251); };
  for (uint64_t inode = 0; inode < 5'000; ++inode) {
    ASSERT_TRUE(table.Put({1, inode, 10, 20}, digest(inode)).ok());
    ASSERT_TRUE(table.Put({2, 3 * inode, 10, 20}, digest(inode + 1)).ok());
  }
  for (uint64_t inode = 0; inode < 5'000; ++inode) {
    EXPECT_EQ(table.Find({1, inode, 10, 20}).value().value_or(""), digest(inode));
    EXPECT_EQ(table.Find({2, 3 * inode, 10, 20}).value().value_or(""), digest(inode + 1));
  }
  EXPECT_FALSE(table.Find({3, 7, 10, 20}).value().has_value());
  EXPECT_FALSE(table.Find({2, 7, 10, 20}).value().has_value());
}

TEST_F(SortedSpoolTest, ADigestIsOfTheStateThatWasHashed) {
  DigestTable table(Folder());
  const std::string old(32, 'o'), now(32, 'n');
  ASSERT_TRUE(table.Put({1, 7, 10, 20}, old).ok());
  EXPECT_FALSE(table.Find({1, 7, 11, 20}).value().has_value()) << "written to meanwhile";
  EXPECT_FALSE(table.Find({1, 7, 10, 21}).value().has_value());
  ASSERT_TRUE(table.Put({1, 7, 11, 20}, now).ok());
  EXPECT_EQ(table.Find({1, 7, 11, 20}).value().value_or(""), now);
  EXPECT_FALSE(table.Find({1, 7, 10, 20}).value().has_value()) << "one state of an inode at a time";
}

}  // namespace
}  // namespace salvor::agent
