#include "agent/engines/postgres/archive_stream.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "agent/process/process_testing.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// Writes archives as pg_dump does, of any version, so that those this machine has no pg_dump for are tested.
class ArchiveWriter {
 public:
  explicit ArchiveWriter(int minor) : minor_(minor) {}

  std::string Finish() const {
    std::string all = "PGDMP";
    all += {char(1), char(minor_), char(0), char(4), char(8), char(1)};
    if (minor_ >= 15) {
      all += char(compression_);
    } else {
      all += Int(compression_);
    }
    for (int i = 0; i < 7; ++i) all += Int(i + 1);
    all += Text("shop") + Text("15.1") + Text("15.1") + Int(entries_) + contents_ + data_;
    return all;
  }

  ArchiveWriter& Compressed(int level) {
    compression_ = level;
    return *this;
  }

  // An entry without data, as a table's definition.
  ArchiveWriter& Entry(const std::string& what, const std::string& tag) {
    contents_ += Head(false, what, tag, "");
    return *this;
  }

  ArchiveWriter& Table(const std::string& name, const std::vector<std::string>& chunks) {
    contents_ += Head(true, "TABLE DATA", name, "COPY public." + name + " (id, name) FROM stdin;\n");
    data_ += char(1) + Int(entries_);
    for (const std::string& chunk : chunks) data_ += Int(static_cast<int64_t>(chunk.size())) + chunk;
    data_ += Int(0);
    return *this;
  }

  ArchiveWriter& Objects(const std::vector<std::pair<uint32_t, std::string>>& objects) {
    contents_ += Head(true, "BLOBS", "BLOBS", "");
    data_ += char(3) + Int(entries_);
    for (const auto& object : objects) {
      data_ += Int(static_cast<int32_t>(object.first));
      if (!object.second.empty()) data_ += Int(static_cast<int64_t>(object.second.size())) + object.second;
      data_ += Int(0);
    }
    data_ += Int(0);
    return *this;
  }

  static std::string Int(int64_t value) {
    std::string bytes(1, value < 0 ? '\1' : '\0');
    uint64_t magnitude = static_cast<uint64_t>(value < 0 ? -value : value);
    for (int i = 0; i < 4; ++i, magnitude >>= 8) bytes += static_cast<char>(magnitude);
    return bytes;
  }

 private:
  static std::string Text(const std::string& text) { return Int(static_cast<int64_t>(text.size())) + text; }
  static std::string Null() { return Int(-1); }

  std::string Head(bool data, const std::string& what, const std::string& tag, const std::string& copy) {
    ++entries_;
    std::string entry = Int(entries_) + Int(data ? 1 : 0) + Text("1259") + Text("16384") + Text(tag) +
                        Text(what) + Int(3) + Text("") + Text("") + (copy.empty() ? Null() : Text(copy)) +
                        Text("public") + Text("");
    if (minor_ >= 14) entry += Text("heap");
    if (minor_ >= 16) entry += Int('r');
    entry += Text("owner") + Text("false") + Text("7") + Null();
    return entry + char(data ? 1 : 3) + std::string(8, '\0');
  }

  int minor_;
  int compression_ = 0;
  int entries_ = 0;
  std::string contents_, data_;
};

Status ReadWhole(ArchiveStream& stream, const std::string& bytes, size_t piece) {
  for (size_t at = 0; at < bytes.size(); at += piece) {
    RETURN_IF_ERROR(stream.Feed(std::string_view(bytes).substr(at, piece)));
  }
  return stream.Finish();
}

std::string SumOf(const std::vector<std::string>& rows) {
  RowDigest digest;
  for (const std::string& row : rows) {
    const std::string line = row + "\n";
    digest.Feed(line.data(), line.size());
  }
  return digest.Sum();
}

std::string Example(int minor) {
  return ArchiveWriter(minor)
      .Entry("TABLE", "orders")
      .Table("orders", {"1\tapple\n", "2\tpear\n", "\\.\n\n\n"})
      .Table("empty", {"\\.\n\n\n"})
      .Objects({{16500, "picture"}, {4000000000u, ""}})
      .Finish();
}

TEST(ArchiveStreamTest, RowsAndContentOfEveryTableAreKnownInEveryVersion) {
  for (int minor = 12; minor <= 16; ++minor) {
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{100000}}) {
      ArchiveStream stream;
      const std::string bytes = Example(minor);
      ASSERT_EQ(ReadWhole(stream, bytes, piece), OkStatus()) << minor << " in pieces of " << piece;
      EXPECT_TRUE(stream.Readable());
      const ArchiveSummary& summary = stream.Summary();
      EXPECT_EQ(summary.database, "shop");
      ASSERT_EQ(summary.tables.size(), 2u);
      EXPECT_EQ(summary.tables[0].schema, "public");
      EXPECT_EQ(summary.tables[0].name, "orders");
      EXPECT_EQ(summary.tables[0].columns, "(id, name)");
      EXPECT_EQ(summary.tables[0].rows, 2);
      EXPECT_EQ(ToHex(summary.tables[0].content_hash), ToHex(SumOf({"2\tpear", "1\tapple"})));
      EXPECT_EQ(summary.tables[1].rows, 0);
      EXPECT_TRUE(summary.tables[1].covered);
      EXPECT_EQ(summary.large_objects, 2);
      EXPECT_EQ(summary.large_object_bytes, 7);
      EXPECT_EQ(stream.TablesDone(), 2);
    }
  }
}

TEST(ArchiveStreamTest, AnArchiveCutAtAnyByteIsFound) {
  const std::string bytes = Example(14);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    ArchiveStream stream;
    EXPECT_EQ(ReadWhole(stream, bytes.substr(0, cut), 1000).code(), absl::StatusCode::kDataLoss)
        << "at " << cut;
  }
}

TEST(ArchiveStreamTest, ChunksMayHoldPartsOfRowsOrMany) {
  ArchiveStream whole, cut, many;
  ASSERT_TRUE(
      ReadWhole(whole, ArchiveWriter(14).Table("t", {"1\ta\n", "2\tb\n", "\\.\n\n\n"}).Finish(), 999).ok());
  ASSERT_TRUE(
      ReadWhole(cut, ArchiveWriter(14).Table("t", {"1", "\ta", "\n2\tb\n\\", ".", "\n\n\n"}).Finish(), 3)
          .ok());
  ASSERT_TRUE(ReadWhole(many, ArchiveWriter(16).Table("t", {"1\ta\n2\tb\n\\.\n\n\n"}).Finish(), 999).ok());
  EXPECT_EQ(whole.Summary().tables[0].content_hash, cut.Summary().tables[0].content_hash);
  EXPECT_EQ(whole.Summary().tables[0].content_hash, many.Summary().tables[0].content_hash);
  EXPECT_EQ(cut.Summary().tables[0].rows, 2);
}

TEST(ArchiveStreamTest, ATableWithoutItsEndMarkerIsDamaged) {
  ArchiveStream stream;
  const Status status = ReadWhole(stream, ArchiveWriter(14).Table("orders", {"1\ta\n"}).Finish(), 999);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(MessageOf(status).find("TABLE DATA public.orders"), std::string::npos) << MessageOf(status);
}

TEST(ArchiveStreamTest, RowsAfterTheEndMarkerAreDamage) {
  ArchiveStream stream;
  EXPECT_FALSE(ReadWhole(stream, ArchiveWriter(14).Table("t", {"\\.\n\n\n", "1\ta\n"}).Finish(), 999).ok());
}

TEST(ArchiveStreamTest, ACompressedArchiveIsNotCoveredAndNoFailure) {
  for (const int minor : {14, 15}) {
    ArchiveStream stream;
    EXPECT_TRUE(ReadWhole(stream, ArchiveWriter(minor).Compressed(1).Table("t", {"junk"}).Finish(), 3).ok());
    EXPECT_FALSE(stream.Readable());
    EXPECT_EQ(stream.Why(), "the archive is compressed");
    EXPECT_TRUE(stream.Summary().tables.empty());
  }
}

TEST(ArchiveStreamTest, AnUnknownVersionIsNotCoveredAndNoFailure) {
  ArchiveStream stream;
  EXPECT_TRUE(ReadWhole(stream, Example(17), 5).ok());
  EXPECT_EQ(stream.Why(), "archive version 1.17 is not known");
}

TEST(ArchiveStreamTest, WhatIsNoArchiveFailsAtOnce) {
  ArchiveStream stream;
  EXPECT_EQ(stream.Feed("pg_dump: error").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(stream.Feed("PGDMP").code(), absl::StatusCode::kDataLoss);
}

TEST(ArchiveStreamTest, TheHashKnowsARowThatChangedOrCameTwiceButNotTheOrder) {
  EXPECT_EQ(SumOf({"a", "b"}), SumOf({"b", "a"}));
  EXPECT_NE(SumOf({"a", "b"}), SumOf({"a", "c"}));
  EXPECT_NE(SumOf({"a", "a", "b"}), SumOf({"b"}));
  EXPECT_NE(SumOf({"a", "a", "b"}), SumOf({"a", "b", "b"}));
  EXPECT_EQ(SumOf({""}).size(), 16u);
  EXPECT_NE(SumOf({""}), SumOf({}));
}

TEST(ArchiveStreamTest, ALongRowHashesTheSameHoweverItIsCut) {
  const std::string row = std::string(300000, 'x') + "\n";
  RowDigest whole, cut;
  whole.Feed(row.data(), row.size());
  for (size_t at = 0; at < row.size(); at += 65536)
    cut.Feed(row.data() + at, std::min<size_t>(65536, row.size() - at));
  EXPECT_EQ(ToHex(whole.Sum()), ToHex(cut.Sum()));
}

// Rows of every kind: empty ones, those that begin as the end marker does, and lengths around XXH3's own blocks.
std::vector<std::string> RowsOfEveryKind() {
  return {"",
          "a",
          "\\\\.",
          "\\.x",
          std::string(16, 'b'),
          "",
          std::string(240, 'c'),
          "\\N\t\\\\.",
          std::string(241, 'd'),
          std::string(1024, 'e'),
          std::string(1025, 'f')};
}

std::string Lines(const std::vector<std::string>& rows) {
  std::string text;
  for (const std::string& row : rows) text += row + "\n";
  return text + "\\.\n\n\n";
}

TEST(ArchiveStreamTest, RowsCutAnywhereHashAsTheyDoWhole) {
  const std::vector<std::string> rows = RowsOfEveryKind();
  const std::string text = Lines(rows), expected = SumOf(rows);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    for (const size_t length : {size_t{0}, size_t{1}, size_t{2}, size_t{256}}) {
      const size_t second = std::min(cut + length, text.size());
      RowDigest digest;
      ASSERT_TRUE(digest.Feed(text.data(), cut));
      ASSERT_TRUE(digest.Feed(text.data() + cut, second - cut));
      ASSERT_TRUE(digest.Feed(text.data() + second, text.size() - second));
      ASSERT_TRUE(digest.Ended()) << cut << " " << length;
      ASSERT_EQ(digest.Rows(), static_cast<int64_t>(rows.size())) << cut << " " << length;
      ASSERT_EQ(ToHex(digest.Sum()), ToHex(expected)) << cut << " " << length;
    }
  }
}

TEST(ArchiveStreamTest, WhatFollowsTheEndMarkerIsLeftToWhoFeedsToTheEnd) {
  const std::vector<std::string> rows = {"1\ta", "2\tb"};
  const std::string table = "1\ta\n2\tb\n\\.\n", text = table + "3\tc\n\\.\n";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    RowDigest digest;
    size_t taken = digest.FeedToEnd(text.data(), cut);
    EXPECT_EQ(taken, std::min(cut, table.size())) << cut;
    taken += digest.FeedToEnd(text.data() + taken, text.size() - taken);
    EXPECT_EQ(taken, table.size()) << cut;
    EXPECT_EQ(ToHex(digest.Sum()), ToHex(SumOf(rows))) << cut;
    EXPECT_EQ(digest.FeedToEnd(text.data() + taken, text.size() - taken), 0u) << cut;
  }
}

// The bytes before the first chunk of the data of an archive's only table.
std::string BeforeTheRows() {
  const std::string archive = ArchiveWriter(14).Table("t", {}).Finish();
  return archive.substr(0, archive.size() - ArchiveWriter::Int(0).size());
}

TEST(ArchiveStreamTest, AValueOfAQuarterOfAGigabyteIsNeverHeld) {
  constexpr size_t kRowBytes = size_t{256} << 20, kMostBytes = size_t{8} << 20;
  const std::string piece(1 << 16, 'x');
  ArchiveStream stream;
  RowDigest expected;
  ResetPeakMemory();
  const int64_t before = PeakMemoryBytes();
  ASSERT_GT(before, 0);
  ASSERT_TRUE(stream.Feed(BeforeTheRows() + ArchiveWriter::Int(kRowBytes + 1)).ok());
  for (size_t at = 0; at < kRowBytes; at += piece.size()) {
    ASSERT_TRUE(stream.Feed(piece).ok());
    ASSERT_TRUE(expected.Feed(piece.data(), piece.size()));
  }
  ASSERT_TRUE(expected.Feed("\n", 1));
  ASSERT_TRUE(stream.Feed("\n" + ArchiveWriter::Int(5) + "\\.\n\n\n" + ArchiveWriter::Int(0)).ok());
  ASSERT_EQ(stream.Finish(), OkStatus());
  EXPECT_LT(PeakMemoryBytes() - before, static_cast<int64_t>(kMostBytes));
  EXPECT_EQ(stream.Summary().tables[0].rows, 1);
  EXPECT_EQ(ToHex(stream.Summary().tables[0].content_hash), ToHex(expected.Sum()));
}

TEST(ArchiveStreamTest, ALargeObjectOfAQuarterOfAGigabyteIsNeverHeld) {
  constexpr int64_t kPieces = 4096, kMostBytes = 8 << 20;
  const std::string archive = ArchiveWriter(14).Objects({}).Finish(), piece(1 << 16, 'x');
  ArchiveStream stream;
  ResetPeakMemory();
  const int64_t before = PeakMemoryBytes();
  ASSERT_TRUE(
      stream
          .Feed(archive.substr(0, archive.size() - ArchiveWriter::Int(0).size()) + ArchiveWriter::Int(16500))
          .ok());
  for (int64_t i = 0; i < kPieces; ++i) ASSERT_TRUE(stream.Feed(ArchiveWriter::Int(1 << 16) + piece).ok());
  ASSERT_TRUE(stream.Feed(ArchiveWriter::Int(0) + ArchiveWriter::Int(0)).ok());
  ASSERT_EQ(stream.Finish(), OkStatus());
  EXPECT_LT(PeakMemoryBytes() - before, kMostBytes);
  EXPECT_EQ(stream.Summary().large_object_bytes, kPieces << 16);
}

TEST(ArchiveStreamTest, AnEntryThatIsTooLongToHoldIsNotCoveredAndNoFailure) {
  const std::string longest(15 << 20, 'n'), longer(17 << 20, 'n');
  ArchiveStream held, not_held;
  ASSERT_EQ(
      ReadWhole(held, ArchiveWriter(14).Entry("FUNCTION", longest).Table("t", {"\\.\n"}).Finish(), 1 << 19),
      OkStatus());
  EXPECT_TRUE(held.Readable());
  ASSERT_EQ(ReadWhole(not_held, ArchiveWriter(14).Entry("FUNCTION", longer).Table("t", {"\\.\n"}).Finish(),
                      1 << 19),
            OkStatus());
  EXPECT_FALSE(not_held.Readable());
  EXPECT_EQ(not_held.Why(), "an entry of its table of contents is longer than 16.0 MiB");
}

TEST(ArchiveStreamTest, CountingLeavesTheContentUnhashed) {
  ArchiveStream stream(RowDigest::Mode::kCount);
  ASSERT_TRUE(ReadWhole(stream, Example(14), 11).ok());
  EXPECT_EQ(stream.Summary().tables[0].rows, 2);
  EXPECT_EQ(stream.Summary().tables[0].content_hash, "");
}

TEST(ArchiveStreamTest, ColumnListsWithOddNamesAreTakenAsTheyStand) {
  EXPECT_EQ(ColumnsOfCopyStatement("COPY public.t (a, b) FROM stdin;\n"), "(a, b)");
  EXPECT_EQ(ColumnsOfCopyStatement("COPY public.\"o(d\" (a) FROM stdin;\n"), "(a)");
  EXPECT_EQ(ColumnsOfCopyStatement("COPY public.t (\"x) FROM stdin;\", b) FROM stdin;\n"),
            "(\"x) FROM stdin;\", b)");
  EXPECT_EQ(ColumnsOfCopyStatement("COPY public.t  FROM stdin;\n"), "");
}

// The entries that fill materialized views are told apart from all others, before any data.
TEST(ArchiveStreamTest, TheContentsAreKnownBeforeTheData) {
  for (int minor = 12; minor <= 16; ++minor) {
    const std::string bytes = ArchiveWriter(minor)
                                  .Entry("TABLE", "orders")
                                  .Entry("MATERIALIZED VIEW", "sums")
                                  .Table("orders", {"1\ta\n", "\\.\n\n\n"})
                                  .Entry("MATERIALIZED VIEW DATA", "sums")
                                  .Entry("INDEX", "by_sum")
                                  .Entry("MATERIALIZED VIEW DATA", "of_sums")
                                  .Finish();
    ArchiveStream stream;
    size_t at = 0;
    for (; at < bytes.size() && !stream.ContentsKnown(); ++at) {
      ASSERT_EQ(stream.Feed(std::string_view(bytes).substr(at, 1)), OkStatus());
    }
    EXPECT_LT(at, bytes.size()) << "archive version 1." << minor;
    EXPECT_EQ(bytes[at], 1) << "the first block of data begins here";
    EXPECT_EQ(stream.Summary().other_entries, (std::vector<int64_t>{1, 2, 3, 5}));
    ASSERT_EQ(stream.Summary().refreshes.size(), 2U);
    EXPECT_EQ(stream.Summary().refreshes[0].schema, "public");
    EXPECT_EQ(stream.Summary().refreshes[0].name, "sums");
    EXPECT_EQ(stream.Summary().refreshes[1].name, "of_sums");
  }
  ArchiveStream compressed;
  EXPECT_TRUE(compressed.Feed(ArchiveWriter(14).Entry("TABLE", "orders").Compressed(6).Finish()).ok());
  EXPECT_FALSE(compressed.ContentsKnown());
}

// Any bytes at all: an answer, no crash. The shape libFuzzer wants.
int FuzzOne(const uint8_t* data, size_t size) {
  ArchiveStream stream;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t half = size / 2;
  if (stream.Feed(bytes.substr(0, half)).ok()) stream.Feed(bytes.substr(half)).IgnoreError();
  stream.Finish().IgnoreError();
  return 0;
}

TEST(ArchiveStreamTest, RandomDamageNeverCrashes) {
  std::mt19937_64 random(20261121);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = Example(12 + static_cast<int>(random() % 5));
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + random() % 8);
          break;
        case 2:
          bytes.insert(at, 1 + random() % 8, static_cast<char>(random()));
          break;
        default:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8));
      }
      if (bytes.empty()) break;
    }
    FuzzOne(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
}

}  // namespace
}  // namespace salvor::agent
