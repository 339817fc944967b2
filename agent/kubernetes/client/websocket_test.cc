// The WebSocket under an exec: frames, handshake, channels.
#include "agent/kubernetes/client/websocket.h"

#include <gtest/gtest.h>

#include "agent/kubernetes/client/exec_protocol.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

using std::string_literals::operator""s;

// A frame as a server writes it: without a mask.
std::string ServerFrame(int first_byte, const std::string& payload) {
  std::string frame(1, static_cast<char>(first_byte));
  if (payload.size() <= 125) {
    frame += static_cast<char>(payload.size());
  } else if (payload.size() <= 0xFFFF) {
    frame += static_cast<char>(126);
    frame += static_cast<char>(payload.size() >> 8);
    frame += static_cast<char>(payload.size() & 0xFF);
  } else {
    frame += static_cast<char>(127);
    for (int shift = 56; shift >= 0; shift -= 8) frame += static_cast<char>((payload.size() >> shift) & 0xFF);
  }
  return frame + payload;
}

// "2:abc" for each message, then the error, if there is one.
std::vector<std::string> ReadAll(WebSocketReader& reader) {
  std::vector<std::string> read;
  while (true) {
    const auto message = reader.Next();
    if (!message.ok()) {
      read.push_back(MessageOf(message.status()));
      return read;
    }
    if (!*message) return read;
    read.push_back(std::to_string(static_cast<int>((*message)->opcode)) + ":" + (*message)->payload);
  }
}

std::vector<std::string> ReadAll(const std::string& bytes) {
  WebSocketReader reader;
  reader.Add(bytes);
  return ReadAll(reader);
}

using Texts = std::vector<std::string>;

TEST(EncodeFrame, IsTheOneOfTheRfc) {  // RFC 6455, 5.7: a masked "Hello"
  EXPECT_EQ(ToHex(EncodeFrame(Opcode::kText, "Hello", {'\x37', '\xfa', '\x21', '\x3d'})),
            "818537fa213d7f9f4d5158");
}

TEST(EncodeFrame, LengthsTakeTheBytesTheyNeed) {
  const auto head = [](size_t size) {
    return ToHex(EncodeFrame(Opcode::kBinary, std::string(size, 'x'), {0, 0, 0, 0}).substr(0, 10));
  };
  EXPECT_EQ(head(0), "828000000000");
  EXPECT_EQ(head(125).substr(0, 4), "82fd");
  EXPECT_EQ(head(126).substr(0, 8), "82fe007e");
  EXPECT_EQ(head(65535).substr(0, 8), "82feffff");
  EXPECT_EQ(head(65536), "82ff0000000000010000");
}

TEST(WebSocketReader, ReadsFramesOfAllLengthsByteByByte) {
  for (const size_t size : {0UL, 1UL, 125UL, 126UL, 65535UL, 65536UL}) {
    const std::string payload(size, 'x');
    const std::string bytes = ServerFrame(0x82, payload) + ServerFrame(0x89, "p");
    WebSocketReader reader;
    Texts read;
    for (const char byte : bytes) {
      reader.Add({&byte, 1});
      for (const std::string& message : ReadAll(reader)) read.push_back(message);
    }
    EXPECT_EQ(read, (Texts{"2:" + payload, "9:p"})) << size;
  }
}

TEST(WebSocketReader, JoinsFragmentsAroundControlFrames) {
  EXPECT_EQ(ReadAll(ServerFrame(0x02, "ab") + ServerFrame(0x8A, "") + ServerFrame(0x00, "cd") +
                    ServerFrame(0x80, "e") + ServerFrame(0x88, "\x03\xE8")),
            (Texts{"10:", "2:abcde", "8:\x03\xE8"}));
}

TEST(WebSocketReader, RefusesWhatNoServerMaySend) {
  const std::string too_long = ServerFrame(0x82, "").substr(0, 1) + "\x7F\x00\x00\x00\x00\x7F\xFF\xFF\xFF"s;
  const std::string endless = ServerFrame(0x82, "").substr(0, 1) + "\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s;
  const struct {
    const char* what;
    std::string bytes;
  } kCases[] = {
      {"masked", "\x82\x80zzzz"},
      {"reserved bit", ServerFrame(0xC2, "a")},
      {"unknown opcode", ServerFrame(0x83, "a")},
      {"a fragment of nothing", ServerFrame(0x80, "a")},
      {"a second beginning", ServerFrame(0x02, "a") + ServerFrame(0x82, "b")},
      {"a ping in pieces", ServerFrame(0x09, "a")},
      {"a long ping", ServerFrame(0x89, std::string(126, 'x'))},
      {"too long", too_long},
      {"endless", endless},
  };
  for (const auto& one : kCases) {
    WebSocketReader reader;
    reader.Add(one.bytes);
    EXPECT_FALSE(reader.Next().ok()) << one.what;
  }
}

TEST(WebSocketReader, FragmentsTogetherAreLimitedToo) {
  WebSocketReader reader;
  const std::string half(WebSocketReader::kMessageAtMost / 2 + 1, 'x');
  reader.Add(ServerFrame(0x02, half));
  reader.Add(ServerFrame(0x80, half));
  EXPECT_EQ(reader.Next().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Handshake, AsksForV5Alone) {
  EXPECT_EQ(
      UpgradeRequest("h:6443", "/p?x=1", "KEY==", "tok"),
      "GET /p?x=1 HTTP/1.1\r\nHost: h:6443\r\nUser-Agent: salvor\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: KEY==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n"
      "Authorization: Bearer tok\r\n\r\n");
  EXPECT_EQ(UpgradeRequest("h", "/", "K", "").find("Authorization"), std::string::npos);
}

TEST(Handshake, TheAnswerMustBeToOurKeyAndInOurProtocol) {
  EXPECT_EQ(AcceptFor("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");  // RFC 6455, 1.3
  const auto answer = ParseUpgradeAnswer(
      "HTTP/1.1 101 Switching Protocols\r\nUPGRADE: websocket\r\nsec-websocket-accept:  "
      "s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\nSec-Websocket-Protocol: v5.channel.k8s.io\r\n\r\n");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 101);
  EXPECT_TRUE(CheckUpgrade(*answer, "dGhlIHNhbXBsZSBub25jZQ==").ok());
  EXPECT_EQ(CheckUpgrade(*answer, "another").code(), absl::StatusCode::kUnavailable);
  UpgradeAnswer old = *answer;
  old.protocol = "v4.channel.k8s.io";
  EXPECT_EQ(CheckUpgrade(old, "dGhlIHNhbXBsZSBub25jZQ==").code(), absl::StatusCode::kFailedPrecondition);
}

TEST(Handshake, RefusalsAreRead) {
  const auto answer =
      ParseUpgradeAnswer("HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Length: 12\r\n\r\n");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->status, 429);
  EXPECT_EQ(answer->retry_after, "3");
  EXPECT_EQ(answer->content_length, 12U);
  for (const char* head :
       {"", "\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1 099 Low\r\n\r\n"}) {
    EXPECT_FALSE(ParseUpgradeAnswer(head).ok()) << head;
  }
}

TEST(ExitCode, IsReadFromTheStatus) {
  EXPECT_EQ(ExitCodeIn(R"({"metadata": {}, "status": "Success"})").value(), 0);
  EXPECT_EQ(ExitCodeIn(R"({"status": "Failure", "reason": "NonZeroExitCode",
                           "details": {"causes": [{"reason": "Other"}, {"reason": "ExitCode", "message": "137"}]}})")
                .value(),
            137);
}

TEST(ExitCode, ACommandThatCouldNotRunIsAnError) {
  const auto missing = ExitCodeIn(R"({"status": "Failure", "reason": "InternalError",
                                      "message": "exec: \"pg_dmp\": executable file not found in $PATH"})");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(MessageOf(missing.status()).find("pg_dmp"), std::string::npos);
  for (const char* text : {"", "5", "{}", R"({"status": 5})", R"({"status": "Failure"})",
                           R"({"status": "Failure", "reason": "NonZeroExitCode", "details": 5})",
                           R"({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": 5}})",
                           R"({"status": "Failure", "reason": "NonZeroExitCode",
                               "details": {"causes": [{"reason": "ExitCode", "message": "many"}]}})"}) {
    EXPECT_FALSE(ExitCodeIn(text).ok()) << text;
  }
}

}  // namespace
}  // namespace salvor::kubernetes
