// Lines, watches and pauses: what a stream is made of.
#include <gtest/gtest.h>

#include "agent/kubernetes/client/backoff.h"
#include "agent/kubernetes/client/lines.h"
#include "agent/kubernetes/client/watch_stream.h"

namespace salvor::kubernetes {
namespace {

const ApiRequest kRequest{"watch", "pods", "shop", ""};

std::vector<std::string> Cut(const std::vector<std::string>& pieces, size_t at_most, Lines::Longer longer,
                             Status* ended) {
  std::vector<std::string> got;
  Lines lines(at_most, longer, [&got](std::string_view line) {
    got.emplace_back(line);
    return OkStatus();
  });
  for (const std::string& piece : pieces) {
    *ended = lines.Add(piece);
    if (!ended->ok()) return got;
  }
  *ended = lines.Finish();
  return got;
}

using Texts = std::vector<std::string>;

TEST(Lines, EndWhereverThePiecesDo) {
  Status ended;
  EXPECT_EQ(Cut({"a\nb", "c\r", "\n\nd"}, 100, Lines::Longer::kInPieces, &ended),
            (Texts{"a", "bc", "", "d"}));
  EXPECT_EQ(Cut({}, 100, Lines::Longer::kInPieces, &ended), Texts{});
  EXPECT_EQ(Cut({"a\n"}, 100, Lines::Longer::kInPieces, &ended), Texts{"a"});
}

TEST(Lines, LongOnesComeInPiecesOrAreRefused) {
  Status ended;
  EXPECT_EQ(Cut({"abcdefg\nh"}, 3, Lines::Longer::kInPieces, &ended), (Texts{"abc", "def", "g", "h"}));
  EXPECT_TRUE(ended.ok());
  EXPECT_EQ(Cut({"abc\nab", "cd\n"}, 3, Lines::Longer::kRefused, &ended), Texts{"abc"});
  EXPECT_EQ(ended.code(), absl::StatusCode::kResourceExhausted);
}

TEST(Lines, AnErrorOfTheCallbackEndsThem) {
  int calls = 0;
  Lines lines(10, Lines::Longer::kInPieces, [&calls](std::string_view) {
    ++calls;
    return Aborted("enough");
  });
  EXPECT_EQ(lines.Add("a\nb\nc\n").code(), absl::StatusCode::kAborted);
  EXPECT_EQ(calls, 1);
}

std::string Line(const std::string& type, const std::string& version) {
  return Json{{"type", type}, {"object", {{"kind", "Pod"}, {"metadata", {{"resourceVersion", version}}}}}}
      .dump();
}

// "ADDED 5" for an event, "-" for none, else the error's message.
std::string Read(WatchProgress& progress, const std::string& line) {
  const auto event = progress.Read(line, kRequest);
  if (!event.ok()) return MessageOf(event.status());
  if (!*event) return "-";
  const char* const names[] = {"ADDED", "MODIFIED", "DELETED"};
  return std::string(names[static_cast<int>((*event)->type)]) + " " +
         TextAt((*event)->object, {"metadata", "resourceVersion"});
}

TEST(WatchProgress, FollowsEventsAndBookmarks) {
  WatchProgress progress("9");
  EXPECT_EQ(Read(progress, Line("ADDED", "10")), "ADDED 10");
  EXPECT_EQ(Read(progress, Line("MODIFIED", "100")), "MODIFIED 100");
  EXPECT_EQ(Read(progress, Line("DELETED", "101")), "DELETED 101");
  EXPECT_EQ(Read(progress, Line("BOOKMARK", "200")), "-");
  EXPECT_EQ(progress.ResourceVersion(), "200");
}

TEST(WatchProgress, DropsWhatIsNotNewer) {
  WatchProgress progress("9");
  EXPECT_EQ(Read(progress, Line("MODIFIED", "12")), "MODIFIED 12");
  EXPECT_EQ(Read(progress, Line("MODIFIED", "12")), "-");
  EXPECT_EQ(Read(progress, Line("MODIFIED", "11")), "-");
  EXPECT_EQ(Read(progress, Line("BOOKMARK", "5")), "-");
  EXPECT_EQ(Read(progress, Line("ADDED", "9")), "-");
  EXPECT_EQ(progress.ResourceVersion(), "12");
}

TEST(WatchProgress, AnUnknownTypeIsPassedOverButCounted) {
  WatchProgress progress("9");
  EXPECT_EQ(Read(progress, Line("SOMETHING_NEW", "20")), "-");
  EXPECT_EQ(progress.ResourceVersion(), "20");
}

TEST(WatchProgress, ErrorsOfTheServerAreItsOwn) {
  WatchProgress progress("9");
  const auto gone = progress.Read(
      R"({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}})",
      kRequest);
  EXPECT_TRUE(IsGone(gone.status())) << gone.status();
  const auto ill =
      progress.Read(R"({"type": "ERROR", "object": {"kind": "Status", "message": "ill"}})", kRequest);
  EXPECT_EQ(ill.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(progress.ResourceVersion(), "9");
}

TEST(WatchProgress, WhatIsNoEventIsAnError) {
  WatchProgress progress("9");
  for (const char* line :
       {"", "<html>", "{\"type\": \"ADDED\"", "[]", "{}", R"({"type": "ADDED", "object": 5})"}) {
    EXPECT_EQ(progress.Read(line, kRequest).status().code(), absl::StatusCode::kInternal) << line;
  }
  EXPECT_EQ(Read(progress, R"({"type": 5, "object": {}})"), "-");
}

TEST(IsNewer, ComparesNumbersAsNumbers) {
  EXPECT_TRUE(IsNewer("10", "9"));
  EXPECT_FALSE(IsNewer("9", "10"));
  EXPECT_FALSE(IsNewer("10", "10"));
  EXPECT_FALSE(IsNewer("0010", "10"));
  EXPECT_TRUE(IsNewer("18446744073709551617", "18446744073709551616"));
  EXPECT_TRUE(IsNewer("b", "c"));
  EXPECT_FALSE(IsNewer("b", "b"));
}

TEST(PauseAfter, DoublesToItsLimit) {
  const Backoff backoff{absl::Milliseconds(100), absl::Seconds(1)};
  const auto ms = [&](int failures, double jitter) {
    return absl::ToInt64Milliseconds(PauseAfter(backoff, failures, jitter, {}));
  };
  EXPECT_EQ(ms(1, 1), 100);
  EXPECT_EQ(ms(2, 1), 200);
  EXPECT_EQ(ms(4, 1), 800);
  EXPECT_EQ(ms(5, 1), 1000);
  EXPECT_EQ(ms(1'000'000, 1), 1000);
  EXPECT_EQ(ms(1, 0), 50);
  EXPECT_EQ(ms(5, 0.5), 750);
  EXPECT_EQ(ms(5, 7), 1000);
  EXPECT_EQ(ms(5, -7), 500);
}

TEST(PauseAfter, HonoursTheServerForAMinute) {
  const Backoff backoff{absl::Milliseconds(100), absl::Seconds(1)};
  EXPECT_EQ(PauseAfter(backoff, 1, 0, absl::Seconds(5)), absl::Seconds(5));
  EXPECT_EQ(PauseAfter(backoff, 1, 1, absl::ZeroDuration()), absl::Milliseconds(100));
  EXPECT_EQ(PauseAfter(backoff, 1, 1, absl::Hours(1)), absl::Minutes(1));
}

}  // namespace
}  // namespace salvor::kubernetes
