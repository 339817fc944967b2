#include <fmt/core.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <memory>
#include <set>

#include "proto/extension.h"
#include "strategies/compose/compile.h"

namespace salvor::strategies {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

void LayOver(const Message& top, Message* base);

// An extension that rides in an Any is laid over like any other message. False for what rides in none, or is not of one
// known type: then it is replaced.
bool LayExtensionOver(const Message& top, Message* base) {
  const auto* over = AsExtension(top);
  const auto* under = AsExtension(*base);
  if (over == nullptr || TypeOf(*over) != TypeOf(*under)) return false;
  const std::unique_ptr<Message> merged = Unpack(*under), laid = Unpack(*over);
  if (merged == nullptr || laid == nullptr) return false;
  LayOver(*laid, merged.get());
  static_cast<google::protobuf::Any*>(base)->PackFrom(*merged);
  return true;
}

// A field that is set replaces the base's; messages field by field, lists as a whole.
void LayFieldOver(const Message& top, const FieldDescriptor& field, Message* base) {
  const Reflection* reflection = base->GetReflection();
  if (!field.is_repeated() && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    if (LayExtensionOver(reflection->GetMessage(top, &field), reflection->MutableMessage(base, &field)))
      return;
    LayOver(reflection->GetMessage(top, &field), reflection->MutableMessage(base, &field));
    return;
  }
  // Taken over through a message that holds this field only: reflection copies whole messages alone.
  std::unique_ptr<Message> only(top.New());
  only->CopyFrom(top);
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(*only, &fields);
  for (const FieldDescriptor* other : fields) {
    if (other != &field) reflection->ClearField(only.get(), other);
  }
  reflection->ClearField(base, &field);
  base->MergeFrom(*only);
}

void LayOver(const Message& top, Message* base) {
  std::vector<const FieldDescriptor*> fields;
  top.GetReflection()->ListFields(top, &fields);
  for (const FieldDescriptor* field : fields) LayFieldOver(top, *field, base);
}

}  // namespace

StatusOr<std::vector<v1::Component>> ResolveComponents(const StrategyRegistry& strategies,
                                                       const v1::ApplicationSpec& application,
                                                       const v1::DriverSpec* driver) {
  std::vector<v1::Component> resolved;
  if (driver != nullptr) resolved.assign(driver->components().begin(), driver->components().end());
  std::set<std::string> names;
  for (const v1::Component& component : application.components()) {
    if (!names.insert(component.name()).second) {
      return InvalidArgument("two components are named '{}'", component.name());
    }
    const auto same_name = [&](const v1::Component& other) { return other.name() == component.name(); };
    const auto found = std::find_if(resolved.begin(), resolved.end(), same_name);
    if (found == resolved.end()) {
      resolved.push_back(component);
      continue;
    }
    const Strategy* here = strategies.Find(component);
    const Strategy* there = strategies.Find(*found);
    if (here != nullptr && there != nullptr && here != there) {
      return InvalidArgument("component '{}' is {} here and {} in the driver", component.name(), here->Name(),
                             there->Name());
    }
    if (here != nullptr && here == there) here->PrepareOverlay(component, &*found);
    LayOver(component, &*found);
  }
  for (v1::Component& component : resolved) {
    if (component.namespace_().empty()) component.set_namespace_(application.namespace_());
  }
  return resolved;
}

}  // namespace salvor::strategies
