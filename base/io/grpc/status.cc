#include "base/io/grpc/status.h"

namespace salvor {

grpc::Status ToGrpc(const Status& status, grpc::ServerContextBase& context) {
  if (status.ok()) return grpc::Status::OK;
  if (const std::string hint = HintOf(status); !hint.empty())
    context.AddTrailingMetadata(kHintMetadata, hint);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), MessageOf(status));
}

Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& context) {
  if (status.ok()) return OkStatus();
  Status ours = MakeStatus(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto hint = trailers.find(kHintMetadata);
  if (hint == trailers.end()) return ours;
  return WithHint(ours, std::string_view(hint->second.data(), hint->second.size()));
}

}  // namespace salvor
