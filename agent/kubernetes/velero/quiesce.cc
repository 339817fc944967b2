#include "agent/kubernetes/velero/quiesce.h"

#include <absl/algorithm/container.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/text.h"

namespace salvor::velero {
namespace {

// Its arguments: the seconds until the deadline, the number of the command's words, these, and those of the release. It
// needs sh, sleep and, to see that it is late, date.
//
// The shell handles SIGPIPE rather than ignore it, so that a connection that is gone does not end it, and its children
// have the signal as usual. The watchdog releases at the deadline, or when the shell is gone, which some container
// runtimes kill with the connection. It is never early by the agent's clock, which began before it: what the agent
// takes for held is held. It waits for its sleep, which it ends itself, so that nothing is left behind. A command
// that is still at work at the deadline has not held anything still when the watchdog releases: the release is run
// once more after it.
constexpr char kHoldScript[] = R"(trap : PIPE HUP
seconds=$1 words=$2
shift 2
hold() {
  left=$words all=$#
  for word do
    [ "$left" -gt 0 ] && set -- "$@" "$word"
    left=$((left - 1))
  done
  shift "$all"
  "$@"
}
release() {
  shift "$words"
  "$@"
}
now() { date +%s 2>/dev/null || echo 0; }
begun=$(now)
(
  trap : HUP
  trap 'kill "$sleeping" 2>/dev/null; wait "$sleeping"; exit 0' TERM
  left=$seconds
  while [ "$left" -gt 0 ] && kill -0 $$ 2>/dev/null; do
    sleep 1 &
    sleeping=$!
    wait "$sleeping"
    left=$((left - 1))
  done
  release "$@"
) </dev/null >/dev/null 2>&1 &
watchdog=$!
let_go() {
  release "$@" </dev/null >&2
  released=$?
  [ "$released" -eq 0 ] && kill -TERM "$watchdog" 2>/dev/null && wait "$watchdog"
  return "$released"
}
hold "$@" </dev/null >&2
code=$?
if [ "$code" -ne 0 ]; then
  let_go "$@"
  exit "$code"
fi
if [ $(($(now) - begun)) -ge "$seconds" ]; then
  let_go "$@"
  exit 124
fi
echo 'salvor: held' 2>/dev/null
while read -r line; do
  [ "$line" = 'salvor: release' ] && break
done
let_go "$@"
exit "$?"
)";

bool IsMeant(const v1::PodQuiesce& quiesce, const Pod& pod) {
  if (!pod.running || pod.name_space != quiesce.namespace_()) return false;
  if (!quiesce.labels().empty()) {
    return std::all_of(quiesce.labels().begin(), quiesce.labels().end(), [&](const auto& label) {
      const auto found = pod.labels.find(label.first);
      return found != pod.labels.end() && found->second == label.second;
    });
  }
  return std::any_of(quiesce.claims().begin(), quiesce.claims().end(),
                     [&](const std::string& claim) { return absl::c_linear_search(pod.claims, claim); });
}

StatusOr<std::string> ContainerOf(const v1::PodQuiesce& quiesce, const Pod& pod) {
  const std::string& named = quiesce.container();
  if (named.empty() && pod.containers.size() == 1) return pod.containers.front();
  if (!named.empty() && absl::c_linear_search(pod.containers, named)) return named;
  return WithHint(
      FailedPrecondition("{} of pod {}, which component {} holds still",
                         named.empty() ? "it is not said which container" : "there is no container " + named,
                         Key(pod.name_space, pod.name), quiesce.component()),
      "Name one in quiesce.container: " + Join(pod.containers, ", "));
}

StatusOr<std::vector<HeldContainer>> Choose(const v1::PodQuiesce& quiesce, const std::vector<Pod>& pods) {
  std::vector<HeldContainer> chosen;
  for (const Pod& pod : pods) {
    if (!IsMeant(quiesce, pod)) continue;
    ASSIGN_OR_RETURN(const std::string container, ContainerOf(quiesce, pod));
    chosen.push_back({pod.name_space, pod.name, container, &quiesce});
  }
  return chosen;
}

std::string WhoIsMeant(const v1::PodQuiesce& quiesce) {
  if (quiesce.labels().empty())
    return "has mounted " + Join({quiesce.claims().begin(), quiesce.claims().end()}, " or ");
  std::set<std::string> labels;
  for (const auto& [key, value] : quiesce.labels()) labels.insert(key + "=" + value);
  return "has the labels " + Join({labels.begin(), labels.end()}, ",");
}

}  // namespace

StatusOr<std::vector<HeldContainer>> ChooseContainers(const std::vector<v1::PodQuiesce>& quiesces,
                                                      const std::vector<Pod>& pods) {
  std::vector<HeldContainer> all;
  for (const v1::PodQuiesce& quiesce : quiesces) {
    ASSIGN_OR_RETURN(const std::vector<HeldContainer> chosen, Choose(quiesce, pods));
    if (chosen.empty()) {
      return WithHint(
          FailedPrecondition("component {} is to be held still, and no running pod of namespace {} {}",
                             quiesce.component(), quiesce.namespace_(), WhoIsMeant(quiesce)),
          "Start the pod, name its labels in quiesce.labels, or remove quiesce where nothing runs.");
    }
    std::copy(chosen.begin(), chosen.end(), std::back_inserter(all));
  }
  return all;
}

StatusOr<std::vector<HeldContainer>> ChooseToRelease(const std::vector<v1::PodQuiesce>& quiesces,
                                                     const std::vector<Pod>& pods) {
  std::vector<HeldContainer> all;
  for (const v1::PodQuiesce& quiesce : quiesces) {
    ASSIGN_OR_RETURN(const std::vector<HeldContainer> chosen, Choose(quiesce, pods));
    std::copy(chosen.begin(), chosen.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<std::string> HoldCommand(const v1::PodQuiesce& quiesce) {
  const int64_t seconds = std::max<int64_t>(1, quiesce.deadline_ms() / 1000);
  std::vector<std::string> line = {
      "sh", "-c", kHoldScript, "salvor", std::to_string(seconds), std::to_string(quiesce.command_size())};
  line.insert(line.end(), quiesce.command().begin(), quiesce.command().end());
  line.insert(line.end(), quiesce.release().begin(), quiesce.release().end());
  return line;
}

std::string HowToAllowCommands(const std::string& name_space) {
  return fmt::format(
      "Let it: kubectl -n {} create rolebinding salvor-quiesce --clusterrole=salvor-quiesce "
      "--serviceaccount=salvor:salvor-executor",
      name_space);
}

bool HasMadeSnapshots(std::string_view phase) {
  static const std::set<std::string_view> past = {"WaitingForPluginOperations",
                                                  "WaitingForPluginOperationsPartiallyFailed",
                                                  "Finalizing",
                                                  "FinalizingPartiallyFailed",
                                                  "Completed",
                                                  "PartiallyFailed"};
  return past.count(phase) > 0;
}

}  // namespace salvor::velero
