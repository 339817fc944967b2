// How an action is registered whose message rides in Action.extension: under the full name of that message, which is its
// kind (proto/kind.h).
#pragma once

#include "agent/work/registry.h"

namespace salvor::agent {

template <typename Message>
void RegisterExtension(ActionRegistry& registry, TypedAction<Message> run) {
  const auto read = [run](const v1::Action& action, ActionContext& context) -> StatusOr<v1::ActionResult> {
    Message message;
    if (!action.extension().UnpackTo(&message))
      return InvalidArgument("what is asked for can't be read as a {}", Message::descriptor()->full_name());
    return run(message, context);
  };
  AddAction(registry, Message::descriptor()->full_name(), {read, false});
}

}  // namespace salvor::agent
