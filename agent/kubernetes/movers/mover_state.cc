#include "agent/kubernetes/movers/mover_state.h"

#include <fmt/format.h>

#include <set>

#include "base/text.h"

namespace salvor::movers {
namespace {

using kubernetes::TextAt;
using velero::At;

constexpr size_t kMostText = 300;

std::string Clean(const std::string& text) { return Elide(CleanText(text), kMostText); }

// "REASON: MESSAGE", whichever there is.
std::string Said(const Json& at) {
  const std::string reason = Clean(TextAt(at, {"reason"})), message = Clean(TextAt(at, {"message"}));
  return reason.empty() || message.empty() ? reason + message : reason + ": " + message;
}

const Json* FindCondition(const Json& object, const std::string& type, const std::string& status) {
  const Json& conditions = At(object, {"status", "conditions"});
  if (!conditions.is_array()) return nullptr;
  for (const Json& condition : conditions) {
    if (TextAt(condition, {"type"}) == type && TextAt(condition, {"status"}) == status) return &condition;
  }
  return nullptr;
}

bool IsControlledBy(const Json& pod, const std::string& uid) {
  const Json& owners = At(pod, {"metadata", "ownerReferences"});
  if (!owners.is_array() || uid.empty()) return false;
  for (const Json& owner : owners) {
    if (TextAt(owner, {"uid"}) == uid && velero::FlagAt(owner, {"controller"})) return true;
  }
  return false;
}

// The newest of them: the controller makes one, and another where that was taken away before it began.
const Json* ChoosePod(const Json& job, const std::vector<Json>& pods) {
  const Json* chosen = nullptr;
  absl::Time made = absl::InfinitePast();
  for (const Json& pod : pods) {
    if (!IsControlledBy(pod, TextAt(job, {"metadata", "uid"}))) continue;
    const absl::Time at = velero::TimeAt(pod, {"metadata", "creationTimestamp"});
    if (chosen == nullptr || at > made) {
      chosen = &pod;
      made = at;
    }
  }
  return chosen;
}

const Json* FindContainer(const Json& pod, const char* list, const std::string& name) {
  const Json& statuses = At(pod, {"status", list});
  if (!statuses.is_array()) return nullptr;
  for (const Json& status : statuses) {
    if (TextAt(status, {"name"}) == name) return &status;
  }
  return nullptr;
}

// What a container waits for that does not come by itself: an image, a Secret.
std::string WaitsFor(const Json& pod, bool* is_hopeless) {
  static const std::set<std::string> kImage = {"ErrImagePull",      "ImagePullBackOff",
                                               "InvalidImageName",  "ErrImageNeverPull",
                                               "ImageInspectError", "RegistryUnavailable"};
  static const std::set<std::string> kHopeless = {"InvalidImageName", "ErrImageNeverPull"};
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    const Json& statuses = At(pod, {"status", list});
    if (!statuses.is_array()) continue;
    for (const Json& status : statuses) {
      const Json& waiting = At(status, {"state", "waiting"});
      const std::string reason = TextAt(waiting, {"reason"});
      if (reason.empty() || reason == "PodInitializing" || reason == "ContainerCreating") continue;
      *is_hopeless = *is_hopeless || kHopeless.count(reason) != 0;
      if (kImage.count(reason) != 0)
        return fmt::format("its image {} can't be had: {}", Clean(TextAt(status, {"image"})), Said(waiting));
      return "its container can't be started: " + Said(waiting);
    }
  }
  return "";
}

MoverState JudgeWaiting(const Json& pod, MoverState state) {
  state.reason = WaitsFor(pod, &state.is_hopeless);
  if (!state.reason.empty()) return state;
  if (const Json* unscheduled = FindCondition(pod, "PodScheduled", "False"); unscheduled != nullptr) {
    state.reason = "no node takes its pod: " + Said(*unscheduled);
    return state;
  }
  state.reason = "its pod is being started";
  return state;
}

MoverState JudgeEnded(const Json& pod, const Json& ended, MoverState state) {
  state.stage = MoverState::Stage::kEnded;
  state.exit_code = velero::NumberAt(ended, {"exitCode"});
  state.message = TextAt(ended, {"message"});
  state.reason = fmt::format("its container ended with exit code {}", state.exit_code);
  const std::string why = TextAt(ended, {"reason"});
  if (why == "OOMKilled") state.reason = "it ran out of memory, and was killed";
  const std::string evicted = Said(At(pod, {"status"}));
  if (!evicted.empty()) state.reason += "; " + evicted;
  return state;
}

MoverState JudgeFailed(const Json& pod, MoverState state) {
  state.stage = MoverState::Stage::kLost;
  state.reason = Said(At(pod, {"status"}));
  const Json& statuses = At(pod, {"status", "initContainerStatuses"});
  if (statuses.is_array()) {
    for (const Json& status : statuses) {
      const Json& ended = At(status, {"state", "terminated"});
      if (!ended.is_object() || velero::NumberAt(ended, {"exitCode"}) == 0) continue;
      state.reason = fmt::format("its container {} ended with exit code {}", Clean(TextAt(status, {"name"})),
                                 velero::NumberAt(ended, {"exitCode"}));
    }
  }
  if (state.reason.empty()) state.reason = "its pod failed without a word";
  return state;
}

MoverState JudgePod(const Json& pod, MoverState state) {
  state.pod = TextAt(pod, {"metadata", "name"});
  const std::string phase = TextAt(pod, {"status", "phase"});
  if (const Json* status = FindContainer(pod, "containerStatuses", kContainer); status != nullptr) {
    const Json& ended = At(*status, {"state", "terminated"});
    if (ended.is_object()) return JudgeEnded(pod, ended, std::move(state));
    if (At(*status, {"state", "running"}).is_object() && phase != "Failed") {
      state.stage = MoverState::Stage::kRunning;
      return state;
    }
  }
  if (phase == "Failed") return JudgeFailed(pod, std::move(state));
  return JudgeWaiting(pod, std::move(state));
}

}  // namespace

MoverState JudgeMover(const Json& job, const std::vector<Json>& pods) {
  MoverState state;
  const Json* failed = FindCondition(job, "Failed", "True");
  if (const Json* pod = ChoosePod(job, pods); pod != nullptr) {
    state = JudgePod(*pod, state);
    if (failed == nullptr || state.stage == MoverState::Stage::kEnded) return state;
  }
  if (failed != nullptr) {
    const std::string of_pod = state.stage == MoverState::Stage::kLost ? state.reason : "";
    state.stage = MoverState::Stage::kLost;
    state.is_out_of_time = TextAt(*failed, {"reason"}) == "DeadlineExceeded";
    state.reason = of_pod.empty() ? Said(*failed) : of_pod;
    if (state.pod.empty() && !state.is_out_of_time)
      state.reason = "its pod was taken away before it ended; " + state.reason;
    return state;
  }
  if (FindCondition(job, "Complete", "True") != nullptr) {
    state.stage = MoverState::Stage::kLost;
    state.reason = "its pod is gone, and its result with it";
    return state;
  }
  state.reason = "its pod is not made yet";
  return state;
}

}  // namespace salvor::movers
