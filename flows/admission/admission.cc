#include "flows/admission/admission.h"

#include <fmt/core.h>

namespace salvor::flows {

std::optional<std::string> WaitsFor(const google::protobuf::RepeatedPtrField<v1::ConcurrencyKey>& wanted,
                                    const std::vector<KeyHold>& held) {
  for (const v1::ConcurrencyKey& key : wanted) {
    int shared = 0;
    for (const KeyHold& hold : held) {
      if (hold.name != key.name()) continue;
      const bool full = ++shared >= key.limit() && key.limit() > 0;
      if (!full && !hold.exclusive && !key.exclusive()) continue;
      return fmt::format("{} is using {}", hold.holder, key.title().empty() ? key.name() : key.title());
    }
  }
  return std::nullopt;
}

}  // namespace salvor::flows
