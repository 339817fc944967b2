#include "strategies/compose/places.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "strategies/interface/steps.h"

namespace salvor::strategies {

// No host's name has a colon.
std::string Places::NameOf(const std::string& host) const {
  if (is_cluster_) return "cluster";
  return host.empty() ? "host" : "host:" + host;
}

Places::Places(std::string environment, const std::vector<std::string>& hosts)
    : environment_(std::move(environment)) {
  const auto add = [this](const std::string& host) {
    if (std::find(hosts_.begin(), hosts_.end(), host) == hosts_.end()) hosts_.push_back(host);
  };
  if (hosts.empty() || std::find(hosts.begin(), hosts.end(), "") != hosts.end()) add("");
  for (const std::string& host : hosts) add(host);
}

Places Places::OfCluster(std::string environment) {
  Places places(std::move(environment), {});
  places.is_cluster_ = true;
  return places;
}

void Places::Put(const std::string& host, v1::Step* step) const { step->set_place(NameOf(host)); }

void Places::Settle(const std::string& component, const std::string& host, const std::string& root,
                    std::vector<v1::Step>* steps) const {
  const auto is_own = [own = component + "."](const v1::Edge& edge) {
    return edge.step().rfind(own, 0) == 0;
  };
  for (v1::Step& step : *steps) {
    // A step that waits for steps of other components waits for the main host's opening through them, and for its own
    // not yet.
    const bool is_first = host == MainHost() ? step.after().empty()
                                             : std::none_of(step.after().begin(), step.after().end(), is_own);
    if (is_first && step.purpose() != v1::PURPOSE_UNDO) After(&step, root);
    Put(host, &step);
  }
}

v1::Step Places::AlsoOpened(const v1::Step& first, const std::string& host, const std::string& after) const {
  v1::Step open = first;
  open.set_id(fmt::format("{}.{}", first.id(), host));
  open.set_title("open location on " + host);
  v1::LocationOpen* location = open.mutable_action()->mutable_location_open();
  location->set_must_exist(location->create());
  location->clear_forget_runs();
  After(&open, after);
  Put(host, &open);
  return open;
}

// A cluster's work may be taken over while the agent that began it is only cut off, and still at it. What is held
// still, or kept in another way, must not be let go by one of two that hold it: so it stays with who began.
void Places::KeepWithOneAgent(v1::Flow* flow) const {
  constexpr char kKept[] = "cluster:kept";
  if (!is_cluster_ || flow->obligations().empty()) return;
  v1::Place* place = flow->add_places();
  place->set_name(kKept);
  place->set_environment(environment_);
  place->set_runtime(v1::RUNTIME_KUBERNETES);
  place->set_kind(v1::AGENT_KIND_EXECUTOR);
  for (v1::Step& step : *flow->mutable_steps()) {
    for (const v1::Obligation& obligation : flow->obligations()) {
      if (step.id() == obligation.opened_by() || step.id() == obligation.released_by()) step.set_place(kKept);
    }
  }
}

void Places::Close(v1::Flow* flow) const {
  for (const std::string& host : hosts_) {
    v1::Place* place = flow->add_places();
    place->set_name(NameOf(host));
    place->set_environment(environment_);
    place->set_runtime(is_cluster_ ? v1::RUNTIME_KUBERNETES : v1::RUNTIME_HOST);
    place->set_kind(is_cluster_ ? v1::AGENT_KIND_EXECUTOR : v1::AGENT_KIND_HOST);
    place->set_movable(is_cluster_);
    place->set_agent(host);
  }
  for (v1::Step& step : *flow->mutable_steps()) {
    if (step.place().empty()) Put(MainHost(), &step);
  }
  KeepWithOneAgent(flow);
}

}  // namespace salvor::strategies
