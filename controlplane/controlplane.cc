#include "controlplane/controlplane.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "base/io/files.h"
#include "base/io/grpc/keepalive.h"
#include "base/io/grpc/limits.h"
#include "base/io/log.h"
#include "base/io/metrics/registry.h"
#include "base/io/mutex.h"
#include "base/io/system_clock.h"
#include "controlplane/api/control_api.h"
#include "controlplane/api/planner.h"
#include "controlplane/objects/catalog.h"
#include "controlplane/runs/engine.h"
#include "controlplane/store/sqlite/sqlite_store.h"
#include "controlplane/tokens/file_token.h"
#include "controlplane/tokens/token_registry.h"
#include "controlplane/transport/agent_service.h"
#include "controlplane/transport/authenticator.h"
#include "controlplane/transport/control_service.h"
#include "controlplane/transport/run_metrics.h"

namespace salvor::controlplane {
namespace {

double RandomFraction() {
  thread_local std::mt19937_64 random(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(random);
}

// Memory is ahead of the disk: the only honest way on is to end and begin again from what is durable.
[[noreturn]] void EndAtOnce(const Status& status) {
  LogError("the store can't write, ending: {}. {}", MessageOf(status), HintOf(status));
  ::_exit(70);
}

// Members in order of need; destroyed in reverse.
class ControlPlaneImpl final : public ControlPlane {
 public:
  ControlPlaneImpl(ControlPlaneOptions options, const strategies::StrategyRegistry& strategies)
      : options_(std::move(options)), strategies_(strategies) {}

  ~ControlPlaneImpl() override {
    StopTimer();
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
    metrics_.OnScrape(nullptr);
  }

  Status Open() {
    ASSIGN_OR_RETURN(const Endpoint endpoint, ParseEndpoint(options_.listen));
    ASSIGN_OR_RETURN(auto credentials, ServerCredentialsFor(endpoint, options_.tls));
    ASSIGN_OR_RETURN(store_, OpenSqliteStore(options_.state_directory));
    ASSIGN_OR_RETURN_IN(Token agent_token, Token::Load(options_.state_directory + "/agent.token", true),
                        "agent token");
    ASSIGN_OR_RETURN(catalog_, Catalog::Load(*store_, strategies_));
    EngineOptions engine_options;
    engine_options.version = options_.version;
    engine_options.random = RandomFraction;
    engine_options.on_fatal = EndAtOnce;
    ASSIGN_OR_RETURN(engine_, Engine::Create(*store_, clock_, std::move(engine_options), &run_metrics_));
    planner_ = std::make_unique<Planner>(*catalog_, *engine_, strategies_, clock_, options_.version);
    ASSIGN_OR_RETURN(tokens_, TokenRegistry::Load(*store_, clock_));
    RETURN_IF_ERROR_IN(KeepFileToken(*tokens_, options_.state_directory + "/api.token"), "API token");
    authenticator_ = std::make_unique<Authenticator>(std::move(agent_token), *tokens_);
    agent_service_ = std::make_unique<AgentServiceImpl>(*engine_, *authenticator_, *tokens_);
    api_ = std::make_unique<ControlApi>(*catalog_, *engine_, *planner_, *store_, *tokens_, options_.version);
    control_service_ = std::make_unique<ControlServiceImpl>(*api_, *authenticator_);
    StartTimer();
    RETURN_IF_ERROR(Listen(endpoint, credentials));
    if (options_.metrics_listen.empty()) return OkStatus();
    ASSIGN_OR_RETURN(const std::string address,
                     MetricsAddress(options_.metrics_listen, options_.metrics_open));
    metrics_.OnScrape([this] { run_metrics_.Refresh(*engine_, *store_); });
    return metrics_.Serve(address);
  }

  void Run() override {
    LogInfo("salvord {} listens on {}", options_.version, options_.listen);
    MutexLock lock(mutex_);
    while (!stopping_) changed_.Wait(mutex_);
  }

  void Stop() override {
    if (control_service_ != nullptr) control_service_->Stop();
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }

 private:
  // /run is empty after every start of the machine.
  Status MakeSocketDirectory(const std::string& socket_path) {
    const size_t end = socket_path.rfind('/');
    if (end == std::string::npos || end == 0) return OkStatus();
    const std::string directory = socket_path.substr(0, end);
    return WithHint(
        WithContext(MakeDirectories(directory), "listen on " + options_.listen),
        fmt::format("Make {} for the user who runs salvord, or listen elsewhere with --listen.", directory));
  }

  Status Listen(const Endpoint& endpoint, const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    if (!endpoint.socket_path.empty()) {
      RETURN_IF_ERROR(MakeSocketDirectory(endpoint.socket_path));
      ::unlink(endpoint.socket_path.c_str());  // of a process that died: the store is ours
    }
    // Health and the description of the services answer without a token: a probe has none, and neither says more than that
    // salvord listens, and which calls its published contract has.
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    int port = 0;
    const mode_t mask = ::umask(0077);
    builder.AddListeningPort(endpoint.address, credentials, &port);
    builder.RegisterService(agent_service_.get());
    builder.RegisterService(control_service_.get());
    builder.SetMaxReceiveMessageSize(kMostMessageBytes);
    grpc::ResourceQuota quota("salvord");
    builder.SetResourceQuota(quota.Resize(kMostBytesOnTheWay));
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    AllowKeepAlive(builder);
    server_ = builder.BuildAndStart();
    ::umask(mask);
    if (server_ != nullptr) return OkStatus();
    return WithHint(Unavailable("can't listen on {}", options_.listen),
                    "Is the address in use by another process? Choose another with --listen.");
  }

  void StartTimer() {
    engine_->SetWakeUp([this] {
      MutexLock lock(timer_mutex_);
      early_ = true;
      timer_changed_.NotifyAll();
    });
    timer_ = std::thread([this] { Tick(); });
  }

  void StopTimer() {
    {
      MutexLock lock(timer_mutex_);
      timer_stopping_ = true;
      timer_changed_.NotifyAll();
    }
    if (timer_.joinable()) timer_.join();
  }

  void Tick() {
    while (true) {
      const absl::Duration next = engine_->Tick();
      MutexLock lock(timer_mutex_);
      const absl::Duration left = std::clamp(next, absl::Milliseconds(1), absl::Seconds(5));
      if (!early_ && !timer_stopping_) timer_changed_.WaitFor(timer_mutex_, absl::ToChronoMilliseconds(left));
      early_ = false;
      if (timer_stopping_) return;
    }
  }

  const ControlPlaneOptions options_;
  const strategies::StrategyRegistry& strategies_;
  SystemClock clock_;
  MetricRegistry metrics_;
  RunMetrics run_metrics_{metrics_, options_.version};
  std::unique_ptr<Store> store_;
  std::unique_ptr<Catalog> catalog_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Planner> planner_;
  std::unique_ptr<TokenRegistry> tokens_;
  std::unique_ptr<Authenticator> authenticator_;
  std::unique_ptr<ControlApi> api_;
  std::unique_ptr<AgentServiceImpl> agent_service_;
  std::unique_ptr<ControlServiceImpl> control_service_;
  std::unique_ptr<grpc::Server> server_;

  Mutex timer_mutex_;
  CondVar timer_changed_;
  bool early_ ABSL_GUARDED_BY(timer_mutex_) = false;
  bool timer_stopping_ ABSL_GUARDED_BY(timer_mutex_) = false;
  std::thread timer_;

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

StatusOr<std::unique_ptr<ControlPlane>> ControlPlane::Start(ControlPlaneOptions options,
                                                            const strategies::StrategyRegistry& strategies) {
  auto control_plane = std::make_unique<ControlPlaneImpl>(std::move(options), strategies);
  RETURN_IF_ERROR(control_plane->Open());
  return std::unique_ptr<ControlPlane>(std::move(control_plane));
}

}  // namespace salvor::controlplane
