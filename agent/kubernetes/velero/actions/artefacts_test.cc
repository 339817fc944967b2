#include "agent/kubernetes/velero/actions/artefacts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "agent/kubernetes/velero/actions/fake_velero_testing.h"
#include "agent/kubernetes/velero/resources.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Gunzip, GivesWhatWasCompressed) {
  std::string large;
  for (int i = 0; i < 100'000; ++i) large += std::to_string(i);
  for (const std::string& content : {std::string(), std::string("{}"), large}) {
    const auto got = Gunzip(Gzip(content), 1 << 20);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_TRUE(*got == content) << content.size();
  }
}

TEST(Gunzip, TakesNoHalfFileAndNoOther) {
  std::string content;
  for (int i = 0; i < 10'000; ++i) content += std::to_string(i * 7919);
  const std::string file = Gzip(content);
  for (const size_t cut :
       {size_t{0}, size_t{5}, size_t{20}, file.size() / 2, file.size() - 9, file.size() - 1})
    EXPECT_EQ(Gunzip(file.substr(0, cut), 1 << 20).status().code(), absl::StatusCode::kDataLoss) << cut;
  EXPECT_EQ(Gunzip("<?xml version=\"1.0\"?>", 1 << 20).status().code(), absl::StatusCode::kDataLoss);
  std::string spoilt = file;
  spoilt[spoilt.size() / 2] = static_cast<char>(spoilt[spoilt.size() / 2] ^ 0x20);
  EXPECT_FALSE(Gunzip(spoilt, 1 << 20).ok());
}

TEST(Gunzip, ReadsNoBomb) {
  EXPECT_EQ(Gunzip(Gzip(std::string(1 << 20, 'x')), 1000).status().code(),
            absl::StatusCode::kResourceExhausted);
}

// Answers one connection with these bytes.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer)
      : answer_(std::move(answer)), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~OneAnswer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string Url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/bucket/x?X-Amz-Signature=secret";
  }

 private:
  void Serve() const {
    const int connection = ::accept(listener_, nullptr, nullptr);
    if (connection < 0) return;
    char request[4096];
    EXPECT_GT(::recv(connection, request, sizeof request, 0), 0);
    EXPECT_EQ(::send(connection, answer_.data(), answer_.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(answer_.size()));
    ::shutdown(connection, SHUT_WR);
    while (::recv(connection, request, sizeof request, 0) > 0) {
    }
    ::close(connection);
  }

  const std::string answer_;
  const int listener_;
  int port_ = 0;
  std::thread thread_;
};

std::string Answer(const std::string& status, const std::string& body, size_t length) {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(length) +
         "\r\nConnection: close\r\n\r\n" + body;
}

TEST(DownloadSigned, GivesTheBodyAsItIs) {
  const std::string body = Gzip("[]");
  const OneAnswer server(Answer("200 OK", body, body.size()));
  const auto got = DownloadSigned(server.Url(), {});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(*got, body);
}

TEST(DownloadSigned, SaysWhatIsWrongWithoutTheAddress) {
  struct Case {
    std::string answer;
    absl::StatusCode code;
  };
  for (const Case& one : {Case{Answer("404 Not Found", "", 0), absl::StatusCode::kNotFound},
                          Case{Answer("403 Forbidden", "", 0), absl::StatusCode::kUnavailable},
                          Case{Answer("302 Found", "", 0), absl::StatusCode::kUnavailable},
                          Case{Answer("500 Oh", "", 0), absl::StatusCode::kUnavailable},
                          Case{Answer("200 OK", "half", 8), absl::StatusCode::kUnavailable},
                          Case{"nonsense", absl::StatusCode::kUnavailable}}) {
    const OneAnswer server(one.answer);
    const auto got = DownloadSigned(server.Url(), {});
    EXPECT_EQ(got.status().code(), one.code) << one.answer;
    EXPECT_THAT(got.status().ToString(), Not(HasSubstr("secret"))) << one.answer;
  }
}

TEST(DownloadSigned, TakesNoFilesOfThisMachine) {
  EXPECT_EQ(DownloadSigned("file:///etc/passwd", {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(DownloadSigned, EndsWithItsTime) {
  kubernetes::Call call;
  call.deadline = SteadyNow() - absl::Seconds(1);
  EXPECT_EQ(DownloadSigned("http://127.0.0.1:1/", call).status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(FetchRecord, SaysWhichRecordOfWhichBackupIsNotThere) {
  FakeVelero velero;
  velero.records.clear();
  const auto record = FetchRecord(velero.Cluster(), "velero", "b", "BackupResults", velero.Options(), {});
  EXPECT_EQ(MessageOf(record.status()),
            "fetch Velero's BackupResults of backup b: the storage location does not have it");
}

TEST(FetchRecord, SaysWhyVeleroCannotSign) {
  FakeVelero velero;
  velero.answers = false;
  velero.Cluster().OnCreate(DownloadRequests(), [&](const Json& object) {
    EXPECT_TRUE(velero.Cluster()
                    .Change({DownloadRequests(), "velero", TextAt(object, {"metadata", "name"})},
                            [](Json& request) {
                              request["status"] = {{"phase", "Failed"}, {"message", "no backup"}};
                            })
                    .ok());
  });
  VeleroOptions options = velero.Options();
  options.answer_within = absl::Minutes(10);
  const auto record = FetchRecord(velero.Cluster(), "velero", "b", "BackupResults", options, {});
  EXPECT_THAT(MessageOf(record.status()), HasSubstr("Velero can't sign its address: no backup"));
}

}  // namespace
}  // namespace salvor::velero
