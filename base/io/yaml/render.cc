#include "base/io/yaml/render.h"

#include <absl/time/time.h>
#include <fmt/core.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "base/io/yaml/proto_names.h"
#include "base/text.h"
#include "proto/extension.h"
#include "proto/time.h"

namespace salvor {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Words some YAML reader, of version 1.1 or 1.2, takes for null, a boolean or a number.
bool IsReservedWord(const std::string& text) {
  static const std::vector<std::string> kWords = {"null", "true", "false", "yes", "no",
                                                  "on",   "off",  "y",     "n"};
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

// Conservative: quoting too much is harmless.
bool IsPlainSafe(const std::string& text) {
  if (text.empty() || text.size() > 200 || IsReservedWord(text)) return false;
  if (!IsLetter(text.front()) && text.front() != '/' && text.front() != '_') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (IsLetter(c) || IsDigit(c) || std::string_view("_-./+=@()").find(c) != std::string_view::npos)
      continue;
    const bool last = i + 1 == text.size();
    if ((c == ' ' || c == ':') && !last &&
        (IsLetter(text[i + 1]) || IsDigit(text[i + 1]) || text[i + 1] == '/')) {
      continue;
    }
    return false;
  }
  return true;
}

// Whether the text survives as a literal block (|) as it stands.
bool IsBlockSafe(const std::string& text) {
  if (text.find('\n') == std::string::npos || text.front() == '\n' || text.front() == ' ') return false;
  if (text.size() > 1 && text.compare(text.size() - 2, 2, "\n\n") == 0) return false;
  for (const unsigned char c : text) {
    if ((c < 0x20 && c != '\n') || c >= 0x7f) return false;
  }
  for (const std::string& line : Split(text, '\n')) {
    if (!line.empty() && Trim(line).empty()) return false;
  }
  return true;
}

std::string DoubleQuoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// Times and durations are scalars for people; nothing for every other message.
std::optional<std::string> TimeText(const Message& message) {
  const std::string& type = message.GetDescriptor()->full_name();
  if (type == "google.protobuf.Timestamp") {
    google::protobuf::Timestamp timestamp;
    timestamp.CopyFrom(message);
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", FromProto(timestamp), absl::UTCTimeZone());
  }
  if (type == "google.protobuf.Duration") {
    google::protobuf::Duration duration;
    duration.CopyFrom(message);
    return absl::FormatDuration(FromProto(duration));
  }
  return std::nullopt;
}

// Writes block style; a value either follows its key on the same line or stands below it.
class YamlWriter {
 public:
  std::string Take() { return std::move(text_); }

  std::string TakeItems(const std::vector<const Message*>& items) {
    for (const Message* item : items) {
      text_ += '-';
      WriteItem(*item, 2);
    }
    return Take();
  }

  void WriteFields(const Message& message, int indent, bool first_is_indented) {
    const auto* extension = AsExtension(message);
    if (const auto inside = extension == nullptr ? nullptr : Unpack(*extension); inside != nullptr) {
      if (!first_is_indented) text_.append(static_cast<size_t>(indent), ' ');
      text_ += fmt::format("\"@type\": {}\n", QuoteYaml(TypeOf(*extension)));
      return WriteFields(*inside, indent, false);
    }
    std::vector<const FieldDescriptor*> fields;
    message.GetReflection()->ListFields(message, &fields);
    std::sort(fields.begin(), fields.end(),
              [](const FieldDescriptor* a, const FieldDescriptor* b) { return a->index() < b->index(); });
    for (const FieldDescriptor* field : fields) {
      if (!first_is_indented) text_.append(static_cast<size_t>(indent), ' ');
      first_is_indented = false;
      text_ += field->json_name() + ":";
      if (field->is_map()) {
        WriteMap(message, *field, indent);
      } else if (field->is_repeated()) {
        WriteList(message, *field, indent);
      } else {
        WriteValue(message, *field, -1, indent + 2);
      }
    }
  }

 private:
  static bool IsMessage(const FieldDescriptor& field) {
    return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  }

  void WriteList(const Message& message, const FieldDescriptor& field, int indent) {
    text_ += '\n';
    const int size = message.GetReflection()->FieldSize(message, &field);
    for (int i = 0; i < size; ++i) {
      text_.append(static_cast<size_t>(indent), ' ');
      text_ += '-';
      if (IsMessage(field)) {
        WriteItem(message.GetReflection()->GetRepeatedMessage(message, &field, i), indent + 2);
      } else {
        WriteValue(message, field, i, indent + 2);
      }
    }
  }

  // A list's item: its first field stands behind the dash.
  void WriteItem(const Message& item, int indent) {
    if (const std::string scalar = ScalarMessage(item); !scalar.empty()) {
      text_ += ' ' + scalar + '\n';
      return;
    }
    std::vector<const FieldDescriptor*> fields;
    item.GetReflection()->ListFields(item, &fields);
    if (fields.empty()) {
      text_ += " {}\n";
      return;
    }
    text_ += ' ';
    WriteFields(item, indent, true);
  }

  // Maps are sorted by key, so that the same message is always the same text.
  void WriteMap(const Message& message, const FieldDescriptor& field, int indent) {
    text_ += '\n';
    const Reflection* reflection = message.GetReflection();
    const FieldDescriptor* key_field = field.message_type()->map_key();
    const FieldDescriptor* value_field = field.message_type()->map_value();
    std::map<std::string, const Message*> entries;
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      const Message& entry = reflection->GetRepeatedMessage(message, &field, i);
      entries[Scalar(entry, *key_field, -1)] = &entry;
    }
    for (const auto& [key, entry] : entries) {
      text_.append(static_cast<size_t>(indent) + 2, ' ');
      text_ += key + ":";
      WriteValue(*entry, *value_field, -1, indent + 4);
    }
  }

  // Everything after "key:" or "-", with the line's end. `index` is -1 for a singular field.
  void WriteValue(const Message& message, const FieldDescriptor& field, int index, int indent) {
    const Reflection* reflection = message.GetReflection();
    if (IsMessage(field)) {
      const Message& value = reflection->GetMessage(message, &field);
      WriteNested(value, indent);
      return;
    }
    if (field.type() == FieldDescriptor::TYPE_STRING) {
      const std::string value = index < 0 ? reflection->GetString(message, &field)
                                          : reflection->GetRepeatedString(message, &field, index);
      if (IsBlockSafe(value)) {
        WriteBlock(value, indent);
        return;
      }
    }
    text_ += ' ' + Scalar(message, field, index) + '\n';
  }

  void WriteNested(const Message& value, int indent) {
    std::vector<const FieldDescriptor*> fields;
    value.GetReflection()->ListFields(value, &fields);
    if (const std::string scalar = ScalarMessage(value); !scalar.empty()) {
      text_ += ' ' + scalar + '\n';
    } else if (fields.empty()) {
      text_ += " {}\n";
    } else {
      text_ += '\n';
      WriteFields(value, indent, false);
    }
  }

  void WriteBlock(const std::string& value, int indent) {
    const bool ends_with_newline = value.back() == '\n';
    text_ += ends_with_newline ? " |\n" : " |-\n";
    for (const std::string& line :
         Split(ends_with_newline ? value.substr(0, value.size() - 1) : value, '\n')) {
      if (!line.empty()) text_.append(static_cast<size_t>(indent), ' ');
      text_ += line + '\n';
    }
  }

  // The text of a time or a duration; "" for every other message.
  static std::string ScalarMessage(const Message& message) {
    const std::optional<std::string> text = TimeText(message);
    if (!text.has_value()) return "";
    const bool time = message.GetDescriptor()->full_name() == "google.protobuf.Timestamp";
    return time ? DoubleQuoted(*text) : QuoteYaml(*text);
  }

  static std::string Scalar(const Message& message, const FieldDescriptor& field, int index) {
    const Reflection* r = message.GetReflection();
    const bool one = index < 0;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return std::to_string(one ? r->GetInt32(message, &field)
                                  : r->GetRepeatedInt32(message, &field, index));
      case FieldDescriptor::CPPTYPE_INT64:
        return std::to_string(one ? r->GetInt64(message, &field)
                                  : r->GetRepeatedInt64(message, &field, index));
      case FieldDescriptor::CPPTYPE_UINT32:
        return std::to_string(one ? r->GetUInt32(message, &field)
                                  : r->GetRepeatedUInt32(message, &field, index));
      case FieldDescriptor::CPPTYPE_UINT64:
        return std::to_string(one ? r->GetUInt64(message, &field)
                                  : r->GetRepeatedUInt64(message, &field, index));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return fmt::format("{}",
                           one ? r->GetFloat(message, &field) : r->GetRepeatedFloat(message, &field, index));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return fmt::format(
            "{}", one ? r->GetDouble(message, &field) : r->GetRepeatedDouble(message, &field, index));
      case FieldDescriptor::CPPTYPE_BOOL:
        return (one ? r->GetBool(message, &field) : r->GetRepeatedBool(message, &field, index)) ? "true"
                                                                                                : "false";
      case FieldDescriptor::CPPTYPE_ENUM: {
        const int number =
            one ? r->GetEnumValue(message, &field) : r->GetRepeatedEnumValue(message, &field, index);
        return QuoteYaml(EnumText(*field.enum_type(), number));
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string value =
            one ? r->GetString(message, &field) : r->GetRepeatedString(message, &field, index);
        return field.type() == FieldDescriptor::TYPE_BYTES ? QuoteYaml(ToHex(value)) : QuoteYaml(value);
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;
    }
    return "null";
  }

  std::string text_;
};

using Json = nlohmann::ordered_json;

Json JsonOf(const Message& message);

// `index` is -1 for a singular field.
Json JsonValue(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection* r = message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? r->GetInt32(message, &field) : r->GetRepeatedInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? r->GetInt64(message, &field) : r->GetRepeatedInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? r->GetUInt32(message, &field) : r->GetRepeatedUInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? r->GetUInt64(message, &field) : r->GetRepeatedUInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? r->GetFloat(message, &field) : r->GetRepeatedFloat(message, &field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? r->GetDouble(message, &field) : r->GetRepeatedDouble(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? r->GetBool(message, &field) : r->GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(*field.enum_type(), one ? r->GetEnumValue(message, &field)
                                              : r->GetRepeatedEnumValue(message, &field, index));
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string value = one ? r->GetString(message, &field) : r->GetRepeatedString(message, &field, index);
      return field.type() == FieldDescriptor::TYPE_BYTES ? ToHex(value) : value;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return JsonOf(one ? r->GetMessage(message, &field) : r->GetRepeatedMessage(message, &field, index));
  }
  return nullptr;
}

// Keys are text in JSON, whatever they are in the message; sorted, so that equal messages are equal texts.
Json JsonMap(const Message& message, const FieldDescriptor& field) {
  std::map<std::string, Json> sorted;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    const Message& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    const Json key = JsonValue(entry, *field.message_type()->map_key(), -1);
    sorted[key.is_string() ? key.get<std::string>() : key.dump()] =
        JsonValue(entry, *field.message_type()->map_value(), -1);
  }
  Json map = Json::object();
  for (auto& [key, value] : sorted) map[key] = std::move(value);
  return map;
}

Json JsonOf(const Message& message) {
  if (std::optional<std::string> text = TimeText(message)) return *text;
  Json object = Json::object();
  const auto* extension = AsExtension(message);
  if (const auto inside = extension == nullptr ? nullptr : Unpack(*extension); inside != nullptr) {
    object["@type"] = TypeOf(*extension);
    object.update(JsonOf(*inside));
    return object;
  }
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  std::sort(fields.begin(), fields.end(),
            [](const FieldDescriptor* a, const FieldDescriptor* b) { return a->index() < b->index(); });
  for (const FieldDescriptor* field : fields) {
    Json& value = object[field->json_name()];
    if (field->is_map()) {
      value = JsonMap(message, *field);
    } else if (field->is_repeated()) {
      value = Json::array();
      for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i)
        value.push_back(JsonValue(message, *field, i));
    } else {
      value = JsonValue(message, *field, -1);
    }
  }
  return object;
}

// Text that is not UTF-8 does not come this far; if it does, it must not cost the rest.
std::string Dump(const Json& json, bool pretty) {
  return json.dump(pretty ? 1 : -1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string QuoteYaml(const std::string& text) { return IsPlainSafe(text) ? text : DoubleQuoted(text); }

std::string RenderYaml(const Message& message) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  if (fields.empty()) return "{}\n";
  YamlWriter writer;
  writer.WriteFields(message, 0, false);
  return writer.Take();
}

std::string RenderYamlList(const std::vector<const Message*>& items) {
  if (items.empty()) return "items: []\n";
  YamlWriter writer;
  return "items:\n" + writer.TakeItems(items);
}

std::string RenderJson(const Message& message, bool pretty) { return Dump(JsonOf(message), pretty); }

std::string RenderJsonList(const std::vector<const Message*>& items, bool pretty) {
  Json list = Json::array();
  for (const Message* item : items) list.push_back(JsonOf(*item));
  Json envelope = Json::object();
  envelope["items"] = std::move(list);
  return Dump(envelope, pretty);
}

}  // namespace salvor
