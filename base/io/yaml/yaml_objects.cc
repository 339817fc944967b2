#include "base/io/yaml/yaml_objects.h"

#include <fmt/core.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>
#include <optional>
#include <set>

#include "base/io/yaml/proto_names.h"
#include "base/io/yaml/render.h"
#include "base/text.h"
#include "proto/extension.h"

namespace salvor {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr std::string_view kMaxProblems = "too many problems; the rest is not shown";
constexpr size_t kProblemLimit = 200;
constexpr std::string_view kType = "@type";

// The fields of Object's oneof are the kinds: "application" is kind Application.
std::vector<const FieldDescriptor*> SpecFields() {
  const auto* specs = v1::Object::descriptor()->FindOneofByName("spec");
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < specs->field_count(); ++i) fields.push_back(specs->field(i));
  return fields;
}

std::string KindName(const FieldDescriptor& field) {
  std::string name = field.name();
  name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

std::string Child(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

template <typename Integer>
std::optional<Integer> ParseNumber(const YamlNode& node) {
  Integer value{};
  const char* begin = node.text.data();
  const char* end = begin + node.text.size();
  const auto [rest, error] = std::from_chars(begin, end, value);
  if (!node.plain || error != std::errc() || rest != end) return std::nullopt;
  return value;
}

// Reads one file's documents into objects. Every step through the tree is counted: aliases share nodes, so a
// small text can stand for an endless one.
class ObjectReader {
 public:
  ObjectReader(std::string file, ParsedFile* result) : file_(std::move(file)), result_(*result) {}

  void ReadDocument(const YamlNode& document) {
    ParsedObject parsed;
    parsed.file = file_;
    positions_ = &parsed.positions;
    positions_->Add("", document.at);
    if (document.kind != YamlNode::Kind::kMap) {
      Report(document.at, "",
             fmt::format("expected an object with apiVersion, kind, metadata and spec, found {}",
                         DescribeYamlKind(document)));
      return;
    }
    unread_ = &parsed.unread;
    const Fields fields = ReadKeys(document, "", {"apiVersion", "kind", "metadata", "spec"});
    CheckApiVersion(document, fields);
    ReadMetadata(document, fields, parsed.object.mutable_metadata());
    ReadSpec(document, fields, &parsed.object);
    unread_ = nullptr;
    result_.objects.push_back(std::move(parsed));
  }

  void Report(SourcePosition at, const std::string& field, const std::string& message) {
    if (unread_ != nullptr) unread_->push_back(field);
    if (result_.problems.size() == kProblemLimit) {
      result_.problems.push_back({file_, at, "", std::string(kMaxProblems)});
    } else if (result_.problems.size() < kProblemLimit) {
      result_.problems.push_back({file_, at, field, message});
    }
  }

 private:
  using Fields = std::map<std::string, const YamlNode*>;

  // Counts a step; false once there have been too many, which is reported once.
  bool Step(const YamlNode& node) {
    if (++steps_ == kMaxYamlNodes)
      Report(node.at, "", fmt::format("aliases expand to more than {} nodes", kMaxYamlNodes));
    return steps_ < kMaxYamlNodes;
  }

  // The map's known, non-null values by key. Unknown, doubled and non-text keys are reported.
  Fields ReadKeys(const YamlNode& map, const std::string& path, const std::vector<std::string>& known) {
    Fields fields;
    std::map<std::string, SourcePosition> seen;
    for (const auto& [key, value] : map.entries) {
      if (!Step(*key)) break;
      if (key->kind != YamlNode::Kind::kScalar) {
        Report(key->at, path, fmt::format("a field's name must be text, found {}", DescribeYamlKind(*key)));
        continue;
      }
      const std::string field = Child(path, key->text);
      if (!CheckNotSeen(*key, field, &seen)) continue;
      if (std::find(known.begin(), known.end(), key->text) == known.end()) {
        ReportUnknown(*key, path, known);
        continue;
      }
      positions_->Add(field, key->at);
      if (value->kind != YamlNode::Kind::kNull) fields[key->text] = value;
    }
    return fields;
  }

  bool CheckNotSeen(const YamlNode& key, const std::string& field,
                    std::map<std::string, SourcePosition>* seen) {
    const auto [first, is_new] = seen->emplace(key.text, key.at);
    if (!is_new) Report(key.at, field, fmt::format("is given twice, first in line {}", first->second.line));
    return is_new;
  }

  void ReportUnknown(const YamlNode& key, const std::string& path, const std::vector<std::string>& known) {
    const std::string name = Elide(key.text, 80);
    if (name == "<<") {
      Report(key.at, path,
             "merge keys (<<) are not supported; write the fields out, or let an alias stand for a whole "
             "value");
    } else if (path.empty() && name == "status") {
      Report(key.at, name, "is written by Salvor and cannot be declared");
    } else if (path == "metadata" && name == "generation") {
      Report(key.at, "metadata.generation", "is counted by the control plane and cannot be declared");
    } else if (const std::string reference = SecretReference(name, known); !reference.empty()) {
      Report(key.at, Child(path, name),
             fmt::format("secrets are never declared; {} names the file that holds it", reference));
    } else {
      Report(key.at, Child(path, name), "unknown field" + DidYouMean(name, known));
    }
  }

  // The field that a secret belongs to by reference, when this name says that a secret stands here.
  static std::string SecretReference(const std::string& name, const std::vector<std::string>& known) {
    std::string lower;
    for (const char c : name) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto says = [&lower](std::string_view word) { return lower.find(word) != std::string::npos; };
    if (says("file")) return "";  // a reference that is misspelt
    const bool password = says("pass") || says("pwd");
    if (!password && !says("secret") && !says("token") && !says("key") && !says("credential")) return "";
    const auto is_known = [&known](const char* field) {
      return std::find(known.begin(), known.end(), field) != known.end();
    };
    if (is_known("passfile")) return "passfile";
    if (password && is_known("passwordFile")) return "passwordFile";
    return is_known("environmentFile") ? "environmentFile" : "";
  }

  void CheckApiVersion(const YamlNode& document, const Fields& fields) {
    const auto found = fields.find("apiVersion");
    if (found == fields.end()) {
      Report(document.at, "apiVersion", fmt::format("is missing; write {}", kApiVersion));
    } else if (found->second->kind != YamlNode::Kind::kScalar || found->second->text != kApiVersion) {
      Report(found->second->at, "apiVersion",
             fmt::format("must be {}, found {}", kApiVersion, DescribeYamlKind(*found->second)));
    }
  }

  void ReadMetadata(const YamlNode& document, const Fields& fields, v1::Metadata* metadata) {
    const auto found = fields.find("metadata");
    if (found == fields.end()) {
      Report(document.at, "metadata", "is missing; every object has a metadata.name");
      return;
    }
    ReadMessage(*found->second, "metadata", metadata);
    if (metadata->name().empty() && found->second->kind == YamlNode::Kind::kMap && !is_name_reported_) {
      Report(positions_->Find("metadata.name"), "metadata.name", "is missing");
    }
    is_name_reported_ = false;
  }

  void ReadSpec(const YamlNode& document, const Fields& fields, v1::Object* object) {
    const auto kind = fields.find("kind");
    std::vector<std::string> kinds;
    for (const FieldDescriptor* field : SpecFields()) kinds.push_back(KindName(*field));
    const FieldDescriptor* spec_field = nullptr;
    if (kind == fields.end()) {
      Report(document.at, "kind", fmt::format("is missing; write one of {}", Join(kinds, ", ")));
    } else {
      const auto known = std::find(kinds.begin(), kinds.end(), kind->second->text);
      if (kind->second->kind == YamlNode::Kind::kScalar && known != kinds.end()) {
        spec_field = SpecFields()[static_cast<size_t>(known - kinds.begin())];
      } else {
        Report(kind->second->at, "kind",
               fmt::format("must be one of {}, found {}{}", Join(kinds, ", "),
                           DescribeYamlKind(*kind->second), DidYouMean(kind->second->text, kinds)));
      }
    }
    const auto spec = fields.find("spec");
    if (spec == fields.end()) {
      Report(positions_->Find("spec"), "spec", "is missing");
    } else if (spec_field != nullptr) {
      ReadMessage(*spec->second, "spec", object->GetReflection()->MutableMessage(object, spec_field));
    }
  }

  void ReadMessage(const YamlNode& node, const std::string& path, Message* message) {
    if (!Step(node)) return;
    if (AsExtension(*message) != nullptr && node.kind == YamlNode::Kind::kMap)
      return ReadExtension(node, path, static_cast<google::protobuf::Any*>(message));
    ReadFields(node, path, {}, message);
  }

  // Fields of the message that "@type" names beside them.
  void ReadExtension(const YamlNode& node, const std::string& path, google::protobuf::Any* extension) {
    std::string type;
    SourcePosition at = node.at;
    for (const auto& [key, value] : node.entries) {
      if (key->text != kType || value->kind != YamlNode::Kind::kScalar) continue;
      type = value->text;
      at = value->at;
    }
    const std::unique_ptr<Message> inside = NewExtension(type);
    if (inside == nullptr) {
      return Report(at, Child(path, kType),
                    type.empty() ? "is missing: the full name of the kind's message"
                                 : fmt::format("'{}' is no kind that this program knows", Elide(type, 120)));
    }
    ReadFields(node, path, {std::string(kType)}, inside.get());
    extension->PackFrom(*inside);
  }

  // `known` are names beside those of the message's fields.
  void ReadFields(const YamlNode& node, const std::string& path, std::vector<std::string> known,
                  Message* message) {
    if (node.kind != YamlNode::Kind::kMap) {
      Report(node.at, path, fmt::format("expected fields (a map), found {}", DescribeYamlKind(node)));
      return;
    }
    const Descriptor* type = message->GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      if (!(type == v1::Metadata::descriptor() && type->field(i)->name() == "generation")) {
        known.push_back(type->field(i)->json_name());
      }
    }
    const Fields values = ReadKeys(node, path, known);
    std::map<const google::protobuf::OneofDescriptor*, std::string> chosen;
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      const auto value = values.find(field->json_name());
      if (value == values.end()) continue;
      const std::string field_path = Child(path, field->json_name());
      if (const auto* oneof = field->real_containing_oneof(); oneof != nullptr) {
        const auto [first, is_new] = chosen.emplace(oneof, field->json_name());
        if (!is_new) {
          Report(positions_->Find(field_path), field_path,
                 fmt::format("cannot stand beside {}: one {} at most", first->second, oneof->name()));
          continue;
        }
      }
      ReadField(*value->second, field_path, *field, message);
    }
  }

  void ReadField(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
                 Message* message) {
    if (field.is_map()) {
      ReadMap(node, path, field, message);
    } else if (field.is_repeated()) {
      ReadList(node, path, field, message);
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      ReadMessage(node, path, message->GetReflection()->MutableMessage(message, &field));
    } else {
      ReadScalar(node, path, field, message);
    }
  }

  void ReadList(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
                Message* message) {
    if (!Step(node)) return;
    if (node.kind != YamlNode::Kind::kSequence) {
      Report(node.at, path, fmt::format("expected a list, found {}", DescribeYamlKind(node)));
      return;
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      const YamlNode& item = *node.items[i];
      const std::string item_path = fmt::format("{}[{}]", path, i);
      positions_->Add(item_path, item.at);
      if (item.kind == YamlNode::Kind::kNull) {
        if (!Step(item)) return;
        Report(item.at, item_path, "is empty");
        if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
          message->GetReflection()->AddMessage(message, &field);  // those after it keep their places
        }
      } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        ReadMessage(item, item_path, message->GetReflection()->AddMessage(message, &field));
      } else {
        ReadScalar(item, item_path, field, message);
      }
      if (steps_ >= kMaxYamlNodes) return;
    }
  }

  // Only maps of text to text are declared anywhere.
  void ReadMap(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
               Message* message) {
    if (!Step(node)) return;
    if (node.kind != YamlNode::Kind::kMap) {
      Report(node.at, path, fmt::format("expected a map, found {}", DescribeYamlKind(node)));
      return;
    }
    std::map<std::string, SourcePosition> seen;
    for (const auto& [key, value] : node.entries) {
      if (key->kind != YamlNode::Kind::kScalar) {
        Report(key->at, path, fmt::format("a key must be text, found {}", DescribeYamlKind(*key)));
        continue;
      }
      const std::string entry_path = Child(path, key->text);
      if (!CheckNotSeen(*key, entry_path, &seen)) continue;
      positions_->Add(entry_path, key->at);
      if (value->kind == YamlNode::Kind::kNull) continue;
      const FieldDescriptor* value_field = field.message_type()->map_value();
      Message* entry = message->GetReflection()->AddMessage(message, &field);
      entry->GetReflection()->SetString(entry, field.message_type()->map_key(), key->text);
      ReadScalar(*value, entry_path, *value_field, entry);
      if (steps_ >= kMaxYamlNodes) return;
    }
  }

  void ReadScalar(const YamlNode& node, const std::string& path, const FieldDescriptor& field,
                  Message* message) {
    if (!Step(node)) return;
    if (node.kind != YamlNode::Kind::kScalar) {
      if (path == "metadata.name") is_name_reported_ = true;
      Report(node.at, path, fmt::format("expected {}, found {}", Expected(field), DescribeYamlKind(node)));
      return;
    }
    if (!StoreScalar(node, field, message)) {
      Report(node.at, path,
             fmt::format("expected {}, found {}{}", Expected(field), DescribeYamlKind(node),
                         SuggestEnum(node, field)));
    }
  }

  static std::vector<std::string> EnumWords(const FieldDescriptor& field) {
    std::vector<std::string> words;
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      const EnumValueDescriptor& value = *field.enum_type()->value(i);
      if (!IsUnspecified(value)) words.push_back(EnumText(value));
    }
    return words;
  }

  static std::string Expected(const FieldDescriptor& field) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return "an integer of 32 bits";
      case FieldDescriptor::CPPTYPE_INT64:
        return "an integer";
      case FieldDescriptor::CPPTYPE_UINT32:
      case FieldDescriptor::CPPTYPE_UINT64:
        return "an integer of at least 0";
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return "a number";
      case FieldDescriptor::CPPTYPE_BOOL:
        return "true or false";
      case FieldDescriptor::CPPTYPE_ENUM:
        return "one of " + Join(EnumWords(field), ", ");
      default:
        return field.type() == FieldDescriptor::TYPE_BYTES ? "hexadecimal digits" : "text";
    }
  }

  static std::string SuggestEnum(const YamlNode& node, const FieldDescriptor& field) {
    return field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM ? DidYouMean(node.text, EnumWords(field)) : "";
  }

  template <typename Value>
  static bool Store(const std::optional<Value>& value, const FieldDescriptor& field, Message* message,
                    void (Reflection::*set)(Message*, const FieldDescriptor*, Value) const,
                    void (Reflection::*add)(Message*, const FieldDescriptor*, Value) const) {
    if (!value) return false;
    (message->GetReflection()->*(field.is_repeated() ? add : set))(message, &field, *value);
    return true;
  }

  static std::optional<bool> ParseBool(const YamlNode& node) {
    if (node.plain && node.text == "true") return true;
    if (node.plain && node.text == "false") return false;
    return std::nullopt;
  }

  static std::optional<int> ParseEnum(const YamlNode& node, const FieldDescriptor& field) {
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      const EnumValueDescriptor& value = *field.enum_type()->value(i);
      if (!IsUnspecified(value) && EnumText(value) == node.text) return value.number();
    }
    return std::nullopt;
  }

  // False when the scalar is nothing of the field's type.
  static bool StoreScalar(const YamlNode& node, const FieldDescriptor& field, Message* message) {
    using R = Reflection;
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return Store(ParseNumber<int32_t>(node), field, message, &R::SetInt32, &R::AddInt32);
      case FieldDescriptor::CPPTYPE_INT64:
        return Store(ParseNumber<int64_t>(node), field, message, &R::SetInt64, &R::AddInt64);
      case FieldDescriptor::CPPTYPE_UINT32:
        return Store(ParseNumber<uint32_t>(node), field, message, &R::SetUInt32, &R::AddUInt32);
      case FieldDescriptor::CPPTYPE_UINT64:
        return Store(ParseNumber<uint64_t>(node), field, message, &R::SetUInt64, &R::AddUInt64);
      case FieldDescriptor::CPPTYPE_FLOAT:
        return Store(ParseNumber<float>(node), field, message, &R::SetFloat, &R::AddFloat);
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return Store(ParseNumber<double>(node), field, message, &R::SetDouble, &R::AddDouble);
      case FieldDescriptor::CPPTYPE_BOOL:
        return Store(ParseBool(node), field, message, &R::SetBool, &R::AddBool);
      case FieldDescriptor::CPPTYPE_ENUM:
        return Store(ParseEnum(node, field), field, message, &R::SetEnumValue, &R::AddEnumValue);
      case FieldDescriptor::CPPTYPE_STRING: {
        const bool is_bytes = field.type() == FieldDescriptor::TYPE_BYTES;
        const std::optional<std::string> value = is_bytes ? FromHex(node.text) : node.text;
        return Store<std::string>(value, field, message, &R::SetString, &R::AddString);
      }
      case FieldDescriptor::CPPTYPE_MESSAGE:
        break;
    }
    return false;
  }

  const std::string file_;
  ParsedFile& result_;
  FieldPositions* positions_ = nullptr;         // of the document that is being read
  std::vector<std::string>* unread_ = nullptr;  // likewise
  bool is_name_reported_ = false;
  int steps_ = 0;
};

std::string Indented(const std::string& key, const std::string& yaml) {
  if (yaml == "{}\n") return key + ": {}\n";
  std::string text = key + ":\n";
  for (const std::string& line : Split(yaml.substr(0, yaml.size() - 1), '\n')) {
    text += line.empty() ? "\n" : "  " + line + "\n";
  }
  return text;
}

}  // namespace

ParsedFile ParseObjects(std::string_view text, const std::string& file_name) {
  ParsedFile result;
  const YamlTree tree = ParseYamlTree(text);
  ObjectReader reader(file_name, &result);
  for (const YamlNode* document : tree.documents) reader.ReadDocument(*document);
  for (const YamlError& error : tree.errors) reader.Report(error.at, "", error.message);
  std::stable_sort(result.problems.begin(), result.problems.end(),
                   [](const YamlProblem& a, const YamlProblem& b) { return a.at < b.at; });
  if (!tree.errors.empty()) result.objects.clear();
  return result;
}

std::string RenderObjectYaml(const v1::Object& object) {
  std::string text = fmt::format("apiVersion: {}\n", kApiVersion);
  v1::Metadata metadata = object.metadata();
  metadata.clear_generation();
  for (const FieldDescriptor* field : SpecFields()) {
    if (!object.GetReflection()->HasField(object, field)) continue;
    text += fmt::format("kind: {}\n", KindName(*field));
    text += Indented("metadata", RenderYaml(metadata));
    text += Indented("spec", RenderYaml(object.GetReflection()->GetMessage(object, field)));
  }
  return text;
}

}  // namespace salvor
