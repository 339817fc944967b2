#include "flows/plan/admission.h"

#include <fmt/core.h>

namespace salvor::flows {

std::optional<std::string> WaitsFor(const google::protobuf::RepeatedPtrField<v1::ConcurrencyKey>& wanted,
                                    const std::vector<KeyHold>& held) {
  for (const v1::ConcurrencyKey& key : wanted) {
    int shared = 0;
    for (const KeyHold& hold : held) {
      if (hold.name != key.name()) continue;
      if (hold.exclusive || key.exclusive())
        return fmt::format("waits for {}, held by {}", key.name(), hold.holder);
      if (++shared >= key.limit() && key.limit() > 0) {
        return fmt::format("waits for {}, all {} held, one by {}", key.name(), key.limit(), hold.holder);
      }
    }
  }
  return std::nullopt;
}

}  // namespace salvor::flows
