#include "base/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace salvor {
namespace {

Status DumpFails() { return WithHint(NotFound("database {} does not exist", "shop"), "Create it."); }
Status Middle() {
  RETURN_IF_ERROR_IN(DumpFails(), "dump");
  return OkStatus();
}
StatusOr<int> Doubled(StatusOr<int> in) {
  ASSIGN_OR_RETURN_IN(int value, in, "doubling");
  return value * 2;
}

TEST(Status, GrowsAPathOnTheWayUpAndKeepsTheHint) {
  Status status = WithContext(Middle(), "backup shop");
  EXPECT_EQ(MessageOf(status), "backup shop: dump: database shop does not exist");
  EXPECT_EQ(HintOf(status), "Create it.");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
}

TEST(Status, TheInnermostHintWins) { EXPECT_EQ(HintOf(WithHint(DumpFails(), "Ask someone.")), "Create it."); }

TEST(Status, OkStaysOkThroughContextAndHint) {
  EXPECT_TRUE(WithHint(WithContext(OkStatus(), "x"), "y").ok());
  EXPECT_EQ(*Doubled(21), 42);
}

TEST(Status, AssignOrReturnAddsContext) {
  EXPECT_EQ(MessageOf(Doubled(Internal("no number")).status()), "doubling: no number");
}

TEST(Status, ErrnoBecomesACodeThatCallersDecideBy) {
  EXPECT_EQ(ErrnoStatus(ENOSPC, "write /x").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(MessageOf(ErrnoStatus(ENOENT, "open /x")), "open /x: No such file or directory");
}

}  // namespace
}  // namespace salvor
