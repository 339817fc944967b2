// How an obligation is undone that names no undo: one that 0.1 wrote into a journal, or that a control plane of 0.1
// orders. Pure.
#pragma once

#include "salvor/v1/action.pb.h"
#include "salvor/v1/agent_service.pb.h"

namespace salvor::agent {

// An empty action for one that says nothing that can be understood.
v1::Action UndoOf0_1(const v1::HeldObligation& obligation);

}  // namespace salvor::agent
