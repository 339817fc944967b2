#include "tools/cli/commands/restore_option.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <vector>

#include "base/io/yaml/proto_names.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr char kShape[] = "--option wants COMPONENT.KIND.OPTION=VALUE";

// An extension is of a type that only its strategy knows.
bool CanBeWritten(const FieldDescriptor& field) {
  return field.message_type() == nullptr || field.message_type()->full_name() != "google.protobuf.Any";
}

StatusOr<const FieldDescriptor*> FindField(const Descriptor& message, const std::string& name,
                                           const std::string& text) {
  std::vector<std::string> names;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor* field = message.field(i);
    if (!CanBeWritten(*field)) continue;
    if (field->json_name() == name) return field;
    names.push_back(field->json_name());
  }
  return InvalidArgument("--option {}: '{}' is none of {}{}", CleanText(text), CleanText(name),
                         Join(names, ", "), DidYouMean(name, names));
}

Status SetScalar(const FieldDescriptor& field, const std::string& value, const std::string& text,
                 Message* to) {
  const Reflection& reflection = *to->GetReflection();
  if (reflection.HasField(*to, &field))
    return InvalidArgument("--option {}: it is given twice", CleanText(text));
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
    reflection.SetString(to, &field, value);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL && (value == "true" || value == "false")) {
    reflection.SetBool(to, &field, value == "true");
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
    return InvalidArgument("--option {}: wants true or false", CleanText(text));
  } else {
    return InvalidArgument("--option {}: it cannot be written on a command line", CleanText(text));
  }
  return OkStatus();
}

Status AddEntry(const FieldDescriptor& map, const std::string& key, const std::string& value,
                const std::string& text, Message* to) {
  const FieldDescriptor& key_field = *map.message_type()->map_key();
  const Reflection& reflection = *to->GetReflection();
  for (int i = 0; i < reflection.FieldSize(*to, &map); ++i) {
    const Message& entry = reflection.GetRepeatedMessage(*to, &map, i);
    if (entry.GetReflection()->GetString(entry, &key_field) == key)
      return InvalidArgument("--option {}: '{}' is named twice", CleanText(text), CleanText(key));
  }
  Message* entry = reflection.AddMessage(to, &map);
  entry->GetReflection()->SetString(entry, &key_field, key);
  return SetScalar(*map.message_type()->map_value(), value, text, entry);
}

}  // namespace

Status AddRestoreOption(const std::string& text, v1::CreateRestoreRequest& request) {
  const size_t cut = text.find('=');
  std::vector<std::string> path = Split(text.substr(0, cut), '.');
  if (cut == std::string::npos || cut + 1 == text.size() || path.size() < 3)
    return InvalidArgument("{}, not '{}'", kShape, CleanText(text));
  const std::string value = text.substr(cut + 1);
  RETURN_IF_ERROR_IN(CheckObjectName(path[0]), "--option");
  v1::RestoreOptions& options = (*request.mutable_options())[path[0]];
  ASSIGN_OR_RETURN(const FieldDescriptor* kind, FindField(*options.GetDescriptor(), path[1], text));
  const FieldDescriptor* other =
      options.GetReflection()->GetOneofFieldDescriptor(options, kind->containing_oneof());
  if (other != nullptr && other != kind)
    return InvalidArgument("--option {}: '{}' has options of kind {} already", CleanText(text), path[0],
                           other->name());
  Message* own = options.GetReflection()->MutableMessage(&options, kind);
  ASSIGN_OR_RETURN(const FieldDescriptor* field, FindField(*own->GetDescriptor(), path[2], text));
  const bool has_parts = path.size() > 3;
  path.erase(path.begin(), path.begin() + 3);
  const std::string key = Join(path, ".");
  if (field->is_map() ? key.empty() : has_parts) {
    return InvalidArgument(
        "--option {}: {} {}", CleanText(text), field->json_name(),
        field->is_map() ? "wants a name, as in " + field->json_name() + ".NAME=VALUE" : "has no parts");
  }
  return field->is_map() ? AddEntry(*field, key, value, text, own) : SetScalar(*field, value, text, own);
}

}  // namespace salvor::cli
