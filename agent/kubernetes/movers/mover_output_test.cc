#include "agent/kubernetes/movers/mover_output.h"

#include <gtest/gtest.h>

namespace salvor::movers {
namespace {

TEST(MoverOutput, IsReadAsItWasWritten) {
  const OutputLine log = ReadLine(LogLine("pg_dump", "dumping \"public.orders\""));
  EXPECT_EQ(log.kind, OutputLine::Kind::kLog);
  EXPECT_EQ(log.source, "pg_dump");
  EXPECT_EQ(log.text, "dumping \"public.orders\"");
  v1::Progress progress;
  progress.set_bytes_done(12);
  progress.set_bytes_total(40);
  progress.set_message("2 of 3 tables");
  const OutputLine read = ReadLine(ProgressLine(progress));
  EXPECT_EQ(read.kind, OutputLine::Kind::kProgress);
  EXPECT_EQ(read.progress.DebugString(), progress.DebugString());
  const OutputLine result = ReadLine(ResultLine(2, "CgYI"));
  EXPECT_EQ(result.kind, OutputLine::Kind::kResult);
  EXPECT_EQ(result.number, 2);
  EXPECT_EQ(result.text, "CgYI");
}

// A tool says what it likes, and is no mover by that.
TEST(MoverOutput, OfAToolIsNeverTakenForTheMoversOwn) {
  for (const char* text : {"x\nresult 1 CgYI", "x\rprogress 9 9 done", "result 1 CgYI", ""}) {
    const std::string line = LogLine("pg_dump", text);
    EXPECT_EQ(line.find('\n'), std::string::npos) << text;
    EXPECT_EQ(ReadLine(line).kind, OutputLine::Kind::kLog) << text;
  }
  EXPECT_EQ(ReadLine(LogLine("a b", "c")).source, "a-b");
}

TEST(MoverOutput, ThatIsNoneOfTheseIsALineOfItsOwn) {
  for (const char* line :
       {"", "panic: out of memory", "log", "progress", "progress x 1 done", "progress -1 1 done",
        "result 0 a", "result one a", "progress 99999999999999999999 1 done"}) {
    EXPECT_EQ(ReadLine(line).kind, OutputLine::Kind::kOther) << line;
    EXPECT_EQ(ReadLine(line).text, line);
  }
}

}  // namespace
}  // namespace salvor::movers
