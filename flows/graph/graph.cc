#include "flows/graph/graph.h"

#include <utility>

#include "base/text.h"
#include "flows/graph/place_of_0_1.h"

namespace salvor::flows {

StatusOr<Graph> Graph::Make(v1::Flow flow) {
  Graph graph;
  graph.flow_ = std::move(flow);
  graph.graces_ = GracesOf(graph.flow_);
  graph.nodes_.resize(static_cast<size_t>(graph.flow_.steps_size()));
  std::vector<std::string> problems;
  for (int i = 0; i < graph.flow_.steps_size(); ++i) {
    const std::string& id = graph.flow_.steps(i).id();
    if (id.empty()) problems.push_back(fmt::format("step {} has no id", i));
    if (!graph.index_.emplace(id, i).second)
      problems.push_back(fmt::format("step id '{}' is used twice", id));
  }
  if (graph.flow_.steps_size() == 0) problems.push_back("a flow needs at least one step");
  for (const Status& status : {graph.ResolvePlaces(), graph.ResolveEdges(), graph.ResolveObligations()}) {
    if (!status.ok()) problems.push_back(MessageOf(status));
  }
  if (!problems.empty()) return InvalidArgument("flow: {}", Join(problems, "; "));
  RETURN_IF_ERROR(graph.RefuseCycles());
  return graph;
}

int Graph::Find(const std::string& id) const {
  const auto found = index_.find(id);
  return found == index_.end() ? -1 : found->second;
}

int Graph::FindPlace(const std::string& name) const {
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].name() == name) return static_cast<int>(i);
  }
  return -1;
}

Status Graph::ResolvePlaces() {
  std::vector<std::string> problems;
  for (const v1::Place& place : flow_.places()) {
    if (place.name().empty() || FindPlace(place.name()) >= 0)
      problems.push_back(fmt::format("place '{}' has no name of its own", place.name()));
    places_.push_back(place);
  }
  for (int i = 0; i < flow_.steps_size(); ++i) {
    const v1::Step& step = flow_.steps(i);
    v1::Place before;
    if (flow_.places().empty() && step.place().empty()) before = PlaceOf01(step);
    int place = FindPlace(before.name().empty() ? step.place() : before.name());
    if (place < 0 && !before.name().empty()) {
      place = static_cast<int>(places_.size());
      places_.push_back(std::move(before));
    }
    if (place < 0)
      problems.push_back(
          fmt::format("step '{}' is at place '{}', which is not in the flow", step.id(), step.place()));
    nodes_[static_cast<size_t>(i)].place = place;
  }
  return problems.empty() ? OkStatus() : InvalidArgument("{}", Join(problems, "; "));
}

Status Graph::ResolveEdges() {
  std::vector<std::string> problems;
  for (int i = 0; i < flow_.steps_size(); ++i) {
    for (const v1::Edge& edge : flow_.steps(i).after()) {
      const int from = Find(edge.step());
      if (from < 0) {
        problems.push_back(fmt::format("step '{}' is after '{}', which is not in the flow",
                                       flow_.steps(i).id(), edge.step()));
        continue;
      }
      nodes_[static_cast<size_t>(i)].after.push_back({from, edge.condition()});
      nodes_[static_cast<size_t>(from)].dependents.push_back(i);
    }
  }
  return problems.empty() ? OkStatus() : InvalidArgument("{}", Join(problems, "; "));
}

Status Graph::ResolveObligations() {
  std::vector<std::string> problems;
  for (int i = 0; i < flow_.obligations_size(); ++i) {
    const v1::Obligation& declared = flow_.obligations(i);
    Obligation resolved{Find(declared.opened_by()), Find(declared.released_by()), {}};
    for (const std::string& guard : declared.guards()) resolved.guards.push_back(Find(guard));
    bool whole = resolved.opened_by >= 0 && resolved.released_by >= 0;
    for (const int guard : resolved.guards) whole = whole && guard >= 0;
    if (!whole || !flow_.steps(resolved.released_by).after().empty()) {
      problems.push_back(fmt::format(
          "obligation '{}' names a step that is not in the flow, or its release has edges", declared.name()));
      continue;
    }
    nodes_[static_cast<size_t>(resolved.opened_by)].opens = i;
    nodes_[static_cast<size_t>(resolved.released_by)].releases = i;
    nodes_[static_cast<size_t>(resolved.opened_by)].dependents.push_back(resolved.released_by);
    for (const int guard : resolved.guards)
      nodes_[static_cast<size_t>(guard)].dependents.push_back(resolved.released_by);
    obligations_.push_back(std::move(resolved));
  }
  return problems.empty() ? OkStatus() : InvalidArgument("{}", Join(problems, "; "));
}

const v1::Action& Graph::UndoOf(int obligation) const {
  const v1::Obligation& declared = ObligationAt(obligation);
  if (declared.has_undo()) return declared.undo();
  return Step(obligations_[static_cast<size_t>(obligation)].released_by).action();
}

int Graph::FindObligation(const std::string& name) const {
  for (int i = 0; i < flow_.obligations_size(); ++i) {
    if (flow_.obligations(i).name() == name) return i;
  }
  return -1;
}

Status Graph::RefuseCycles() const {
  // Kahn: what can't be ordered is on a cycle, or behind one.
  std::vector<int> waits_for(nodes_.size(), 0);
  for (const Node& node : nodes_) {
    for (const int dependent : node.dependents) ++waits_for[static_cast<size_t>(dependent)];
  }
  std::vector<int> ordered;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (waits_for[i] == 0) ordered.push_back(static_cast<int>(i));
  }
  for (size_t next = 0; next < ordered.size(); ++next) {
    for (const int dependent : nodes_[static_cast<size_t>(ordered[next])].dependents) {
      if (--waits_for[static_cast<size_t>(dependent)] == 0) ordered.push_back(dependent);
    }
  }
  if (ordered.size() == nodes_.size()) return OkStatus();
  std::vector<std::string> stuck;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (waits_for[i] > 0) stuck.push_back(flow_.steps(static_cast<int>(i)).id());
  }
  return InvalidArgument("flow: steps wait for each other in a circle: {}", Join(stuck, ", "));
}

}  // namespace salvor::flows
