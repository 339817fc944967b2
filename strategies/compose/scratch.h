// The throw-away places of a drill: each is made before what needs it and gone when the drill is over, whatever becomes
// of it. Pure.
#pragma once

#include <string>
#include <vector>

#include "salvor/v1/flow.pb.h"
#include "strategies/interface/strategy.h"

namespace salvor::strategies {

class Scratch {
 public:
  // The starts come after the step `earlier`.
  explicit Scratch(std::string earlier) : earlier_(std::move(earlier)) {}

  // The places that the fragment needs, for its steps.
  void Add(const Fragment& fragment);

  // Appends the starts, and an effect each.
  void Open(v1::Flow* flow, std::vector<v1::PlannedEffect>* effects) const;
  // Appends what removes the places, and that they are to be removed.
  void Close(v1::Flow* flow) const;

  // The step after which a fragment's steps without edges come: the start of its first place. A fragment that needs no
  // place waits for the first there is: that one says whether the drill is isolated.
  std::string RootOf(const Fragment& fragment) const;
  // Whatever comes after the root comes after the fragment's other places too.
  void AwaitOthers(Fragment* fragment) const;

 private:
  struct Place {
    ScratchPlace wanted;
    std::vector<std::string> guards;
  };

  const std::string earlier_;
  std::vector<Place> places_;  // in the order in which they were first needed
};

}  // namespace salvor::strategies
