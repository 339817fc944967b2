#include <CLI/CLI.hpp>

#include "base/io/log.h"
#include "base/io/mutex.h"
#include "base/io/program/signals.h"
#include "controlplane/controlplane.h"
#include "strategies/registry.h"

int main(int argc, char** argv) {
  salvor::controlplane::ControlPlaneOptions options;
  options.version = salvor::ProgramVersion();
  std::string log_level = "info";
  CLI::App app(
      "The control plane of Salvor: catalogue, durable runs, records.\n\n"
      "Example:\n  salvord --state-directory /var/lib/salvor --listen unix:///run/salvor/salvord.sock");
  app.set_version_flag("--version", options.version);
  app.add_option("--state-directory", options.state_directory, "where the store and the tokens are")
      ->required();
  app.add_option("--listen", options.listen, "unix:///path, or host:port")->capture_default_str()->required();
  app.add_option("--tls-certificate", options.tls.certificate, "PEM; needed beyond this machine");
  app.add_option("--tls-private-key", options.tls.private_key, "PEM, mode 0600");
  app.add_option("--metrics-listen", options.metrics_listen,
                 "host:port for Prometheus; on this machine, unless --metrics-open is given");
  app.add_flag("--metrics-open", options.metrics_open,
               "metrics may be had beyond this machine: without TLS, by everybody who reaches that address");
  app.add_option("--log-level", log_level, "debug, info, warning or error")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  salvor::InitLog("salvord", log_level);

  // A signal may come while the control plane is still starting: it is heeded as soon as there is one.
  salvor::Mutex mutex;
  bool stop = false;
  salvor::controlplane::ControlPlane* running = nullptr;
  salvor::StopOnSignals([&] {
    salvor::MutexLock lock(mutex);
    stop = true;
    if (running != nullptr) running->Stop();
  });
  auto control_plane =
      salvor::controlplane::ControlPlane::Start(std::move(options), salvor::strategies::BuiltInStrategies());
  if (!control_plane.ok()) return salvor::ReportFailure(control_plane.status());
  {
    salvor::MutexLock lock(mutex);
    running = control_plane->get();
    if (stop) running->Stop();
  }
  (*control_plane)->Run();
  salvor::LogInfo("salvord stops");
  return 0;
}
