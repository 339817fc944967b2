#include "agent/engines/mariadb/dump_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace salvor::agent {
namespace {

constexpr char kBegin[] = "-- MariaDB dump 10.19\n--\nUSE `shop`;\n";
constexpr char kEnd[] =
    "/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n-- Dump completed on 2026-11-26 20:05:31\n";

// "shop.t 2" each, or the error.
std::string Read(const std::string& dump, size_t piece) {
  MariadbDumpStream stream;
  for (size_t at = 0; at < dump.size(); at += piece) {
    if (const Status fed = stream.Feed(std::string_view(dump).substr(at, piece)); !fed.ok())
      return MessageOf(fed);
  }
  if (const Status whole = stream.Finish(); !whole.ok()) return MessageOf(whole);
  std::string text;
  for (const auto& [name, rows] : stream.Tables())
    text += fmt::format("{}.{} {};", name.first, name.second, rows.rows);
  return text;
}

struct Case {
  const char* name;
  std::string body;
  std::string found;
};

class DumpStream : public testing::TestWithParam<Case> {};

TEST_P(DumpStream, IsReadTheSameHoweverItIsCut) {
  const std::string dump = kBegin + GetParam().body + kEnd;
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{7}, size_t{64}, dump.size()})
    EXPECT_EQ(Read(dump, piece), GetParam().found) << "in pieces of " << piece;
}

INSTANTIATE_TEST_SUITE_P(
    Dumps, DumpStream,
    testing::Values(
        Case{"Nothing", "", ""}, Case{"Rows", "INSERT INTO `t` VALUES\n(1,'a'),\n(2,'b');\n", "shop.t 2;"},
        Case{"TwoInserts", "INSERT INTO `t` VALUES\n(1);\nINSERT INTO `t` VALUES\n(2),\n(3);\n", "shop.t 3;"},
        Case{"ColumnsAndTheFirstRowBeside",
             "INSERT INTO `h` (`a`, row_start, row_end) VALUES (2,'x','y'),\n(1,'x','z');\n", "shop.h 2;"},
        Case{
            "ValuesThatLookLikeSomethingElse",
            "INSERT INTO `t` VALUES\n(1,'),\\n(2);'),\n(2,'-- Dump completed'),\n(3,'INSERT INTO `u` VALUES');\n",
            "shop.t 3;"},
        Case{"OtherDatabases",
             "INSERT INTO `t` VALUES\n(1);\nUSE `other``s`;\nINSERT INTO `t` VALUES\n(1);\n",
             "other`s.t 1;shop.t 1;"},
        Case{"NamesThatAreHardToRead", "INSERT INTO `a`` VALUES\nb` VALUES\n(1);\n", "shop.a` VALUES\nb 1;"},
        Case{
            "BodiesOfRoutinesAreNoRows",
            "DELIMITER ;;\nCREATE PROCEDURE p()\nBEGIN\nINSERT INTO `t` VALUES\n(1,2);\n-- Dump completed\nEND\n;;\n"
            "DELIMITER ;\n",
            ""}),
    [](const auto& test) { return test.param.name; });

TEST(DumpStream, IsOrderFreeAndTellsEveryOtherRow) {
  const auto hash = [](const std::string& rows) {
    MariadbDumpStream stream;
    EXPECT_TRUE(stream.Feed("USE `s`;\nINSERT INTO `t` VALUES\n" + rows).ok());
    return stream.Tables()[{"s", "t"}].content_hash;
  };
  EXPECT_EQ(hash("(1,'a'),\n(2,'b');\n"), hash("(2,'b'),\n(1,'a');\n"));
  EXPECT_NE(hash("(1,'a'),\n(2,'b');\n"), hash("(1,'a'),\n(2,'c');\n"));
  EXPECT_NE(hash("(1,'a'),\n(1,'a');\n"), hash("(1,'b'),\n(1,'b');\n")) << "duplicates must not cancel out";
  EXPECT_EQ(hash("(1),\n(2);\n"), hash("(1);\nINSERT INTO `t` VALUES\n(2);\n"))
      << "where an INSERT ends says nothing";
  EXPECT_NE(hash("(1,'a');\n"), HashOfNoRows());
}

TEST(DumpStream, IsWholeOnlyWithItsLastLine) {
  const std::string dump = std::string(kBegin) + "INSERT INTO `t` VALUES\n(1),\n(2);\n" + kEnd;
  for (size_t size = 0; size + 10 < dump.size(); ++size) {
    if (size >= dump.find("-- Dump completed") + 17) break;
    EXPECT_THAT(Read(dump.substr(0, size), 64), testing::HasSubstr("ends in the middle")) << size;
  }
  EXPECT_THAT(Read(dump + "INSERT INTO `t` VALUES\n(3);\n", 64), testing::HasSubstr("ends in the middle"))
      << "something follows the last line";
}

TEST(DumpStream, SaysWhatItCannotRead) {
  EXPECT_THAT(Read(std::string(kBegin) + "INSERT INTO `t` VALUES\n1;\n" + kEnd, 64),
              testing::HasSubstr("parenthesis"));
  EXPECT_THAT(Read(std::string(kBegin) + "INSERT INTO `t` VALUES\n(1)\n" + kEnd, 64),
              testing::HasSubstr("comma nor"));
}

TEST(DumpStream, ReadsThePositionOfTheBinaryLog) {
  MariadbDumpStream stream;
  ASSERT_TRUE(
      stream.Feed("-- CHANGE MASTER TO MASTER_LOG_FILE='bin.000012', MASTER_LOG_POS=8642018;\n").ok());
  EXPECT_EQ(stream.BinlogFile(), "bin.000012");
  EXPECT_EQ(stream.BinlogPosition(), 8642018);
}

}  // namespace
}  // namespace salvor::agent
