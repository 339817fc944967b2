// The registry of the actions that an agent can do. An action is registered by its function alone: whose message it
// takes, that kind of Action it runs, so that no name can be paired with another's function.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/work/action.h"
#include "salvor/v1/action.pb.h"

namespace salvor::agent {

// The function of one kind of Action, by that kind's message.
template <typename Message>
using TypedAction = StatusOr<v1::ActionResult> (*)(const Message& action, ActionContext& context);

template <typename Message>
using TypedCleanUp = Status (*)(const Message& action, ActionContext& context);

// The name of the field of Action's oneof that has this type ("postgres_dump"). It ends the program when none has, or
// more than one: that is a mistake in it.
std::string KindOfMessage(const google::protobuf::Descriptor& message);

// The part of an Action that is of this type. Only where the action is of that kind.
template <typename Message>
const Message& PartOf(const v1::Action& action) {
  static const auto* const field =
      v1::Action::descriptor()->FindFieldByName(KindOfMessage(*Message::descriptor()));
  return static_cast<const Message&>(action.GetReflection()->GetMessage(action, field));
}

// It ends the program when there is one of its kind already.
void AddAction(ActionRegistry& registry, const std::string& kind, ActionEntry entry);

template <typename Message>
void RegisterFunction(ActionRegistry& registry,
                      std::function<StatusOr<v1::ActionResult>(const Message&, ActionContext&)> run,
                      bool instant = false) {
  AddAction(registry, KindOfMessage(*Message::descriptor()),
            {[run = std::move(run)](const v1::Action& action, ActionContext& context) {
               return run(PartOf<Message>(action), context);
             },
             instant});
}

template <typename Message>
void Register(ActionRegistry& registry, TypedAction<Message> run, bool instant = false) {
  RegisterFunction<Message>(registry, run, instant);
}

// One that leaves something when it is cut short.
template <typename Message>
void RegisterWithCleanUp(ActionRegistry& registry, TypedAction<Message> run, TypedCleanUp<Message> clean_up) {
  Register(registry, run);
  registry[KindOfMessage(*Message::descriptor())].clean_up = [clean_up](const v1::Action& action,
                                                                        ActionContext& context) {
    return clean_up(PartOf<Message>(action), context);
  };
}

// Runs what its kind has registered for that; OK for kinds without.
Status CleanUpByKind(const ActionRegistry& registry, const v1::Action& action, ActionContext& context);

// Kinds of Action that the registry has no function for; those that ride in an extension are nobody's to count.
std::vector<std::string> KindsNotIn(const ActionRegistry& registry);

}  // namespace salvor::agent
