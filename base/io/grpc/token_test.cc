#include "base/io/grpc/token.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/io/files.h"

namespace salvor {
namespace {

TEST(Token, IsMadeOncePrivatelyAndRefusedWhenOthersMayReadIt) {
  std::string directory = testing::TempDir() + "tokenXXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/api.token";
  EXPECT_EQ(Token::Load(path, false).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Token::Load(path, true).ok());
  const std::string made = *ReadFile(path);
  EXPECT_EQ(made.size(), 65u);
  ASSERT_TRUE(Token::Load(path, true).ok());
  EXPECT_EQ(*ReadFile(path), made);
  for (const char* bad : {"gr\xf6\xdf"
                          "e\n",
                          "two words\n", "a\x01\n"}) {
    ASSERT_TRUE(WriteFileAtomically(path, bad, 0600).ok());
    EXPECT_EQ(Token::Load(path, true).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(Token::Load(path, true).status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_TRUE(RemoveTree(directory).ok());
}

}  // namespace
}  // namespace salvor
