// What could be declared of a namespace, by what runs there: an Application that keeps each claim that a running pod
// has mounted, with the reasons, and the names of all that it does not keep. Pure; equal facts make equal proposals.
//
// Every text of the cluster passes one gate on its way into a sentence (Shown), and only names that a declaration may
// have come into the declaration itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "salvor/v1/discovery.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor::strategies {

struct ProposedComponent {
  v1::Component component;
  std::vector<std::string> reasons;  // sentences
};

struct Proposal {
  // The Application without its components; nothing can be applied of it where there are none.
  v1::Object application;
  std::vector<ProposedComponent> components;  // in the order of their claims
  std::vector<std::string> cautions;          // sentences: of the proposal as a whole
  std::vector<std::string>
      not_kept;  // sentences: what was not classified, or is not kept, each with the reason
};

// `name` and `environment` are valid names of objects.
Proposal Propose(const v1::Discovery& facts, const std::string& name, const std::string& environment);

// The text of a cluster as it stands in a sentence: one word of printable ASCII, cut to a length that fits a line.
std::string Shown(std::string_view text);

}  // namespace salvor::strategies
