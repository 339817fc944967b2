#include "agent/puller/message_part.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace salvor::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr size_t kMost = 10'000;

void AddReport(v1::AgentMessage& message, const std::string& step, size_t bytes) {
  v1::Report* report = message.add_reports();
  report->mutable_lease()->set_step(step);
  report->mutable_result()->set_note(std::string(bytes, 'x'));
}

std::vector<std::string> StepsOf(const v1::AgentMessage& message) {
  std::vector<std::string> steps;
  for (const v1::Report& report : message.reports()) steps.push_back(report.lease().step());
  return steps;
}

TEST(MessagePart, WhatFitsGoesAtOnce) {
  v1::AgentMessage waiting;
  waiting.set_credits(2);
  AddReport(waiting, "a", 4000);
  AddReport(waiting, "b", 4000);
  const v1::AgentMessage part = TakePart(waiting, kMost);
  EXPECT_THAT(StepsOf(part), ElementsAre("a", "b"));
  EXPECT_EQ(part.credits(), 2);
  EXPECT_EQ(waiting.ByteSizeLong(), 0u);
}

TEST(MessagePart, WhatDoesNotFitFollowsInItsOrder) {
  v1::AgentMessage waiting;
  for (const char* step : {"a", "b", "c"}) AddReport(waiting, step, 4000);
  AddReport(waiting, "small", 10);
  v1::AgentMessage part = TakePart(waiting, kMost);
  EXPECT_THAT(StepsOf(part), ElementsAre("a", "b"));
  EXPECT_LE(part.ByteSizeLong(), kMost);
  AddReport(waiting, "later", 10);
  part = TakePart(waiting, kMost);
  EXPECT_THAT(StepsOf(part), ElementsAre("c", "small", "later"));
  EXPECT_THAT(StepsOf(TakePart(waiting, kMost)), IsEmpty());
}

TEST(MessagePart, TheLogGoesBeforeTheReportsThatItIsOlderThan) {
  v1::AgentMessage waiting;
  waiting.add_logs()->add_lines()->set_text(std::string(9000, 'x'));
  AddReport(waiting, "a", 4000);
  waiting.set_credits(1);
  const v1::AgentMessage part = TakePart(waiting, kMost);
  EXPECT_EQ(part.logs_size(), 1);
  EXPECT_EQ(part.credits(), 1);
  EXPECT_THAT(StepsOf(part), IsEmpty());
  EXPECT_THAT(StepsOf(TakePart(waiting, kMost)), ElementsAre("a"));
}

TEST(MessagePart, OneThatIsTooLargeByItselfGoesAlone) {
  v1::AgentMessage waiting;
  AddReport(waiting, "large", 2 * kMost);
  AddReport(waiting, "a", 10);
  EXPECT_THAT(StepsOf(TakePart(waiting, kMost)), ElementsAre("large"));
  EXPECT_THAT(StepsOf(TakePart(waiting, kMost)), ElementsAre("a"));
}

TEST(BlamesTheMessage, WhenItIsRefusedOrTooLargeAndNotForWantOfRoomOrOfAConnection) {
  EXPECT_TRUE(BlamesTheMessage(OkStatus())) << "the stream ends at it";
  EXPECT_TRUE(BlamesTheMessage(InvalidArgument("no")));
  EXPECT_TRUE(BlamesTheMessage(ResourceExhausted("Received message larger than max (9437184 vs. 8388608)")));
  EXPECT_FALSE(BlamesTheMessage(ResourceExhausted("Received RST_STREAM with error code 11")));
  EXPECT_FALSE(BlamesTheMessage(Unavailable("Socket closed")));
  EXPECT_FALSE(BlamesTheMessage(Cancelled("CANCELLED")));
}

}  // namespace
}  // namespace salvor::agent
