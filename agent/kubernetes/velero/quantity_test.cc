#include "agent/kubernetes/velero/quantity.h"

#include <gtest/gtest.h>

namespace salvor::velero {
namespace {

TEST(Quantity, IsAsKubernetesWritesIt) {
  EXPECT_EQ(ParseQuantity("0"), 0);
  EXPECT_EQ(ParseQuantity("1073741824"), int64_t{1} << 30);
  EXPECT_EQ(ParseQuantity("1Gi"), int64_t{1} << 30);
  EXPECT_EQ(ParseQuantity("1.5Gi"), int64_t{3} << 29);
  EXPECT_EQ(ParseQuantity("2k"), 2000);
  EXPECT_EQ(ParseQuantity("10M"), 10'000'000);
  EXPECT_EQ(ParseQuantity("1Ti"), int64_t{1} << 40);
  EXPECT_EQ(ParseQuantity("1500m"), 2) << "rounded up";
  EXPECT_EQ(ParseQuantity("1e3"), 1000);
}

TEST(Quantity, AllElseIsNone) {
  for (const char* text :
       {"", "Gi", "-1", "+1", "1GiB", "1 Gi", "1g", "inf", "nan", "1e400", "9999Pi", "1..5", "0x10"})
    EXPECT_EQ(ParseQuantity(text), std::nullopt) << text;
}

}  // namespace
}  // namespace salvor::velero
