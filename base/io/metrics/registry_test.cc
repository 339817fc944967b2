#include "base/io/metrics/registry.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace salvor {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricRegistry, ATotalThatSomebodyElseCountsIsACounterThatNeverFalls) {
  MetricRegistry registry;
  registry.DeclareCounter("salvor_things_total", "Things.");
  for (const double total : {3, 7, 5, 7}) registry.RaiseTo("salvor_things_total", {}, total);
  EXPECT_THAT(registry.Text(), AllOf(HasSubstr("# TYPE salvor_things_total counter\n"),
                                     HasSubstr("\nsalvor_things_total 7\n")));
}

TEST(MetricRegistry, ComputesAtEachScrapeAndRemovesSeriesWithTheirObject) {
  MetricRegistry registry;
  registry.DeclareGauge("salvor_scrapes", "Scrapes.", {"of"});
  int scrapes = 0;
  registry.OnScrape([&] { registry.Set("salvor_scrapes", {{"of", "a"}}, ++scrapes); });
  EXPECT_THAT(registry.Text(), HasSubstr("salvor_scrapes{of=\"a\"} 1\n"));
  EXPECT_THAT(registry.Text(), HasSubstr("salvor_scrapes{of=\"a\"} 2\n"));
  registry.OnScrape(nullptr);
  registry.Remove("salvor_scrapes", {{"of", "a"}});
  EXPECT_THAT(registry.Text(), Not(HasSubstr("of=\"a\"")));
}

TEST(MetricRegistry, SeriesHaveTheLabelsThatWereDeclared) {
  MetricRegistry registry;
  registry.DeclareCounter("salvor_a_total", "A.", {"kind", "application"});
  registry.DeclareGauge("salvor_b", "B.");
  registry.DeclareHistogram("salvor_c_seconds", "C.", {1, 2}, {"kind"});
  registry.Add("salvor_a_total", {{"application", "shop"}, {"kind", "backup"}});
  EXPECT_THAT(registry.Text(), HasSubstr("salvor_a_total{application=\"shop\",kind=\"backup\"} 1\n"));
  EXPECT_THROW(registry.Add("salvor_a_total", {{"kind", "backup"}}), std::logic_error);
  EXPECT_THROW(registry.Add("salvor_a_total", {{"kind", "backup"}, {"other", "x"}}), std::logic_error);
  EXPECT_THROW(registry.Set("salvor_b", {{"kind", "backup"}}, 1), std::logic_error);
  EXPECT_THROW(registry.Observe("salvor_c_seconds", {}, 1), std::logic_error);
  EXPECT_THROW(registry.Set("salvor_nobody", {}, 1), std::logic_error);
  const std::vector<MetricDescription> declared = registry.Declared();
  ASSERT_EQ(declared.size(), 3u);
  EXPECT_EQ(declared[0].labels, (std::vector<std::string>{"kind", "application"}));
  EXPECT_EQ(declared[1].type, "gauge");
  EXPECT_EQ(declared[2].name, "salvor_c_seconds");
}

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

// A listener at a port that nobody had; the port is free again when it is closed.
int ListenSomewhere(uint16_t* port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  const bool listens = ::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                       ::listen(listener, 1) == 0 &&
                       ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  EXPECT_TRUE(listens);
  *port = ntohs(address.sin_port);
  return listener;
}

// All that the server answers until it closes.
std::string Ask(uint16_t port, const std::string& request) {
  const int connection = ::socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(port);
  std::string answer;
  if (::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::send(connection, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char piece[4096];
    for (ssize_t got = 0; (got = ::recv(connection, piece, sizeof piece, 0)) > 0;)
      answer.append(piece, static_cast<size_t>(got));
  }
  ::close(connection);
  return answer;
}

TEST(MetricRegistry, ServesItsSeriesAndNothingElse) {
  MetricRegistry registry;
  registry.DeclareGauge("salvor_things", "Things.");
  registry.Set("salvor_things", {}, 7);
  uint16_t port = 0;
  Status served = Unavailable("not tried");
  for (int tries = 0; tries < 20 && !served.ok(); ++tries) {  // somebody may take the port in between
    ::close(ListenSomewhere(&port));
    served = registry.Serve("127.0.0.1:" + std::to_string(port));
  }
  ASSERT_TRUE(served.ok()) << served;
  const std::string end = " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  EXPECT_THAT(Ask(port, "GET /metrics" + end), AllOf(HasSubstr(" 200 OK"), HasSubstr("\nsalvor_things 7\n")));
  for (const char* path : {"/", "/etc/passwd", "/../../../etc/passwd", "/metrics/../registry_test.cc"}) {
    EXPECT_THAT(Ask(port, std::string("GET ") + path + end), HasSubstr(" 404 ")) << path;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"}) {
    EXPECT_THAT(Ask(port, std::string(method) + " /metrics" + end), Not(HasSubstr(" 200 "))) << method;
  }
}

TEST(MetricRegistry, AnAddressInUseIsSaidWithWhatToDo) {
  uint16_t port = 0;
  const int listener = ListenSomewhere(&port);
  MetricRegistry registry;
  const std::string where = "127.0.0.1:" + std::to_string(port);
  const Status served = registry.Serve(where);
  ::close(listener);
  EXPECT_EQ(served.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(served), "metrics cannot be served on " + where);
  EXPECT_THAT(HintOf(served), HasSubstr("--metrics-listen"));
}

}  // namespace
}  // namespace salvor
