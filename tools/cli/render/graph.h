// The steps of a run or flow in waves: a step stands one wave after the latest of those it waits for. Pure.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>
#include <vector>

#include "salvor/v1/run.pb.h"

namespace salvor::cli {

// Indices into `steps`, wave by wave, in the order given. Edges to unknown steps count as none; steps on a
// cycle, which no compiled flow has, end up in the last wave.
std::vector<std::vector<int>> Waves(const google::protobuf::RepeatedPtrField<v1::StepStatus>& steps);

// "after db.dump (if it failed), files (whatever becomes of it)"; empty when it waits for nothing.
std::string WaitsFor(const v1::StepStatus& step);

// A compiled flow as a run that has not begun.
v1::Run AsRun(const v1::Flow& flow);

}  // namespace salvor::cli
