#include "agent/work/registry.h"

#include <cstdio>
#include <cstdlib>

#include "proto/kind.h"

namespace salvor::agent {
namespace {

const google::protobuf::OneofDescriptor& Kinds() {
  static const auto* const kinds = v1::Action::descriptor()->FindOneofByName("kind");
  return *kinds;
}

[[noreturn]] void EndProgram(const std::string& why) {
  std::fprintf(stderr, "salvor-agent: %s\n", why.c_str());
  std::abort();
}

}  // namespace

std::string KindOfMessage(const google::protobuf::Descriptor& message) {
  std::string kind;
  for (int i = 0; i < Kinds().field_count(); ++i) {
    if (Kinds().field(i)->message_type() != &message) continue;
    if (!kind.empty()) EndProgram(message.name() + " is more than one kind of action");
    kind = Kinds().field(i)->name();
  }
  if (kind.empty()) EndProgram(message.name() + " is no kind of action");
  return kind;
}

void AddAction(ActionRegistry& registry, const std::string& kind, ActionEntry entry) {
  if (!registry.emplace(kind, std::move(entry)).second) EndProgram("two actions are of kind " + kind);
}

Status CleanUpByKind(const ActionRegistry& registry, const v1::Action& action, ActionContext& context) {
  const auto entry = registry.find(KindOf(action));
  if (entry == registry.end() || !entry->second.clean_up) return OkStatus();
  return entry->second.clean_up(action, context);
}

std::vector<std::string> KindsNotIn(const ActionRegistry& registry) {
  std::vector<std::string> kinds;
  for (int i = 0; i < Kinds().field_count(); ++i) {
    const std::string& kind = Kinds().field(i)->name();
    if (kind != "extension" && registry.count(kind) == 0) kinds.push_back(kind);
  }
  return kinds;
}

}  // namespace salvor::agent
