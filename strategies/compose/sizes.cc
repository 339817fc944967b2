#include "strategies/compose/sizes.h"

#include <fmt/core.h>

#include <string>
#include <vector>

#include "base/text.h"

namespace salvor::strategies {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kCopiesInARestore = 3;
// An action has more than that: the location, artifacts, the target.
constexpr size_t kRoomForOthers = 4 << 10;
constexpr size_t kMostNamed = 5;

// The part of a message that takes most of its room.
struct Bulk {
  std::string component;  // of which it is the field; empty: the message's own
  std::string field;      // as it is written in YAML: "disk.paths"; empty: nothing stands out
  size_t bytes = 0;
};

size_t BytesOf(const Message& message, const FieldDescriptor* field) {
  const auto* reflection = message.GetReflection();
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (!is_message && field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return 0;
  if (!field->is_repeated()) {
    return is_message ? reflection->GetMessage(message, field).ByteSizeLong()
                      : reflection->GetString(message, field).size();
  }
  size_t bytes = 0;
  for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
    bytes += is_message ? reflection->GetRepeatedMessage(message, field, i).ByteSizeLong()
                        : reflection->GetRepeatedString(message, field, i).size();
  }
  return bytes;
}

// Goes down into what takes at least half of the room, as far as something does.
void FindBulk(const Message& message, Bulk* bulk) {
  if (const auto* component = dynamic_cast<const v1::Component*>(&message))
    *bulk = {component->name(), "", component->ByteSizeLong()};
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  const FieldDescriptor* largest = nullptr;
  size_t bytes = 0;
  for (const FieldDescriptor* field : fields) {
    const size_t taken = BytesOf(message, field);
    if (taken > bytes) {
      largest = field;
      bytes = taken;
    }
  }
  if (largest == nullptr || bytes < message.ByteSizeLong() / 2) return;
  bulk->field += (bulk->field.empty() ? "" : ".") + largest->json_name();
  bulk->bytes = bytes;
  if (largest->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return;
  if (!largest->is_repeated()) return FindBulk(reflection->GetMessage(message, largest), bulk);
  for (int i = 0; i < reflection->FieldSize(message, largest); ++i) {
    const Message& one = reflection->GetRepeatedMessage(message, largest, i);
    if (one.ByteSizeLong() < bytes / 2) continue;
    bulk->field += fmt::format("[{}]", i);
    bulk->bytes = one.ByteSizeLong();
    return FindBulk(one, bulk);
  }
}

Bulk BulkOf(const v1::Step& step) {
  Bulk bulk;
  const auto* reflection = step.action().GetReflection();
  const auto* kind = v1::Action::descriptor()->FindFieldByNumber(step.action().kind_case());
  if (kind != nullptr) FindBulk(reflection->GetMessage(step.action(), kind), &bulk);
  if (bulk.component.empty()) bulk.component = step.component();
  const std::string declared = "component.";  // an action has a strategy's part of it under this name
  if (bulk.field.rfind(declared, 0) == 0) bulk.field.erase(0, declared.size());
  return bulk;
}

}  // namespace

Status CheckSizes(const v1::Flow& flow) {
  std::vector<std::string> problems;
  std::string hint;
  size_t left_out = 0;
  for (const v1::Step& step : flow.steps()) {
    const size_t bytes = step.action().ByteSizeLong();
    if (bytes <= kMostActionBytes) continue;
    if (problems.size() == kMostNamed) {
      ++left_out;
      continue;
    }
    const Bulk bulk = BulkOf(step);
    const std::string where = bulk.component.empty() ? "" : fmt::format(" of component '{}'", bulk.component);
    problems.push_back(fmt::format("step '{}': its action has {} more than the {} that it may have",
                                   step.id(), HumanBytes(static_cast<int64_t>(bytes - kMostActionBytes)),
                                   HumanBytes(kMostActionBytes)));
    if (!bulk.field.empty())
      problems.back() +=
          fmt::format(", and {} are {}{}", HumanBytes(static_cast<int64_t>(bulk.bytes)), bulk.field, where);
    if (hint.empty()) {
      hint =
          fmt::format("Shorten {}{}, or split the {}.", bulk.field.empty() ? "what it declares" : bulk.field,
                      where, bulk.component.empty() ? "application" : "component");
    }
  }
  if (problems.empty()) return OkStatus();
  if (left_out > 0) problems.push_back(fmt::format("{} more steps are too large", left_out));
  return WithHint(InvalidArgument("{}", Join(problems, "; ")), hint);
}

Status CheckManifestSize(const v1::ManifestWrite& write) {
  constexpr size_t kArtifactsOfOnePlanned = 2;  // itself, and its details
  const v1::Manifest& manifest = write.manifest();
  const size_t artifacts = kArtifactsOfOnePlanned * static_cast<size_t>(write.planned_size());
  const size_t bytes = manifest.ByteSizeLong() + artifacts * kManifestRoomPerArtifact;
  if (bytes <= kMostManifestBytes) return OkStatus();
  return WithHint(
      InvalidArgument(
          "the manifest of {} components with {} artifacts would take about {}, more than the {} that can "
          "be kept of a backup",
          manifest.components_size(), artifacts, HumanBytes(static_cast<int64_t>(bytes)),
          HumanBytes(kMostManifestBytes)),
      "Split the application into several.");
}

std::optional<FieldProblem> FindTooLarge(const v1::Component& component) {
  v1::Component rest = component;
  rest.clear_checks();
  const size_t in_a_restore = kCopiesInARestore * rest.ByteSizeLong();
  const size_t checks = component.ByteSizeLong() - rest.ByteSizeLong();
  if (in_a_restore + checks <= kMostActionBytes - kRoomForOthers) return std::nullopt;
  v1::Component larger = rest;
  if (checks > in_a_restore) {
    larger.Clear();
    *larger.mutable_checks() = component.checks();
  }
  Bulk bulk;
  FindBulk(larger, &bulk);
  return FieldProblem{
      bulk.field,
      fmt::format(
          "takes {}, and a component of that size could not be restored; shorten it, or split the component",
          HumanBytes(static_cast<int64_t>(bulk.bytes)))};
}

}  // namespace salvor::strategies
