#include "agent/puller/message_part.h"

#include <utility>

namespace salvor::agent {

v1::AgentMessage TakePart(v1::AgentMessage& waiting, size_t most) {
  v1::AgentMessage part = std::exchange(waiting, v1::AgentMessage());
  size_t bytes = part.ByteSizeLong();
  if (bytes <= most) return part;
  google::protobuf::RepeatedPtrField<v1::Report> reports;
  reports.Swap(part.mutable_reports());
  bytes = part.ByteSizeLong();
  for (v1::Report& report : reports) {
    bytes += report.ByteSizeLong();
    const bool is_first = part.reports().empty() && part.logs().empty();
    const bool goes_now = waiting.reports().empty() && (bytes <= most || is_first);
    *(goes_now ? part : waiting).add_reports() = std::move(report);
  }
  return part;
}

bool BlamesTheMessage(const Status& closed) {
  switch (closed.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kInternal:
      return true;
    case absl::StatusCode::kResourceExhausted:
      return MessageOf(closed).find("larger than max") != std::string::npos;  // gRPC's words
    default:
      return false;
  }
}

}  // namespace salvor::agent
