// A mover: a process of its own, in a pod of its own, that does one attempt of an action and ends. It has what an executor
// lacks: the tools of databases, and the right to read the one Secret that the action names.
//
// It says what it does on its output (agent/kubernetes/movers/mover_output.h), and what became of it in its termination
// message (mover_result.h). Whatever it meets is such a result, also that it was told to stop.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/work/action.h"
#include "base/status.h"

namespace salvor::agent {

struct MoverProgram {
  AgentConfig config;            // its state directory, policy and folders of programs
  ActionRegistry actions;        // MoverActions()
  std::string job;               // its Job's name: whose result it is
  std::string task;              // movers::EncodeTask
  std::string secret_directory;  // where password files may lie, in memory
  std::string termination_message = "/dev/termination-log";  // path that Kubernetes reads
  std::string account = "salvor:salvor-mover";               // service account that it is, for messages
  ToolRunner* tools = nullptr;                               // borrowed
  std::function<StatusOr<std::shared_ptr<kubernetes::Kubernetes>>()> cluster;  // asked only for a Secret
  std::function<void(const std::string& line)> print;  // from any thread, one at a time
  std::stop_token stop;
};

// OK when the action succeeded. An error that is not in the termination message is one of writing that.
Status RunMover(const MoverProgram& program);

}  // namespace salvor::agent
