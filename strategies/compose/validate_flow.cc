#include <fmt/core.h>
#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/text.h"
#include "flows/graph/graces.h"
#include "strategies/compose/compile.h"
#include "strategies/compose/inspection.h"
#include "strategies/compose/sizes.h"

namespace salvor::strategies {
namespace {

// The longest component name, a word of the strategy, the longest slug of a database and a number fit.
constexpr size_t kMaxStepIdLength = 128;

bool IsStepId(const std::string& id) {
  const auto is_alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !id.empty() && id.size() <= kMaxStepIdLength && is_alphanumeric(id.front()) &&
         std::all_of(id.begin(), id.end(),
                     [&](char c) { return is_alphanumeric(c) || c == '.' || c == '-'; });
}

class FlowValidator {
 public:
  FlowValidator(const v1::Flow& flow, v1::RunKind kind) : flow_(flow), kind_(kind) {}

  Status Validate() {
    if (flow_.steps().empty()) return InvalidArgument("the flow has no steps");
    RETURN_IF_ERROR(flows::CheckGraces(flow_.graces()));
    RETURN_IF_ERROR(IndexSteps());
    RETURN_IF_ERROR(CheckPlaces());
    if (kind_ == v1::RUN_KIND_INSPECT) RETURN_IF_ERROR(CheckOnlyLooks());
    for (const v1::Step& step : flow_.steps()) {
      RETURN_IF_ERROR(CheckAction(step));
      if (step.retry().on_exhausted() == v1::RetryPolicy::ON_EXHAUSTED_PAUSE)
        return InvalidArgument("step '{}' would pause, and nothing lets it go on", step.id());
      RETURN_IF_ERROR(CheckEdges(step));
    }
    RETURN_IF_ERROR(CheckSizes(flow_));
    RETURN_IF_ERROR(CheckObligations());
    RETURN_IF_ERROR(RefuseCycles());
    for (const v1::Step& step : flow_.steps()) RETURN_IF_ERROR(CheckInputs(step));
    return OkStatus();
  }

 private:
  Status IndexSteps() {
    for (int i = 0; i < flow_.steps_size(); ++i) {
      const std::string& id = flow_.steps(i).id();
      if (!IsStepId(id)) return InvalidArgument("'{}' is no step id", CleanText(id.substr(0, 100)));
      if (!index_.emplace(id, i).second) return InvalidArgument("two steps have the id '{}'", id);
    }
    return OkStatus();
  }

  // A run that only looks may go before everything else, at any time, because it changes nothing.
  Status CheckOnlyLooks() const {
    for (const v1::Step& step : flow_.steps()) {
      if (!OnlyLooks(step.purpose()))
        return InvalidArgument("step '{}' does more than look, and is in a run that only looks", step.id());
    }
    if (flow_.obligations().empty()) return OkStatus();
    return InvalidArgument("obligation '{}' is in a run that only looks", flow_.obligations(0).name());
  }

  Status CheckPlaces() const {
    std::set<std::string> names;
    for (const v1::Place& place : flow_.places()) {
      if (place.name().empty() || !names.insert(place.name()).second)
        return InvalidArgument("a place has no name of its own: '{}'", place.name());
      if (place.environment().empty())
        return InvalidArgument("place '{}' is in no environment", place.name());
    }
    for (const v1::Step& step : flow_.steps()) {
      if (names.empty() ? !step.place().empty() : names.count(step.place()) == 0)
        return InvalidArgument("step '{}' is at place '{}', which is not in the flow", step.id(),
                               step.place());
    }
    return OkStatus();
  }

  static Status CheckAction(const v1::Step& step) {
    if (step.action().kind_case() == v1::Action::KIND_NOT_SET) {
      return InvalidArgument("step '{}' has no action", step.id());
    }
    return OkStatus();
  }

  Status CheckEdges(const v1::Step& step) const {
    for (const v1::Edge& edge : step.after()) {
      if (index_.count(edge.step()) == 0) {
        return InvalidArgument("step '{}' comes after '{}', which is not in the flow", step.id(),
                               edge.step());
      }
    }
    return OkStatus();
  }

  // A thing that was made on one agent is undone by no other.
  Status CheckPlacesOf(const v1::Obligation& obligation) const {
    const std::string& opened_at = flow_.steps(index_.at(obligation.opened_by())).place();
    if (opened_at != flow_.steps(index_.at(obligation.released_by())).place())
      return InvalidArgument("obligation '{}' is released at another place than it is opened at",
                             obligation.name());
    for (const v1::Place& place : flow_.places()) {
      if (place.name() == opened_at && place.movable())
        return InvalidArgument("obligation '{}' is opened at place '{}', which moves", obligation.name(),
                               opened_at);
    }
    return OkStatus();
  }

  Status CheckObligations() const {
    std::set<std::string> names, opened_by, released_by;
    for (const v1::Obligation& obligation : flow_.obligations()) {
      const std::string& name = obligation.name();
      if (name.empty() || !names.insert(name).second) {
        return InvalidArgument("an obligation has no name of its own: '{}'", name);
      }
      std::vector<std::string> steps = {obligation.opened_by(), obligation.released_by()};
      steps.insert(steps.end(), obligation.guards().begin(), obligation.guards().end());
      for (const std::string& step : steps) {
        if (index_.count(step) == 0) {
          return InvalidArgument("obligation '{}' names step '{}', which is not in the flow", name, step);
        }
      }
      RETURN_IF_ERROR(CheckPlacesOf(obligation));
      // The obligation alone decides when its release is ready.
      if (!flow_.steps(index_.at(obligation.released_by())).after().empty()) {
        return InvalidArgument("step '{}' releases obligation '{}' and must not have edges",
                               obligation.released_by(), name);
      }
      const auto& guards = obligation.guards();
      if (obligation.released_by() == obligation.opened_by() ||
          !released_by.insert(obligation.released_by()).second ||
          std::find(guards.begin(), guards.end(), obligation.released_by()) != guards.end()) {
        return InvalidArgument("obligation '{}' needs a release of its own, which it does not guard", name);
      }
      if (!opened_by.insert(obligation.opened_by()).second)
        return InvalidArgument("step '{}' opens more than one obligation", obligation.opened_by());
      // The two must be equal, or an agent that is alone would do something else than one that is told to.
      const v1::Action& release = flow_.steps(index_.at(obligation.released_by())).action();
      if (!google::protobuf::util::MessageDifferencer::Equals(obligation.undo(), release)) {
        return InvalidArgument("obligation '{}' is undone by another action than that of step '{}'", name,
                               obligation.released_by());
      }
    }
    return OkStatus();
  }

  // Edges, and the steps an obligation's release waits for.
  std::vector<std::vector<int>> Predecessors() const {
    std::vector<std::vector<int>> predecessors(static_cast<size_t>(flow_.steps_size()));
    for (int i = 0; i < flow_.steps_size(); ++i) {
      for (const v1::Edge& edge : flow_.steps(i).after()) {
        predecessors[static_cast<size_t>(i)].push_back(index_.at(edge.step()));
      }
    }
    for (const v1::Obligation& obligation : flow_.obligations()) {
      std::vector<int>& before = predecessors[static_cast<size_t>(index_.at(obligation.released_by()))];
      before.push_back(index_.at(obligation.opened_by()));
      for (const std::string& guard : obligation.guards()) before.push_back(index_.at(guard));
    }
    return predecessors;
  }

  Status RefuseCycles() const {
    const std::vector<std::vector<int>> predecessors = Predecessors();
    std::vector<std::vector<int>> successors(predecessors.size());
    std::vector<size_t> open(predecessors.size());
    std::vector<int> ready;
    for (size_t i = 0; i < predecessors.size(); ++i) {
      open[i] = predecessors[i].size();
      if (open[i] == 0) ready.push_back(static_cast<int>(i));
      for (const int before : predecessors[i])
        successors[static_cast<size_t>(before)].push_back(static_cast<int>(i));
    }
    size_t done = 0;
    while (!ready.empty()) {
      const int step = ready.back();
      ready.pop_back();
      ++done;
      for (const int next : successors[static_cast<size_t>(step)]) {
        if (--open[static_cast<size_t>(next)] == 0) ready.push_back(next);
      }
    }
    if (done == predecessors.size()) return OkStatus();
    const auto waiting = std::find_if(open.begin(), open.end(), [](size_t count) { return count > 0; });
    return InvalidArgument("step '{}' waits for itself, directly or through others",
                           flow_.steps(static_cast<int>(waiting - open.begin())).id());
  }

  // An input's result must be there when the step is dispatched.
  Status CheckInputs(const v1::Step& step) const {
    if (step.inputs().empty()) return OkStatus();
    std::set<std::string> ancestors;
    std::vector<const v1::Step*> open = {&step};
    while (!open.empty()) {
      const v1::Step* current = open.back();
      open.pop_back();
      for (const v1::Edge& edge : current->after()) {
        if (ancestors.insert(edge.step()).second) open.push_back(&flow_.steps(index_.at(edge.step())));
      }
    }
    for (const std::string& input : step.inputs()) {
      if (ancestors.count(input) == 0) {
        return InvalidArgument("step '{}' takes the result of '{}', which does not come before it", step.id(),
                               input);
      }
    }
    return OkStatus();
  }

  const v1::Flow& flow_;
  const v1::RunKind kind_;
  std::unordered_map<std::string, int> index_;
};

}  // namespace

Status ValidateFlow(const v1::Flow& flow, v1::RunKind kind) { return FlowValidator(flow, kind).Validate(); }

}  // namespace salvor::strategies
