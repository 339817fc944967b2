// How pods are held still while Velero makes its snapshots: which pods, by which command line, and until when. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/claims.h"
#include "base/status.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

// A container whose application is held still.
struct HeldContainer {
  std::string name_space, pod, container;
  const v1::PodQuiesce* quiesce = nullptr;  // borrowed; whose commands run there
};

// Those of all running pods that the quiesces name, in the pods' order. FailedPrecondition, by name, where one finds no
// pod, or does not say which of a pod's containers it means.
StatusOr<std::vector<HeldContainer>> ChooseContainers(const std::vector<v1::PodQuiesce>& quiesces,
                                                      const std::vector<Pod>& pods);

// The same of a release, which does not mind that a quiesce finds no pod: what does not run is not held still.
StatusOr<std::vector<HeldContainer>> ChooseToRelease(const std::vector<v1::PodQuiesce>& quiesces,
                                                     const std::vector<Pod>& pods);

inline constexpr std::string_view kHeldMark =
    "salvor: held";  // a line of its output: the command has ended with 0
inline constexpr std::string_view kReleaseOrder =
    "salvor: release\n";               // a line of its input: run the release
inline constexpr int kLateCode = 124;  // its exit code where the command had not ended by the deadline

// What is run in the container, and holds for as long as it has input. It runs the command; says kHeldMark when that
// has ended with 0; waits for kReleaseOrder or for its input's end, which comes with the agent's death; runs the
// release, and ends with its exit code. A watchdog, which lives on when the rest was killed, runs the release at the
// deadline. Where the command fails it runs the release, too, and ends with the command's code. What both write goes
// to its errors, so that no command can forge the mark.
std::vector<std::string> HoldCommand(const v1::PodQuiesce& quiesce);

// A sentence with the command by which a namespace lets Salvor run commands in its pods.
std::string HowToAllowCommands(const std::string& name_space);

// Whether a Backup in this phase of Velero's has all its snapshots, and has read all files. Not of a phase that this
// version does not know.
bool HasMadeSnapshots(std::string_view phase);

}  // namespace salvor::velero
