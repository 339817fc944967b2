// The shapes of messages as text, and what of them was broken: formats are archives, and are only added to. Pure.
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

namespace salvor::corpus {

// A line each for every field, enum value, method and reservation of these files, in order:
//   field salvor.v1.Step.after 5 repeated salvor.v1.Edge
//   value salvor.v1.Edge.Condition.CONDITION_FINISHED 2
//   method salvor.v1.AgentService.Connect stream salvor.v1.AgentMessage to stream salvor.v1.ControlMessage
//   reserved salvor.v1.Edge.Condition 1
// In which oneof a field stands is left out: it changes no byte.
std::vector<std::string> ShapesOf(const std::vector<const google::protobuf::FileDescriptor*>& files);

// A sentence for each line of `before` that bytes or texts written then could not be read by any more: another number,
// type or label, another name, removed without its number and name being reserved, a reservation taken back.
std::vector<std::string> FindBreaks(const std::vector<std::string>& before,
                                    const std::vector<std::string>& now);

}  // namespace salvor::corpus
