#include "base/io/sha256.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/text.h"

namespace salvor {
namespace {

class Sha256OfFileTest : public testing::Test {
 protected:
  void SetUp() override {
    file_ = ::open(testing::TempDir().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(file_, 0);
    ASSERT_EQ(::write(file_, content_.data(), content_.size()), static_cast<ssize_t>(content_.size()));
  }
  void TearDown() override { ::close(file_); }

  const std::string content_ = std::string(700'000, 'a') + std::string(300'000, 'b');
  int file_ = -1;
};

TEST_F(Sha256OfFileTest, IsThatOfTheBytesBetween) {
  const auto digest = Sha256OfFile(file_, 699'999, 1'000'000);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_EQ(ToHex(*digest), ToHex(Sha256::Of(content_.substr(699'999))));
  EXPECT_EQ(*Sha256OfFile(file_, 0, 1'000'000), Sha256::Of(content_));
  EXPECT_EQ(*Sha256OfFile(file_, 5, 5), Sha256::Of(""));
}

TEST_F(Sha256OfFileTest, LeavesTheFilesPositionWhereItIs) {
  ASSERT_EQ(::lseek(file_, 17, SEEK_SET), 17);
  ASSERT_TRUE(Sha256OfFile(file_, 0, 1'000'000).ok());
  EXPECT_EQ(::lseek(file_, 0, SEEK_CUR), 17);
}

TEST_F(Sha256OfFileTest, AFileThatEndsEarlierIsNoDigest) {
  const auto digest = Sha256OfFile(file_, 0, 1'000'007);
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(MessageOf(digest.status()), "it ends 7 bytes too early");
}

TEST(Sha256OfFile, WhatCannotBeReadIsAnError) {
  const int file = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  EXPECT_FALSE(Sha256OfFile(file, 0, 10).ok());
  ::close(file);
}

}  // namespace
}  // namespace salvor
