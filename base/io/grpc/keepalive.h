// A connection that died without a word (a cut cable, a firewall that forgot it) is noticed within 20 s: the
// client pings every 10 s and gives an answer 10 s. Without it, a stream that only reads waits for ever.
#pragma once

#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

namespace salvor {

void KeepAlive(grpc::ChannelArguments& arguments);

// Lets clients ping that often; gRPC otherwise ends their connection with "too many pings".
void AllowKeepAlive(grpc::ServerBuilder& builder);

}  // namespace salvor
