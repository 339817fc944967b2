// What goes on for as long as a run does, over gRPC: a log's cursor, and a stream whose caller's token is revoked.
#include "controlplane/runs/waiting_calls.h"
#include "controlplane/transport/transport_testing.h"

namespace salvor::controlplane {
namespace {

class RunStreamsTest : public ServicesTest {
 protected:
  void StartRun() {
    v1::Flow flow;
    v1::Step* step = flow.add_steps();
    step->set_id("a");
    step->mutable_action()->mutable_noop();
    v1::RunHeader header;
    header.set_name("r1");
    header.set_environment("nowhere");
    ASSERT_TRUE(StartRunAndWait(*engine_, header, flow, "").ok());
  }

  void Say(const std::string& text) {
    AppendLog log;
    log.lines.set_run("r1");
    log.lines.set_step("a");
    log.lines.add_lines()->set_text(text);
    ASSERT_TRUE(CommitAndWait(store_, {log}).ok());
  }

  // What a reader gets that has all up to there: "text@next".
  std::vector<std::string> ReadFrom(int64_t after) {
    grpc::ClientContext context;
    Token(kPeople).Attach(context);
    v1::GetRunLogsRequest request;
    request.set_name("r1");
    request.set_after(after);
    const auto stream = stub_->GetRunLogs(&context, request);
    std::vector<std::string> read;
    v1::LogLines lines;
    while (stream->Read(&lines)) read.push_back(fmt::format("{}@{}", lines.lines(0).text(), lines.next()));
    const Status end = FromGrpc(stream->Finish(), context);
    if (!end.ok()) read.push_back(MessageOf(end));
    return read;
  }
};

TEST_F(RunStreamsTest, ALogIsReadOnFromAnyOfItsCursorsAlsoAfterARestart) {
  StartRun();
  for (const char* text : {"one", "two", "two"}) Say(text);
  EXPECT_THAT(ReadFrom(0), testing::ElementsAre("one@1", "two@2", "two@3"));
  EXPECT_THAT(ReadFrom(1), testing::ElementsAre("two@2", "two@3"));
  Start();
  Say("four");
  EXPECT_THAT(ReadFrom(3), testing::ElementsAre("four@4"));
  EXPECT_THAT(ReadFrom(4), testing::IsEmpty());
  EXPECT_THAT(ReadFrom(-1), testing::ElementsAre("a place in a log is not negative"));
}

TEST_F(RunStreamsTest, AWatchEndsWhenItsTokenIsRevoked) {
  StartRun();
  grpc::ClientContext context;
  Token(MakeUserToken("zoe", v1::TOKEN_CLASS_VIEW)).Attach(context);
  v1::GetRunRequest request;
  request.set_name("r1");
  const auto stream = stub_->WatchRun(&context, request);
  v1::Run run;
  ASSERT_TRUE(stream->Read(&run));
  ASSERT_TRUE(Revoke("zoe").ok());
  while (stream->Read(&run)) {
  }
  const Status end = FromGrpc(stream->Finish(), context);
  EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(MessageOf(end), "the token zoe was revoked");
}

}  // namespace
}  // namespace salvor::controlplane
