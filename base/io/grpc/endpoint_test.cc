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

}  // namespace
}  // namespace salvor
