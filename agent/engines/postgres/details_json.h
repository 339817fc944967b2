// Details of databases and servers as JSON, as they stand in the Location.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "base/status.h"

namespace salvor::agent {

StatusOr<std::string> ToJson(const google::protobuf::Message& message);

// Fields of a newer version are passed over. DataLoss for anything that is no such JSON.
Status FromJson(const std::string& json, google::protobuf::Message* message);

}  // namespace salvor::agent
