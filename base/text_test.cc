#include "base/text.h"

#include <gtest/gtest.h>

namespace salvor {
namespace {

TEST(Text, BytesForPeople) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1 << 20), "1.00 MiB");
  EXPECT_EQ(HumanBytes((1LL << 30) * 12 + (1LL << 29)), "12.5 GiB");
  EXPECT_EQ(HumanBytes((1LL << 20) - 1), "1.00 MiB");
}

TEST(Text, DurationsForPeople) {
  EXPECT_EQ(HumanDuration(absl::Milliseconds(430)), "430ms");
  EXPECT_EQ(HumanDuration(absl::Seconds(12.34)), "12.3s");
  EXPECT_EQ(HumanDuration(absl::Seconds(125)), "2m05s");
  EXPECT_EQ(HumanDuration(absl::Minutes(187)), "3h07m");
}

TEST(Text, DurationsFromPeople) {
  EXPECT_EQ(ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_FALSE(ParseDuration("ten minutes"));
  EXPECT_FALSE(ParseDuration("-1s"));
}

TEST(Text, OddNamesSurviveEncoding) {
  const std::string name = "a b\n\xff%\xc3\xa9";
  EXPECT_EQ(PercentEncode(name), "a%20b%0A%FF%25%C3%A9");
  EXPECT_EQ(PercentDecode(PercentEncode(name)), name);
  EXPECT_FALSE(PercentDecode("%G0"));
  EXPECT_FALSE(PercentDecode("%1"));
}

TEST(Text, WhatAPersonDeclaredIsShownAsItIsUnlessItCouldSteerATerminal) {
  EXPECT_EQ(CleanText("a b 100% größe 漢字 🐘"), "a b 100% größe 漢字 🐘");
  EXPECT_EQ(CleanText("a\nb\tc\r\n"), "a b c");
  EXPECT_EQ(CleanText("\x1b[31mred\x7f"), "\\x1b[31mred\\x7f");
  EXPECT_EQ(CleanText("\xc2\x9b"), "\\xc2\\x9b") << "a control character of two bytes";
  EXPECT_EQ(CleanText("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "right to left from here on";
  EXPECT_EQ(CleanText("\xff\xc0\xaf\xed\xa0\x80"), "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
  EXPECT_EQ(CleanText("cut \xe2\x82"), "cut \\xe2\\x82");
}

TEST(Text, HexRoundTrips) {
  EXPECT_EQ(FromHex(ToHex(std::string("\x00\xff", 2))), std::string("\x00\xff", 2));
  EXPECT_FALSE(FromHex("abc"));
}

TEST(Text, ArgvAsTyped) { EXPECT_EQ(QuoteArgv({"pg_dump", "a b", "it's"}), "pg_dump 'a b' 'it'\\''s'"); }

TEST(Text, ElidesInTheMiddleOfLongTextButNotOfACharacter) {
  EXPECT_EQ(Elide("short", 10), "short");
  const std::string cut = Elide("ééééééééééééééé", 16);
  EXPECT_LE(cut.size(), 16u);
  EXPECT_EQ(cut.substr(0, 4), "éé");
}

TEST(Text, SplitKeepsEmptyPieces) { EXPECT_EQ(Split("a,,b", ','), (std::vector<std::string>{"a", "", "b"})); }

// The cases are those of the table of RFC 3629 §4.
TEST(Text, WhatIsNoUtf8IsWrittenOut) {
  EXPECT_EQ(ValidUtf8("plain, größe, 漢字, 🐘"), "plain, größe, 漢字, 🐘");
  EXPECT_EQ(ValidUtf8("gr\xf6\xdf"
                      "e"),
            "gr\\xF6\\xDFe")
      << "Latin-1";
  EXPECT_EQ(ValidUtf8("\xc3"), "\\xC3") << "cut short at the end";
  EXPECT_EQ(ValidUtf8("\xb6tail"), "\\xB6tail") << "cut short at the beginning";
  EXPECT_EQ(ValidUtf8("\xc0\xaf"), "\\xC0\\xAF") << "overlong";
  EXPECT_EQ(ValidUtf8("\xed\xa0\x80"), "\\xED\\xA0\\x80") << "a surrogate";
  EXPECT_EQ(ValidUtf8("\xf4\x90\x80\x80"), "\\xF4\\x90\\x80\\x80") << "beyond Unicode";
  EXPECT_EQ(ValidUtf8(std::string("a\0b", 3)), std::string("a\0b", 3));
}

}  // namespace
}  // namespace salvor
