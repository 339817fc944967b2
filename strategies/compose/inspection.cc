#include "strategies/compose/inspection.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace salvor::strategies {
namespace {

constexpr int kStartWithin_s = 30;
constexpr int kTimeout_s = 600;

}  // namespace

bool OnlyLooks(v1::Purpose purpose) {
  return purpose == v1::PURPOSE_PREFLIGHT || purpose == v1::PURPOSE_GUARD || purpose == v1::PURPOSE_CHECK ||
         purpose == v1::PURPOSE_VERIFY;
}

StatusOr<v1::Flow> WhatOnlyLooks(const v1::Flow& flow) {
  v1::Flow looking = flow;
  looking.clear_steps();
  looking.clear_obligations();
  looking.mutable_start_within()->set_seconds(kStartWithin_s);
  looking.mutable_timeout()->set_seconds(kTimeout_s);
  // A step that prepares is left out of the way: who only reads a Location does not need it opened. Where it made a place
  // for others (an obligation), they can't do without it.
  enum class Fate { kKept, kNotNeeded, kLeftOut };
  std::map<std::string, Fate> fates;
  for (const v1::Obligation& obligation : flow.obligations()) fates[obligation.opened_by()] = Fate::kLeftOut;
  for (const v1::Step& step : flow.steps()) {  // which come in an order in which they could be done
    bool possible = true;
    v1::Step kept = step;
    kept.clear_after();
    for (const v1::Edge& edge : step.after()) {
      const auto before = fates.find(edge.step());
      const Fate fate = before == fates.end() ? Fate::kLeftOut : before->second;
      possible = possible && fate != Fate::kLeftOut;
      if (fate == Fate::kKept) *kept.add_after() = edge;
    }
    if (fates.count(step.id()) > 0) continue;
    if (possible && OnlyLooks(step.purpose()) && step.inputs().empty()) {
      fates[step.id()] = Fate::kKept;
      // The run has begun when one host has looked; another that is not there is given up as soon.
      kept.mutable_queue_timeout()->set_seconds(kStartWithin_s);
      *looking.add_steps() = std::move(kept);
    } else {
      const bool prepares = step.purpose() == v1::PURPOSE_PREPARE;
      fates[step.id()] = possible && prepares ? Fate::kNotNeeded : Fate::kLeftOut;
    }
  }
  if (looking.steps().empty()) return FailedPrecondition("there is nothing to look at beforehand");
  return looking;
}

}  // namespace salvor::strategies
