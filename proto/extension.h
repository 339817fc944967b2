// Messages of kinds that salvor/v1 does not have, as they ride in an Any. Header-only and pure.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>

namespace salvor {

// The full name of the message inside, "salvor.toy.v1.Capture"; "?" where none is named.
inline std::string TypeOf(const google::protobuf::Any& extension) {
  const std::string name = extension.type_url().substr(extension.type_url().rfind('/') + 1);
  return name.empty() ? "?" : name;
}

// An empty message of that type; null for a type that is not in this program.
inline std::unique_ptr<google::protobuf::Message> NewExtension(const std::string& type) {
  const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
  if (descriptor == nullptr) return nullptr;
  const auto* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor);
  return prototype == nullptr ? nullptr : std::unique_ptr<google::protobuf::Message>(prototype->New());
}

// The message inside; null for a type that is not in this program, and for bytes that are none of it.
inline std::unique_ptr<google::protobuf::Message> Unpack(const google::protobuf::Any& extension) {
  auto message = NewExtension(TypeOf(extension));
  if (message == nullptr || !message->ParseFromString(extension.value())) return nullptr;
  return message;
}

// `message`, which is an Any or of another type, if it is one.
inline const google::protobuf::Any* AsExtension(const google::protobuf::Message& message) {
  return message.GetDescriptor() == google::protobuf::Any::descriptor()
             ? static_cast<const google::protobuf::Any*>(&message)
             : nullptr;
}

}  // namespace salvor
