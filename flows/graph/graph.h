// A Flow with its references resolved to indices: what the reducer walks. Immutable once made. Pure.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "flows/graph/graces.h"
#include "salvor/v1/flow.pb.h"

namespace salvor::flows {

class Graph {
 public:
  struct In {
    int step;
    v1::Edge::Condition condition;
  };
  struct Node {
    std::vector<In> after;        // what decides whether this step runs
    std::vector<int> dependents;  // steps to look at again once this one is terminal
    int opens = -1;               // obligation that its grant opens
    int releases = -1;            // obligation that it releases: such a step follows its own rules
    int place = -1;               // where it runs
  };
  struct Obligation {
    int opened_by;
    int released_by;
    std::vector<int> guards;
  };

  // InvalidArgument names every dangling reference, double id and cycle. A flow without places gets those that its steps
  // had in 0.1.
  static StatusOr<Graph> Make(v1::Flow flow);

  const v1::Flow& Flow() const { return flow_; }
  const FlowGraces& Graces() const { return graces_; }
  int StepCount() const { return flow_.steps_size(); }
  const v1::Step& Step(int step) const { return flow_.steps(step); }
  const Node& At(int step) const { return nodes_[static_cast<size_t>(step)]; }
  const std::vector<Obligation>& Obligations() const { return obligations_; }
  const v1::Obligation& ObligationAt(int obligation) const { return flow_.obligations(obligation); }

  const std::vector<v1::Place>& Places() const { return places_; }
  const v1::Place& PlaceOf(int step) const { return places_[static_cast<size_t>(At(step).place)]; }

  // Its undo; in flows of 0.1, which say none, what the step does that releases it.
  const v1::Action& UndoOf(int obligation) const;

  // -1 when there is none of that name.
  int FindObligation(const std::string& name) const;
  // -1 when there is none of that id.
  int Find(const std::string& id) const;
  int FindPlace(const std::string& name) const;

 private:
  Status ResolvePlaces();
  Status ResolveEdges();
  Status ResolveObligations();
  Status RefuseCycles() const;

  v1::Flow flow_;
  FlowGraces graces_{};
  std::vector<Node> nodes_;
  std::vector<Obligation> obligations_;
  std::vector<v1::Place> places_;
  std::unordered_map<std::string, int> index_;
};

}  // namespace salvor::flows
