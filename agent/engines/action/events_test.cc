#include "agent/engines/action/events.h"

#include <gmock/gmock.h>

#include "agent/engines/action/json_gate.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using testing::HasSubstr;

constexpr char kDone[] = "{\"event\":\"done\"}\n";

ActionEvents Events(ActionVerb verb) {
  return ActionEvents(verb, [](std::string_view text) { return CleanText(text); });
}

// What is wrong with these bytes; "" for nothing.
std::string ProblemOf(const std::string& text, ActionVerb verb = ActionVerb::kBackup) {
  ActionEvents events = Events(verb);
  const Status added = events.Add(text);
  return MessageOf(added.ok() ? events.Finish() : added);
}

std::string Line(const std::string& fields, ActionVerb verb = ActionVerb::kBackup) {
  return ProblemOf("{" + fields + "}\n" + kDone, verb);
}

TEST(ActionEvents, AreReadHoweverTheyAreCut) {
  const std::string text =
      "{\"event\":\"artifact\",\"name\":\"dump\",\"kind\":\"stream\",\"bytes\":5}\n"
      "{\"event\":\"expect\",\"name\":\"keys\",\"value\":\"12\"}\n"
      "{\"event\":\"progress\",\"bytes_done\":3}\n"
      "{\"event\":\"warning\",\"message\":\"old\"}\n" +
      std::string(kDone);
  for (const size_t piece : {size_t{1}, size_t{7}, text.size()}) {
    ActionEvents events = Events(ActionVerb::kBackup);
    for (size_t at = 0; at < text.size(); at += piece)
      ASSERT_TRUE(events.Add(std::string_view(text).substr(at, piece)).ok());
    EXPECT_TRUE(events.Finish().ok()) << events.Finish();
    ASSERT_NE(events.FindArtifact("dump"), nullptr);
    EXPECT_EQ(events.FindArtifact("dump")->bytes, 5);
    EXPECT_EQ(events.expectations().at("keys"), "12");
    EXPECT_EQ(events.TakeProgress()->bytes_done, 3);
    EXPECT_FALSE(events.TakeProgress().has_value());
    EXPECT_THAT(events.warnings(), testing::ElementsAre("old"));
  }
}

TEST(ActionEvents, AreNotWholeUntilTheLastOneSaysSo) {
  EXPECT_EQ(ProblemOf(""), "its last event is not 'done', so it did not tell all");
  EXPECT_EQ(ProblemOf("{\"event\":\"warning\",\"message\":\"a\"}\n"),
            "its last event is not 'done', so it did not tell all");
  EXPECT_EQ(ProblemOf("{\"event\":\"done\"}"), "event 1: it is cut short");
  EXPECT_EQ(ProblemOf("{\"event\":\"artifact\",\"na"), "event 1: it is cut short");
  EXPECT_EQ(ProblemOf(std::string(kDone) + kDone), "event 2: it comes after 'done'");
}

TEST(ActionEvents, WhatIsNoEventIsNamed) {
  EXPECT_EQ(ProblemOf("hello\n"), "event 1: it is no JSON in UTF-8");
  EXPECT_EQ(ProblemOf("[1]\n"), "event 1: it is no JSON object");
  EXPECT_EQ(ProblemOf("\n"), "event 1: it is no JSON in UTF-8");
  EXPECT_EQ(Line("\"event\":\"warning\",\"message\":\"\xff\""), "event 1: it is no JSON in UTF-8");
  EXPECT_EQ(Line("\"event\":\"warning\",\"message\":\"a\",\"message\":\"b\""),
            "event 1: a key stands in it twice");
  EXPECT_EQ(Line("\"event\":\"done\",\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}"),
            "event 1: it is nested too deeply");
  EXPECT_EQ(Line("\"event\":\"done\",\"a\":[[[[[[]]]]]]"), "event 1: it is nested too deeply");
  EXPECT_EQ(Line("\"name\":\"a\""), "event 1: it does not say which it is");
  EXPECT_EQ(Line("\"event\":\"wrong\""), "event 1: 'wrong' is no event");
  EXPECT_EQ(Line("\"event\":\"observe\",\"name\":\"a\",\"value\":\"1\""),
            "event 1: 'observe' is no event of backup");
  EXPECT_EQ(Line("\"event\":\"expect\",\"name\":\"a\""), "event 1: expect: it has no value");
  EXPECT_EQ(Line("\"event\":\"expect\",\"name\":\"a\",\"value\":1"), "event 1: expect: its value is no text");
  EXPECT_EQ(Line("\"event\":\"done\",\"more\":1"), "event 1: done: an event 'done' has no 'more'");
}

TEST(ActionEvents, ArtifactsAreHeldToTheirRules) {
  const auto artifact = [](const std::string& fields) { return Line("\"event\":\"artifact\"," + fields); };
  EXPECT_EQ(artifact("\"name\":\"a\",\"kind\":\"stream\",\"bytes\":0"), "");
  EXPECT_THAT(artifact("\"name\":\"../a\",\"kind\":\"stream\",\"bytes\":0"),
              HasSubstr("is no name of an artifact"));
  EXPECT_THAT(artifact("\"name\":\"record\",\"kind\":\"stream\",\"bytes\":0"), HasSubstr("Salvor's own"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"tree\",\"bytes\":0"),
              HasSubstr("its kind is none of stream, file"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"stream\""), HasSubstr("it has no bytes"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"stream\",\"bytes\":-1"), HasSubstr("no whole number"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"stream\",\"bytes\":1.5"), HasSubstr("no whole number"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"stream\",\"bytes\":18446744073709551615"),
              HasSubstr("no whole number"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"stream\",\"bytes\":1e400"), HasSubstr("it is no JSON"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"file\",\"bytes\":1"),
              HasSubstr("is no path below the work folder"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"file\",\"bytes\":1,\"path\":\"/etc/shadow\""),
              HasSubstr("is no path below the work folder"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"file\",\"bytes\":1,\"path\":\"a/../../b\""),
              HasSubstr("is no path below the work folder"));
  EXPECT_THAT(artifact("\"name\":\"a\",\"kind\":\"stream\",\"bytes\":1,\"sha256\":\"abc\""),
              HasSubstr("its sha256"));
  const std::string one = "{\"event\":\"artifact\",\"name\":\"a\",\"kind\":\"stream\",\"bytes\":1}\n";
  EXPECT_THAT(ProblemOf(one + one + kDone), HasSubstr("event 2: artifact: artifact a was told of before"));
  std::string streams;
  for (int i = 0; i < 9; ++i)
    streams +=
        fmt::format("{{\"event\":\"artifact\",\"name\":\"a{}\",\"kind\":\"stream\",\"bytes\":1}}\n", i);
  EXPECT_THAT(ProblemOf(streams + kDone), HasSubstr("event 9: artifact: there are more than 8 streams"));
}

TEST(ActionEvents, AFloodIsStoppedAtItsCaps) {
  EXPECT_THAT(ProblemOf("{\"event\":\"" + std::string(kLongestEventBytes, 'x')),
              HasSubstr("is longer than 65536 bytes"));
  std::string many;
  for (size_t i = 0; i <= kMostEvents; ++i) many += "{\"event\":\"progress\"}\n";
  EXPECT_THAT(ProblemOf(many), HasSubstr("more than 20000 events"));
  std::string values;
  for (size_t i = 0; i <= kMostExpectations; ++i)
    values += fmt::format("{{\"event\":\"expect\",\"name\":\"{}\",\"value\":\"\"}}\n", i);
  EXPECT_THAT(ProblemOf(values), HasSubstr("event 1001: expect: there are more than 1000 of its kind"));
  EXPECT_THAT(ProblemOf(std::string(kMostEventBytes + 1, '\n')), HasSubstr("longer than 4194304 bytes"));
}

TEST(ActionEvents, SentencesAreCleanedAndNothingIsReadAfterAnError) {
  ActionEvents events(ActionVerb::kPlan, [](std::string_view) { return std::string("cleaned"); });
  ASSERT_TRUE(events.Add("{\"event\":\"conflict\",\"message\":\"hunter2\"}\n").ok());
  ASSERT_TRUE(events.Add("{\"event\":\"error\",\"message\":\"hunter2\",\"hint\":\"hunter2\"}\n").ok());
  EXPECT_THAT(events.conflicts(), testing::ElementsAre("cleaned"));
  EXPECT_EQ(events.error()->message, "cleaned");
  EXPECT_EQ(events.error()->hint, "cleaned");
  const Status broken = events.Add("nonsense\n");
  EXPECT_FALSE(broken.ok());
  EXPECT_EQ(events.Add(kDone), broken);
  EXPECT_EQ(events.Finish(), broken);
}

}  // namespace
}  // namespace salvor::agent
