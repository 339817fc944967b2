#include "agent/engines/action/json_gate.h"

#include <set>
#include <string>
#include <vector>

namespace salvor::agent {
namespace {

using nlohmann::json;

// Follows the parser, and stops it at the first thing that is wrong.
class Gate {
 public:
  // False leaves the value out, which is never looked at then: there is a problem.
  bool Pass(int depth, json::parse_event_t event, json& value) {
    if (problem_ != nullptr) return false;
    switch (event) {
      case json::parse_event_t::object_start:
        keys_.emplace_back();
        if (depth >= kDeepestEvent) problem_ = "it is nested too deeply";
        break;
      case json::parse_event_t::array_start:
        if (depth >= kDeepestEvent) problem_ = "it is nested too deeply";
        break;
      case json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      case json::parse_event_t::key:
        if (!keys_.back().insert(value.get<std::string>()).second) problem_ = "a key stands in it twice";
        break;
      default:
        break;
    }
    return problem_ == nullptr;
  }
  const char* Problem() const { return problem_; }

 private:
  std::vector<std::set<std::string>> keys_;  // of the objects that are open
  const char* problem_ = nullptr;
};

}  // namespace

StatusOr<json> ReadJsonObject(std::string_view text) {
  if (text.size() > kLongestEventBytes)
    return InvalidArgument("it is longer than {} bytes", kLongestEventBytes);
  Gate gate;
  const auto pass = [&gate](int depth, json::parse_event_t event, json& value) {
    return gate.Pass(depth, event, value);
  };
  json value = json::parse(text.begin(), text.end(), pass, false);
  if (gate.Problem() != nullptr) return InvalidArgument("{}", gate.Problem());
  if (value.is_discarded()) return InvalidArgument("it is no JSON in UTF-8");
  if (!value.is_object()) return InvalidArgument("it is no JSON object");
  return value;
}

}  // namespace salvor::agent
