#include "tests/corpus/message_shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/text.h"

namespace salvor::corpus {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::MethodDescriptor;
using google::protobuf::ServiceDescriptor;

std::string TypeOf(const FieldDescriptor& field) {
  if (field.type() == FieldDescriptor::TYPE_MESSAGE) return field.message_type()->full_name();
  if (field.type() == FieldDescriptor::TYPE_ENUM) return field.enum_type()->full_name();
  return field.type_name();
}

class Lines {
 public:
  void Add(const FileDescriptor& file) {
    for (int i = 0; i < file.message_type_count(); ++i) Add(*file.message_type(i));
    for (int i = 0; i < file.enum_type_count(); ++i) Add(*file.enum_type(i));
    for (int i = 0; i < file.service_count(); ++i) Add(*file.service(i));
  }
  std::vector<std::string> Take() {
    std::sort(lines_.begin(), lines_.end());
    return std::move(lines_);
  }

 private:
  void Add(const Descriptor& message) {
    for (int i = 0; i < message.field_count(); ++i) {
      const FieldDescriptor& field = *message.field(i);
      const char* label = field.is_repeated()            ? "repeated"
                          : field.has_optional_keyword() ? "optional"
                                                         : "single";
      lines_.push_back(
          fmt::format("field {} {} {} {}", field.full_name(), field.number(), label, TypeOf(field)));
    }
    for (int i = 0; i < message.reserved_range_count(); ++i)  // its end is not reserved
      AddReserved(message.full_name(), message.reserved_range(i)->start, message.reserved_range(i)->end - 1);
    for (int i = 0; i < message.reserved_name_count(); ++i)
      lines_.push_back(fmt::format("reserved {} {}", message.full_name(), message.reserved_name(i)));
    for (int i = 0; i < message.nested_type_count(); ++i) Add(*message.nested_type(i));
    for (int i = 0; i < message.enum_type_count(); ++i) Add(*message.enum_type(i));
  }

  void Add(const EnumDescriptor& values) {
    for (int i = 0; i < values.value_count(); ++i)
      lines_.push_back(fmt::format("value {}.{} {}", values.full_name(), values.value(i)->name(),
                                   values.value(i)->number()));
    for (int i = 0; i < values.reserved_range_count(); ++i)  // its end is reserved
      AddReserved(values.full_name(), values.reserved_range(i)->start, values.reserved_range(i)->end);
    for (int i = 0; i < values.reserved_name_count(); ++i)
      lines_.push_back(fmt::format("reserved {} {}", values.full_name(), values.reserved_name(i)));
  }

  void Add(const ServiceDescriptor& service) {
    for (int i = 0; i < service.method_count(); ++i) {
      const MethodDescriptor& method = *service.method(i);
      lines_.push_back(
          fmt::format("method {} {}{} to {}{}", method.full_name(),
                      method.client_streaming() ? "stream " : "", method.input_type()->full_name(),
                      method.server_streaming() ? "stream " : "", method.output_type()->full_name()));
    }
  }

  void AddReserved(const std::string& owner, int first, int last) {
    for (int number = first; number <= last; ++number)
      lines_.push_back(fmt::format("reserved {} {}", owner, number));
  }

  std::vector<std::string> lines_;
};

std::string Parent(const std::string& name) { return name.substr(0, name.rfind('.')); }
std::string LastPart(const std::string& name) { return name.substr(name.rfind('.') + 1); }

}  // namespace

std::vector<std::string> ShapesOf(const std::vector<const FileDescriptor*>& files) {
  Lines lines;
  for (const FileDescriptor* file : files) lines.Add(*file);
  return lines.Take();
}

std::vector<std::string> FindBreaks(const std::vector<std::string>& before,
                                    const std::vector<std::string>& now) {
  const std::set<std::string> present(now.begin(), now.end());
  std::map<std::string, std::string> by_name;  // "field salvor.v1.Step.after" -> its line
  std::map<std::pair<std::string, std::string>, std::string>
      by_number;  // {"salvor.v1.Step", "5"} -> its line
  for (const std::string& line : now) {
    const std::vector<std::string> words = Split(line, ' ');
    if (words[0] == "reserved") continue;
    by_name[words[0] + " " + words[1]] = line;
    if (words[0] != "method") by_number[{Parent(words[1]), words[2]}] = line;
  }
  std::vector<std::string> breaks;
  for (const std::string& line : before) {
    if (present.count(line) > 0) continue;
    const std::vector<std::string> words = Split(line, ' ');
    if (words[0] == "reserved") {
      breaks.push_back(fmt::format("'{}' is gone: what is reserved stays reserved", line));
    } else if (const auto same = by_name.find(words[0] + " " + words[1]); same != by_name.end()) {
      breaks.push_back(fmt::format("'{}' has become '{}'", line, same->second));
    } else if (const auto reused = by_number.find({Parent(words[1]), words[2]});
               words[0] != "method" && reused != by_number.end()) {
      breaks.push_back(fmt::format("the number of '{}' belongs to '{}' now", line, reused->second));
    } else {
      const std::string owner = "reserved " + Parent(words[1]) + " ";
      const bool is_reserved =
          present.count(owner + words[2]) > 0 && present.count(owner + LastPart(words[1])) > 0;
      if (words[0] == "method" || !is_reserved)
        breaks.push_back(fmt::format("'{}' is gone, and its number and name are not reserved", line));
    }
  }
  return breaks;
}

}  // namespace salvor::corpus
