#include "base/io/grpc/endpoint.h"

#include <gtest/gtest.h>

namespace salvor {
namespace {

TEST(Endpoint, KnowsWhatStaysOnTheMachine) {
  for (const char* local :
       {"unix:///run/salvord.sock", "127.0.0.1:7420", "127.8.0.1:1", "localhost:7420", "[::1]:7420"}) {
    ASSERT_TRUE(ParseEndpoint(local).ok()) << local;
    EXPECT_TRUE(ParseEndpoint(local)->local) << local;
  }
  for (const char* remote : {"0.0.0.0:7420", "salvor.example:7420", "[::]:7420", "localhost.example:1"}) {
    ASSERT_TRUE(ParseEndpoint(remote).ok()) << remote;
    EXPECT_FALSE(ParseEndpoint(remote)->local) << remote;
  }
  for (const char* bad : {"", "7420", "host:", "host:99999", "unix://relative", ":1"})
    EXPECT_FALSE(ParseEndpoint(bad).ok()) << bad;
}

TEST(Endpoint, RefusesToListenBeyondTheMachineWithoutTls) {
  const auto credentials = ServerCredentialsFor(*ParseEndpoint("0.0.0.0:7420"), {});
  EXPECT_EQ(credentials.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(credentials.status()),
            "0.0.0.0:7420 is reachable beyond this machine and would be unencrypted");
  EXPECT_TRUE(ServerCredentialsFor(*ParseEndpoint("127.0.0.1:7420"), {}).ok());
  EXPECT_FALSE(ChannelCredentialsFor(*ParseEndpoint("salvor.example:7420"), {}).ok());
}

TEST(Endpoint, OfMetricsIsOpenOnlyWhereThatIsSaid) {
  for (const bool open : {false, true}) EXPECT_EQ(*MetricsAddress("127.0.0.1:9471", open), "127.0.0.1:9471");
  const auto refused = MetricsAddress("0.0.0.0:9471", false);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(MessageOf(refused.status()), "metrics on 0.0.0.0:9471 would be reachable beyond this machine");
  EXPECT_NE(HintOf(refused.status()).find("--metrics-open"), std::string::npos);
  EXPECT_EQ(*MetricsAddress("0.0.0.0:9471", true), "0.0.0.0:9471");
  for (const char* bad : {"unix:///run/metrics.sock", "9471", ""})
    EXPECT_FALSE(MetricsAddress(bad, true).ok()) << bad;
}

}  // namespace
}  // namespace salvor
