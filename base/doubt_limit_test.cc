#include "base/doubt_limit.h"

#include <gtest/gtest.h>

namespace salvor {
namespace {

TEST(DoubtLimit, IsAShareOrNever) {
  EXPECT_EQ(ParseDoubtLimit(""), 50);
  EXPECT_EQ(ParseDoubtLimit("50%"), 50);
  EXPECT_EQ(ParseDoubtLimit("1%"), 1);
  EXPECT_EQ(ParseDoubtLimit("100%"), 100);
  for (const char* never : {"never", "0", "0%"}) EXPECT_EQ(ParseDoubtLimit(never), 0) << never;
  for (const char* other : {"50", "0.5", "101%", "-1%", "+5%", "%", "5 %", " 5%", "5%%", "Never", "half",
                            "1e1%", "99999999999%"}) {
    EXPECT_FALSE(ParseDoubtLimit(other).has_value()) << other;
  }
}

}  // namespace
}  // namespace salvor
