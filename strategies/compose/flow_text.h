// A Flow and what it would do as stable text, for people and golden files. Pure.
#pragma once

#include <string>
#include <vector>

#include "salvor/v1/flow.pb.h"

namespace salvor::strategies {

// A line a step, in the flow's order: its id, action, edges, keys, inputs and retries; then the obligations.
std::string FlowText(const v1::Flow& flow);

// A line an effect: "create  database shop  from dump 1.10 GiB, …".
std::string EffectsText(const std::vector<v1::PlannedEffect>& effects);

}  // namespace salvor::strategies
