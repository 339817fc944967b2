#include "agent/engines/postgres/details_json.h"

#include <google/protobuf/util/json_util.h>

namespace salvor::agent {

StatusOr<std::string> ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) return Internal("{} cannot be written as JSON", message.GetTypeName());
  return json;
}

Status FromJson(const std::string& json, google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(json, message, options);
  if (!status.ok()) return DataLoss("the text is no JSON of {}", message->GetTypeName());
  return OkStatus();
}

}  // namespace salvor::agent
