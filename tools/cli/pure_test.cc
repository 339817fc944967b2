// The small pure parts: text in columns, colour, times, rates, exit codes, addresses.
#include <gmock/gmock.h>

#include <regex>

#include "base/io/files.h"
#include "base/text.h"
#include "tools/cli/commands/follow_logs.h"
#include "tools/cli/render/progress.h"
#include "tools/cli/terminal/exit_codes.h"
#include "tools/cli/terminal/live_region.h"
#include "tools/cli/terminal/style.h"
#include "tools/cli/terminal/table.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/testing/samples.h"

namespace salvor::cli {
namespace {

using ::testing::ElementsAre;

TEST(CleanText, MakesVisibleWhateverCouldSteerATerminal) {
  EXPECT_EQ(CleanText("plain – ünïcödé 数据"), "plain – ünïcödé 数据");
  EXPECT_EQ(CleanText("a\nb\tc\r\n"), "a b c");
  EXPECT_EQ(CleanText("\x1b[31mred"), "\\x1b[31mred");
  EXPECT_EQ(CleanText("\xc2\x9b"
                      "2J"),
            "\\xc2\\x9b2J");  // C1 control sequence introducer
  EXPECT_EQ(CleanText("a\xe2\x80\xae"
                      "b"),
            "a\\xe2\\x80\\xaeb");                           // right-to-left override
  EXPECT_EQ(CleanText("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");  // not UTF-8, overlong
  EXPECT_EQ(CleanText("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(CleanText("cut \xe2\x82"), "cut \\xe2\\x82");
  EXPECT_EQ(CleanText(std::string("a\0b", 3)), "a\\x00b");
}

TEST(TextColumns, CountWideAndCombiningCharactersAndCutBetweenThem) {
  EXPECT_EQ(DisplayWidth("数据"), 4);
  EXPECT_EQ(DisplayWidth("e\xcc\x81"), 1);
  EXPECT_EQ(ElideMiddle("backup-shop-20261121", 11), "backu…61121");
  EXPECT_EQ(ElideMiddle("数据数据数据", 7), "数…据");  // half a wide character is none
  EXPECT_LE(DisplayWidth(ElideMiddle("数据数据数据", 6)), 6);
  EXPECT_EQ(ElideEnd("abcdef", 4), "abc…");
  EXPECT_EQ(ElideEnd("abcd", 4), "abcd");
  EXPECT_EQ(ElideMiddle("abc", 0), "");
  EXPECT_EQ(PadRight("数", 4), "数  ");
  EXPECT_EQ(Grouped(-1234567), "-1,234,567");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Count(1, "step"), "1 step");
  EXPECT_EQ(Count(1200, "step"), "1,200 steps");
}

TEST(Wrap, BreaksAtSpacesAndKeepsLongWordsWhole) {
  EXPECT_THAT(Wrap("one two three", 8), ElementsAre("one two", "three"));
  EXPECT_THAT(Wrap("averyverylongword x", 8), ElementsAre("averyverylongword", "x"));
  EXPECT_THAT(Wrap("one two three", 0), ElementsAre("one two three"));
}

TEST(Color, IsDecidedByFlagThenVariablesThenTerminal) {
  struct Row {
    std::string flag;
    std::map<std::string, std::string> variables;
    bool tty, color;
  };
  const std::vector<Row> rows = {
      {"auto", {}, true, true},
      {"auto", {}, false, false},
      {"always", {{"NO_COLOR", "1"}, {"TERM", "dumb"}}, false, true},
      {"never", {{"CLICOLOR_FORCE", "1"}}, true, false},
      {"auto", {{"NO_COLOR", "1"}}, true, false},
      {"auto", {{"NO_COLOR", ""}}, true, true},  // no-color.org: only when not empty
      {"auto", {{"NO_COLOR", "1"}, {"CLICOLOR_FORCE", "1"}}, true, false},
      {"auto", {{"CLICOLOR_FORCE", "1"}}, false, true},
      {"auto", {{"CLICOLOR_FORCE", "0"}}, false, false},
      {"auto", {{"CLICOLOR", "0"}}, true, false},
      {"auto", {{"CLICOLOR", "1"}}, true, true},
      {"auto", {{"TERM", "dumb"}}, true, false},
      {"auto", {{"TERM", "dumb"}, {"CLICOLOR_FORCE", "1"}}, true, true},
      {"auto", {{"TERM", "xterm-256color"}}, true, true},
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(WantsColor(rows[i].flag, rows[i].variables, rows[i].tty), rows[i].color) << "row " << i;
  }
}

TEST(Times, AreRelativeForPeopleAndIsoWhenWide) {
  Style style = StyleOf(80);
  const auto at = [&](absl::Duration ago) { return ToProto(style.now - ago); };
  EXPECT_EQ(Ago(style, false, at(absl::ZeroDuration())), "-");
  EXPECT_EQ(Ago(style, true, at(absl::Milliseconds(300))), "just now");
  EXPECT_EQ(Ago(style, true, at(absl::Seconds(119))), "119s ago");
  EXPECT_EQ(Ago(style, true, at(absl::Seconds(120))), "2m ago");
  EXPECT_EQ(Ago(style, true, at(absl::Minutes(119))), "119m ago");
  EXPECT_EQ(Ago(style, true, at(absl::Hours(47))), "47h ago");
  EXPECT_EQ(Ago(style, true, at(absl::Hours(48))), "2d ago");
  EXPECT_EQ(Ago(style, true, at(-absl::Minutes(3))), "in 3m");
  style.wide = true;
  EXPECT_EQ(When(style, true, at(absl::Seconds(40))), "2026-11-21T10:15:00+00:00");
  EXPECT_EQ(Exact(style, true, at(absl::Seconds(40))), "2026-11-21T10:15:00+00:00, 40s ago");
  EXPECT_EQ(Exact(style, false, at(absl::Seconds(40))), "-");
  style.zone = absl::FixedTimeZone(2 * 3600 + 1800);
  EXPECT_EQ(Iso(style, true, at(absl::Seconds(40))), "2026-11-21T12:45:00+02:30");
}

TEST(Rate, IsWhatRecentSamplesSay) {
  const absl::Time start = absl::FromUnixSeconds(1000);
  RateEstimator rate;
  EXPECT_EQ(rate.BytesPerSecond(), std::nullopt);
  rate.Add(start, 0);
  EXPECT_EQ(rate.BytesPerSecond(), std::nullopt);
  rate.Add(start, 500);  // no time has passed: says nothing
  EXPECT_EQ(rate.BytesPerSecond(), std::nullopt);
  rate.Add(start + absl::Seconds(1), 1000);
  EXPECT_DOUBLE_EQ(rate.BytesPerSecond().value(), 1000);
  for (int i = 2; i < 200; ++i) rate.Add(start + absl::Seconds(i), 1000 + (i - 1) * 3000);
  EXPECT_NEAR(rate.BytesPerSecond().value(), 3000, 1);  // the past is forgotten
  rate.Add(start + absl::Seconds(201), 10);             // a new attempt
  EXPECT_EQ(rate.BytesPerSecond(), std::nullopt);
}

TEST(TimeLeft, IsKnownOnlyWithATotalAndARate) {
  EXPECT_EQ(TimeLeft(100, 1000, 100), absl::Seconds(9));
  EXPECT_EQ(TimeLeft(0, 1001, 100), absl::Seconds(11));  // rounded up
  EXPECT_EQ(TimeLeft(1000, 1000, 100), absl::ZeroDuration());
  EXPECT_EQ(TimeLeft(2000, 1000, 100), absl::ZeroDuration());
  EXPECT_EQ(TimeLeft(100, 0, 100), std::nullopt);
  EXPECT_EQ(TimeLeft(100, 1000, 0), std::nullopt);
  EXPECT_EQ(TimeLeft(100, 1000, -5), std::nullopt);
  EXPECT_EQ(TimeLeft(1, int64_t{1} << 60, 1), std::nullopt);  // in millennia
  EXPECT_EQ(Percent(999, 1000), 99);
  EXPECT_EQ(Percent(99999, 100000), 99);  // 100 only when done
  EXPECT_EQ(Percent(1000, 1000), 100);
  EXPECT_EQ(Percent(5, 0), std::nullopt);
}

TEST(ProgressText, SaysWhatIsKnown) {
  const auto text = [](const char* progress, std::optional<double> rate = std::nullopt) {
    return RenderProgress(FromText<v1::Progress>(progress), rate);
  };
  EXPECT_EQ(text(""), "");
  EXPECT_EQ(text("bytes_done: 1024"), "1.00 KiB");
  EXPECT_EQ(text("bytes_done: 1024 bytes_total: 4096 bytes_per_second: 1024"),
            "1.00 KiB of 4.00 KiB, 25%, 1.00 KiB/s, ETA 3s");
  EXPECT_EQ(text("bytes_done: 1024 bytes_total: 4096", 512.0), "1.00 KiB of 4.00 KiB, 25%, 512 B/s, ETA 6s");
  EXPECT_EQ(text("message: '12 of 40 tables compared'"), "12 of 40 tables compared");
}

TEST(ExitCodes, FollowTheStatusOfACall) {
  EXPECT_EQ(ExitCodeOf(OkStatus()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(InvalidArgument("x")), ExitCode::kInvalid);
  EXPECT_EQ(ExitCodeOf(Unauthenticated("x")), ExitCode::kNotAuthenticated);
  EXPECT_EQ(ExitCodeOf(PermissionDenied("x")), ExitCode::kForbidden);
  EXPECT_EQ(ExitCodeOf(NotFound("x")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeOf(AlreadyExists("x")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeOf(FailedPrecondition("x")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeOf(Aborted("x")), ExitCode::kConflict);
  EXPECT_EQ(ExitCodeOf(Unavailable("x")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(DeadlineExceeded("x")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(Cancelled("x")), ExitCode::kCancelled);
  EXPECT_EQ(ExitCodeOf(Internal("x")), ExitCode::kFailed);
}

// The numbers that begin the rows of a text's table.
std::vector<std::string> CodesIn(const std::string& text, const std::string& before,
                                 const std::string& after) {
  std::vector<std::string> codes;
  for (const std::string& line : Split(text, '\n')) {
    std::smatch found;
    if (std::regex_search(line, found, std::regex("^" + before + "([0-9]+)" + after)))
      codes.push_back(found[1]);
  }
  return codes;
}

TEST(ExitCodes, AreTheOnesThatTheReadmePromises) {
  const StatusOr<std::string> readme = ReadFile("../../README.md");
  ASSERT_TRUE(readme.ok());
  const std::vector<std::string> codes = CodesIn(RenderExitCodes(), " +", "  ");
  EXPECT_EQ(codes.size(), 13U);
  EXPECT_EQ(CodesIn(*readme, "\\| ", " \\|"), codes);
}

TEST(ExitCodes, AreExplained) {
  ExpectGolden("exit_codes.txt", RenderExitCodes());
  ExpectFits(RenderExitCodes(), 80);
}

TEST(LiveRegion, GoesBackOverTheRowsThatItsLinesTakeNow) {
  std::ostringstream out;
  LiveRegion region(out);
  region.Draw({"one", std::string(60, 'x')}, 80);
  EXPECT_EQ(out.str(), "one\n" + std::string(60, 'x') + "\n");
  out.str("");
  region.Draw({"two"}, 30);  // the terminal became narrower: the long line takes two rows
  EXPECT_EQ(out.str(), "\x1b[3A\r\x1b[Jtwo\n");
  out.str("");
  region.Clear(30);
  EXPECT_EQ(out.str(), "\x1b[1A\r\x1b[J");
  EXPECT_EQ(VisibleWidth("\x1b[31mred\x1b[0m!"), 4);
}

TEST(Table, CutsProseAtItsEndAndNamesNever) {
  Table table(
      {{.title = "NAME"}, {.title = "SIZE", .align = Align::kRight}, {.title = "WHY", .shrinks = true}});
  table.Add({"a-rather-long-name", "1.00 GiB", "the disk of the other host is full"});
  table.Add({"", "12 B", ""});
  EXPECT_EQ(table.Render(StyleOf(42)),
            "NAME                    SIZE  WHY\n"
            "a-rather-long-name  1.00 GiB  the disk of…\n"
            "-                       12 B  -\n");
  EXPECT_EQ(table.Render(StyleOf(20)),
            "NAME                    SIZE  WHY\n"
            "a-rather-long-name  1.00 GiB  the dis…\n"
            "-                       12 B  -\n")
      << "a name that is wider than the terminal is whole, too";
  EXPECT_EQ(table.Render(StyleOf(0)),
            "NAME                    SIZE  WHY\n"
            "a-rather-long-name  1.00 GiB  the disk of the other host is full\n"
            "-                       12 B  -\n");
}

TEST(SeenLines, LeavesOutWhatAnEarlierStreamShowedAndKeepsTrueRepetitions) {
  v1::LogLines lines;
  lines.set_step("db.dump");
  v1::LogLine line;
  line.set_text("same");
  SeenLines seen;
  EXPECT_TRUE(seen.Take(lines, line));
  EXPECT_TRUE(seen.Take(lines, line));
  seen.StartOver();
  EXPECT_FALSE(seen.Take(lines, line));
  EXPECT_FALSE(seen.Take(lines, line));
  EXPECT_TRUE(seen.Take(lines, line));
  line.set_text("other");
  EXPECT_TRUE(seen.Take(lines, line));
}

}  // namespace
}  // namespace salvor::cli
