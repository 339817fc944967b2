// Our errors on the wire, and back: converted here only. The hint travels in trailing metadata.
#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "base/status.h"

namespace salvor {

inline constexpr char kHintMetadata[] = "salvor-hint-bin";

grpc::Status ToGrpc(const Status& status, grpc::ServerContextBase& context);
Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context);

}  // namespace salvor
