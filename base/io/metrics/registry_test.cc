#include "base/io/metrics/registry.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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
  registry.DeclareGauge("salvor_scrapes", "Scrapes.");
  int scrapes = 0;
  registry.OnScrape([&] { registry.Set("salvor_scrapes", {{"of", "a"}}, ++scrapes); });
  EXPECT_THAT(registry.Text(), HasSubstr("salvor_scrapes{of=\"a\"} 1\n"));
  EXPECT_THAT(registry.Text(), HasSubstr("salvor_scrapes{of=\"a\"} 2\n"));
  registry.OnScrape(nullptr);
  registry.Remove("salvor_scrapes", {{"of", "a"}});
  EXPECT_THAT(registry.Text(), Not(HasSubstr("of=\"a\"")));
}

TEST(MetricRegistry, AnAddressInUseIsSaidWithWhatToDo) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_GE(listener, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  socklen_t length = sizeof address;
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  MetricRegistry registry;
  const std::string where = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const Status served = registry.Serve(where);
  ::close(listener);
  EXPECT_EQ(served.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(MessageOf(served), "metrics cannot be served on " + where);
  EXPECT_THAT(HintOf(served), HasSubstr("--metrics-listen"));
}

}  // namespace
}  // namespace salvor
