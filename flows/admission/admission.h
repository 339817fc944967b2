// May a step that wants these concurrency keys begin beside those that run? Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "salvor/v1/flow.pb.h"

namespace salvor::flows {

// One running step's hold on a key.
struct KeyHold {
  std::string name;
  bool exclusive = false;
  std::string holder;  // for people: "backup-shop-… db.dump.shop"
};

// Nothing when all keys are to be had; else why not, for people: "dump of backup-a is using this repository".
std::optional<std::string> WaitsFor(const google::protobuf::RepeatedPtrField<v1::ConcurrencyKey>& wanted,
                                    const std::vector<KeyHold>& held);

}  // namespace salvor::flows
