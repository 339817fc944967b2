// A proposed declaration as the text that `salvor apply` takes unchanged. Pure.
#pragma once

#include <string>

#include "strategies/discovery/proposal.h"

namespace salvor::cli {

// One YAML document with its reasons as comments, in at most 80 columns as far as words allow; comments alone where
// nothing is proposed. `known` is whether an Application of that name is declared already.
std::string RenderProposal(const strategies::Proposal& proposal, bool known);

}  // namespace salvor::cli
