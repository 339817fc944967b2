#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/cluster_actions.h"
#include "agent/host_actions.h"
#include "agent/metrics/velero_metrics.h"
#include "agent/mover_command.h"
#include "base/io/log.h"
#include "base/io/mutex.h"
#include "base/io/program/signals.h"
#include "base/io/system_clock.h"
#include "base/names.h"

namespace {

// The supervisor is installed beside this program.
std::string BesideThisProgram(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? name : (self.parent_path() / name).string();
}

// libpq reads PG* variables in every session that this process opens, and libmariadb those that begin with its names, and
// so does what it does not hand down: a password or an address from the surroundings must not beat what is declared.
// Before any thread.
void ForgetAmbientDatabaseSettings() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const bool is_setting =
        text.rfind("PG", 0) == 0 || text.rfind("MYSQL_", 0) == 0 || text.rfind("MARIADB_", 0) == 0;
    if (is_setting) names.push_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
}

// "" is what goes with the runtime.
salvor::v1::AgentKind KindFor(const std::string& runtime, const std::string& kind) {
  if (kind == "node") return salvor::v1::AGENT_KIND_NODE;
  if (kind == "executor" || (kind.empty() && runtime == "kubernetes")) return salvor::v1::AGENT_KIND_EXECUTOR;
  return salvor::v1::AGENT_KIND_HOST;
}

}  // namespace

int main(int argc, char** argv) {
  ForgetAmbientDatabaseSettings();
  if (argc > 1 && std::string(argv[1]) == "mover")
    return salvor::agent::MoverCommand(argc - 1, argv + 1, BesideThisProgram("salvor-supervise"));
  salvor::agent::AgentOptions options;
  options.version = salvor::ProgramVersion();
  options.supervisor = BesideThisProgram("salvor-supervise");
  salvor::agent::ClusterOptions cluster;
  std::string runtime = "host", kind, log_level = "info";
  CLI::App app(
      "The agent of Salvor: does a run's steps on this host.\n\n"
      "Example:\n  salvor-agent --name host-a --environment local --server unix:///run/salvor/salvord.sock "
      "\\\n"
      "    --token-file /var/lib/salvor/agent.token --state-directory /var/lib/salvor-agent");
  app.set_version_flag("--version", options.version);
  std::string node;
  CLI::Option* name =
      app.add_option("--name", options.config.name, "this agent's name, the same after every restart");
  app.add_option("--node", node, "of the kind node, instead of a name: its node, which it is named after")
      ->excludes(name);
  app.add_option("--environment", options.config.environment, "the Environment it serves")->required();
  app.add_option("--runtime", runtime, "host, or kubernetes: what it does its work on")
      ->capture_default_str()
      ->check(CLI::IsMember({"host", "kubernetes"}));
  app.add_option("--kind", kind, "of an agent on kubernetes: executor, which has rights at the API, or node")
      ->check(CLI::IsMember({"host", "executor", "node"}));
  app.add_option("--kubeconfig", cluster.kubeconfig,
                 "how an executor reaches its cluster; without it, by the service account of its pod");
  app.add_option("--pod", cluster.own_pod,
                 "of an executor, NAMESPACE/NAME of its own pod: pods that it starts are of the same image");
  app.add_option("--image", cluster.image,
                 "the image of the pods that an executor starts, instead of its own pod's");
  app.add_option("--mover-namespace", cluster.mover_namespace,
                 "where an executor makes movers; without it, the namespace of its own pod");
  std::vector<std::string> labels;
  app.add_option("--label", labels, "KEY=value, shown with the agent; repeatable")
      ->check([](const std::string& text) {
        return text.find('=') == 0 || text.find('=') == std::string::npos ? "must be KEY=value" : "";
      });
  app.add_option("--server", options.server, "the control plane: unix:///path, or host:port")->required();
  app.add_option("--ca-file", options.tls.authorities, "PEM of whom to trust; needed beyond this machine");
  app.add_option("--token-file", options.token_file,
                 "this agent's token, mode 0600; read anew at each connection")
      ->required();
  app.add_option("--state-directory", options.config.state_directory, "journal, scratch servers, caches")
      ->required();
  app.add_option("--supervisor", options.supervisor, "path of salvor-supervise")->capture_default_str();
  options.config.program_folders = salvor::agent::HostProgramFolders();
  for (auto& [engine, folder] : options.config.program_folders) {
    app.add_option("--" + engine + "-bin-directory", folder, "where the programs of " + engine + " are")
        ->capture_default_str();
  }
  app.add_option("--scratch-user", options.config.scratch_user,
                 "who runs scratch servers when the agent is root; without it, a user id that nobody has");
  salvor::agent::AgentPolicy& policy = options.config.policy;
  app.add_option(
      "--allow-action", policy.action_programs,
      "PATH or PATH:USER, a program that components may name as their action, and who runs it when the "
      "agent is root; without one, a user id that nobody has; repeatable");
  app.add_option("--action-work-directory", options.config.action_work_directory,
                 "where actions get their work folders; on a disk with room for the files that they write")
      ->capture_default_str();
  app.add_option("--allow-check-program", policy.check_programs,
                 "a program that command checks may run; no shell or interpreter; repeatable");
  app.add_option(
      "--check-user", policy.check_user,
      "who runs command checks of restores when the agent is root; without it, a user id that nobody has");
  app.add_option("--allow-write-below", policy.write_below,
                 "a folder below which restored files and dumps may be written; / allows all; repeatable");
  app.add_option("--allow-environment-file", policy.environment_files,
                 "a file that a Location may name for a backend's credentials; repeatable");
  app.add_option("--allow-restic-option", policy.restic_options,
                 "a key of restic's -o that a Location may set, besides the harmless ones; repeatable");
  app.set_config("--config", "", "options from a file, as lines of key=value");
  app.add_option("--max-parallel", options.config.max_parallel, "tasks at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_option("--metrics-listen", options.metrics_listen,
                 "host:port for Prometheus; on this machine, unless --metrics-open is given");
  app.add_flag("--metrics-open", options.metrics_open,
               "metrics may be had beyond this machine: without TLS, by everybody who reaches that address");
  app.add_option("--log-level", log_level, "debug, info, warning or error")->capture_default_str();
  try {
    app.parse(argc, argv);
    if (options.config.name.empty() && node.empty()) throw CLI::RequiredError("--name");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const std::string& label : labels)
    options.config.labels[label.substr(0, label.find('='))] = label.substr(label.find('=') + 1);
  salvor::InitLog("salvor-agent", log_level);
  options.config.runtime = runtime == "host" ? salvor::v1::RUNTIME_HOST : salvor::v1::RUNTIME_KUBERNETES;
  options.config.kind = KindFor(runtime, kind);
  if (!node.empty()) {
    if (options.config.kind != salvor::v1::AGENT_KIND_NODE)
      return salvor::ReportFailure(salvor::InvalidArgument("--node goes with --kind node; give --name"));
    auto named = salvor::MakeNodeAgentName(node);
    if (!named.ok()) return salvor::ReportFailure(salvor::WithContext(named.status(), "--node"));
    options.config.name = *std::move(named);
  }
  options.metrics = std::make_shared<salvor::MetricRegistry>();
  const salvor::SystemClock clock;
  if (options.config.kind == salvor::v1::AGENT_KIND_EXECUTOR) {
    const auto velero = std::make_shared<salvor::agent::VeleroMetrics>(*options.metrics, clock);
    options.refresh_metrics = [velero] { velero->Refresh(); };
    cluster.observer = velero;
  }
  auto actions = salvor::agent::ActionsFor(options.config.runtime, options.config.kind, cluster);
  if (!actions.ok())
    return salvor::ReportFailure(salvor::WithContext(actions.status(), "--runtime and --kind"));
  options.actions = *std::move(actions);

  salvor::Mutex mutex;
  bool stop = false;
  salvor::agent::Agent* running = nullptr;
  salvor::StopOnSignals([&] {
    salvor::MutexLock lock(mutex);
    stop = true;
    if (running != nullptr) running->Stop();
  });
  auto agent = salvor::agent::Agent::Start(std::move(options));
  if (!agent.ok()) return salvor::ReportFailure(agent.status());
  {
    salvor::MutexLock lock(mutex);
    running = agent->get();
    if (stop) running->Stop();
  }
  const salvor::Status status = (*agent)->Run();
  if (!status.ok()) return salvor::ReportFailure(status);
  salvor::LogInfo("salvor-agent stops");
  return 0;
}
