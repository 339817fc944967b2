#include "agent/mover_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "agent/cluster_actions.h"
#include "agent/host_actions.h"
#include "agent/kubernetes/client/http_kubernetes.h"
#include "agent/mover.h"
#include "agent/process/orphaned_tools.h"
#include "agent/process/process.h"
#include "base/io/files.h"
#include "base/io/log.h"
#include "base/io/program/signals.h"

namespace salvor::agent {
namespace {

// Each line at once: whoever follows is told, and a killed mover has said what it said.
void PrintLine(const std::string& line) {
  const std::string whole = line + "\n";
  std::fwrite(whole.data(), 1, whole.size(), stdout);
  std::fflush(stdout);
}

Status RunWith(MoverProgram program, const std::string& supervisor, const std::string& kubeconfig) {
  RETURN_IF_ERROR(program.config.policy.Validate());
  RETURN_IF_ERROR(MakeDirectories(program.config.state_directory, 0700));
  ASSIGN_OR_RETURN(UniqueFd lock, AwaitOrphanedTools(program.config.state_directory));
  SupervisedTools tools(supervisor, std::move(lock));
  program.tools = &tools;
  program.actions = MoverActions();
  program.print = PrintLine;
  program.cluster = [kubeconfig]() -> StatusOr<std::shared_ptr<kubernetes::Kubernetes>> {
    return std::shared_ptr<kubernetes::Kubernetes>(kubernetes::MakeHttpKubernetes(
        kubeconfig.empty() ? kubernetes::FromPod() : kubernetes::FromKubeconfig(kubeconfig)));
  };
  return RunMover(program);
}

}  // namespace

int MoverCommand(int argc, char** argv, const std::string& supervisor) {
  MoverProgram program;
  std::string kubeconfig, supervisor_path = supervisor;
  CLI::App app(
      "Does one action of a run on a cluster, in a pod of its own, and ends. An executor makes the pod.");
  app.add_option("--job", program.job, "the name of its Job")->required();
  std::vector<std::string> parts;
  app.add_option("--task", parts, "what to do, as the executor wrote it; in parts, in order")->required();
  app.add_option("--state-directory", program.config.state_directory, "caches; gone with the pod")
      ->required();
  app.add_option("--secret-directory", program.secret_directory, "where password files may lie, in memory")
      ->required();
  app.add_option("--account", program.account, "its service account, NAMESPACE:NAME, for messages")
      ->capture_default_str();
  app.add_option("--termination-message", program.termination_message,
                 "where Kubernetes reads what became of it")
      ->capture_default_str();
  app.add_option("--kubeconfig", kubeconfig,
                 "how it reaches its cluster; without it, by its service account");
  app.add_option("--supervisor", supervisor_path, "path of salvor-supervise")->capture_default_str();
  program.config.program_folders = HostProgramFolders();
  for (auto& [engine, folder] : program.config.program_folders)
    app.add_option("--" + engine + "-bin-directory", folder, "where the programs of " + engine + " are")
        ->capture_default_str();
  AgentPolicy& policy = program.config.policy;
  app.add_option("--allow-environment-file", policy.environment_files,
                 "a file that a Location may name for a backend's credentials; repeatable");
  app.add_option("--allow-restic-option", policy.restic_options,
                 "a key of restic's -o that a Location may set, besides the harmless ones; repeatable");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const std::string& part : parts) program.task += part;
  InitLog("salvor-mover", "warning");
  program.config.name = "mover";
  program.config.runtime = v1::RUNTIME_KUBERNETES;
  auto stopping = std::make_shared<std::stop_source>();
  program.stop = stopping->get_token();
  StopOnSignals([stopping] { stopping->request_stop(); });
  const Status status = RunWith(std::move(program), supervisor_path, kubeconfig);
  return status.ok() ? 0 : ReportFailure(status);
}

}  // namespace salvor::agent
