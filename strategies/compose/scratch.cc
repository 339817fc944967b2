#include "strategies/compose/scratch.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr int kStepTimeout_s = 600;
constexpr int kDeadline_s = 24 * 3600;

// "scratch.start" for the folder of the drill, "scratch.start.KEY" for any other place.
std::string NameOf(const std::string& word, const std::string& key) {
  return key.empty() ? word : fmt::format("{}.{}", word, key);
}

std::string StartOf(const ScratchPlace& place) { return NameOf("scratch.start", place.key); }
std::string StopOf(const ScratchPlace& place) { return NameOf("scratch.stop", place.key); }

}  // namespace

void Scratch::Add(const Fragment& fragment) {
  for (const ScratchPlace& need : fragment.scratch) {
    const auto same_key = [&need](const Place& place) { return place.wanted.key == need.key; };
    auto found = std::find_if(places_.begin(), places_.end(), same_key);
    if (found == places_.end()) {
      found = places_.insert(places_.end(), {need, {}});
    } else {
      found->wanted.bytes += need.bytes;
      if (found->wanted.join != nullptr) found->wanted.join(need, &found->wanted);
    }
    for (const v1::Step& step : fragment.steps) found->guards.push_back(step.id());
  }
}

void Scratch::Open(v1::Flow* flow, std::vector<v1::PlannedEffect>* effects) const {
  for (const auto& [wanted, guards] : places_) {
    v1::Step start = MakeStep(StartOf(wanted), v1::PURPOSE_PREPARE, "",
                              fmt::format("{} {}", wanted.is_server ? "start" : "create", wanted.title));
    *start.mutable_action() = wanted.start;
    After(&start, earlier_);
    Retry(&start, 3, 5, 60);
    SetAttemptTimeout(&start, kStepTimeout_s);
    *flow->add_steps() = std::move(start);
    effects->push_back(
        MakeEffect("create", wanted.contents,
                   fmt::format("about {}, removed when the drill is over", HumanBytes(wanted.bytes))));
  }
}

void Scratch::Close(v1::Flow* flow) const {
  for (const auto& [wanted, guards] : places_) {
    v1::Step stop = MakeStep(StopOf(wanted), v1::PURPOSE_UNDO, "", "remove " + wanted.title);
    *stop.mutable_action() = wanted.stop;
    Retry(&stop, 20, 2, 60);
    SetAttemptTimeout(&stop, kStepTimeout_s);
    *flow->add_steps() = std::move(stop);

    v1::Obligation* obligation = flow->add_obligations();
    obligation->set_name(NameOf("scratch", wanted.key));
    obligation->set_opened_by(StartOf(wanted));
    obligation->set_released_by(StopOf(wanted));
    *obligation->mutable_undo() = wanted.stop;
    for (const std::string& guard : guards) obligation->add_guards(guard);
    obligation->mutable_deadline()->set_seconds(kDeadline_s);
  }
}

std::string Scratch::RootOf(const Fragment& fragment) const {
  if (places_.empty()) return earlier_;
  return StartOf(fragment.scratch.empty() ? places_.front().wanted : fragment.scratch.front());
}

void Scratch::AwaitOthers(Fragment* fragment) const {
  const std::string root = RootOf(*fragment);
  for (v1::Step& step : fragment->steps) {
    const auto is_root = [&root](const v1::Edge& edge) { return edge.step() == root; };
    if (std::none_of(step.after().begin(), step.after().end(), is_root)) continue;
    for (const ScratchPlace& need : fragment->scratch) After(&step, StartOf(need));
  }
}

}  // namespace salvor::strategies
