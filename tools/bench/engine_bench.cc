// How many durable steps a second: a control plane (store, engine, gRPC) in this process, a real agent
// process on its unix socket, 64 runs at a time of 10 chained steps that do nothing, fsync on. Then, idle,
// how long from a request until the agent begins.
//
// Usage: engine_bench --agent PATH --directory DIR [--flows 64] [--runs 8000] [--repeat 3]
// The store is on the file system of DIR.
#include <grpcpp/server_builder.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>

#include "base/io/files.h"
#include "base/io/log.h"
#include "base/io/system_clock.h"
#include "controlplane/runs/engine.h"
#include "controlplane/runs/waiting_calls.h"
#include "controlplane/store/sqlite/sqlite_store.h"
#include "controlplane/transport/agent_service.h"
#include "proto/time.h"

namespace salvor {
namespace {

constexpr int kSteps = 10;

struct Settings {
  std::string agent, directory;
  int flows = 64;
  int runs = 8000;
  int repeat = 3;
};

v1::Flow Chain(int steps) {
  v1::Flow flow;
  for (int i = 0; i < steps; ++i) {
    v1::Step* step = flow.add_steps();
    step->set_id("s" + std::to_string(i));
    step->mutable_action()->mutable_noop();
    if (i > 0) step->add_after()->set_step("s" + std::to_string(i - 1));
  }
  return flow;
}

v1::RunHeader Header(const std::string& name) {
  v1::RunHeader header;
  header.set_name(name);
  header.set_environment("bench");
  *header.mutable_requested_at() = ToProto(absl::Now());
  return header;
}

double CpuSeconds(pid_t agent) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  std::ifstream stat("/proc/" + std::to_string(agent) + "/stat");
  const std::vector<std::string> fields{std::istream_iterator<std::string>(stat), {}};
  const double ticks = fields.size() > 14 ? std::stod(fields[13]) + std::stod(fields[14]) : 0;
  return seconds(usage.ru_utime) + seconds(usage.ru_stime) +
         ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

class Bench {
 public:
  explicit Bench(Settings settings) : settings_(std::move(settings)) {}
  ~Bench() {
    if (agent_ > 0) {
      ::kill(agent_, SIGTERM);
      ::waitpid(agent_, nullptr, 0);
    }
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  Status Start() {
    RETURN_IF_ERROR(MakeDirectories(settings_.directory, 0700));
    ASSIGN_OR_RETURN(store_, controlplane::OpenSqliteStore(settings_.directory + "/control"));
    controlplane::EngineOptions options;
    options.version = "bench";
    options.on_fatal = [](const Status& status) {
      LogError("{}", MessageOf(status));
      ::_exit(1);
    };
    ASSIGN_OR_RETURN(engine_, controlplane::Engine::Create(*store_, clock_, options, nullptr));
    ASSIGN_OR_RETURN(const Token token, Token::Load(settings_.directory + "/agent.token", true));
    ASSIGN_OR_RETURN(tokens_, controlplane::TokenRegistry::Load(*store_, clock_));
    authenticator_ = std::make_unique<controlplane::Authenticator>(token, *tokens_);
    service_ = std::make_unique<controlplane::AgentServiceImpl>(*engine_, *authenticator_, *tokens_);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + settings_.directory + "/socket", grpc::InsecureServerCredentials());
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    return SpawnAgent();
  }

  void Throughput() {
    const auto before = store_->Statistics();
    const double cpu = CpuSeconds(agent_);
    const absl::Time begin = absl::Now();
    const int first = next_;
    std::atomic<int> next{first};
    const int end = first + settings_.runs;
    std::vector<std::thread> threads;
    for (int i = 0; i < settings_.flows; ++i) {
      threads.emplace_back([&] {
        for (int run = next++; run < end; run = next++) {
          const std::string name = "r" + std::to_string(run);
          if (Status status = StartRunAndWait(*engine_, Header(name), Chain(kSteps), ""); !status.ok())
            LogError("{}", MessageOf(status));
          if (!engine_->WaitUntilFinished(name, absl::Minutes(1))) LogError("{} does not end", name);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    next_ = end;
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    const double steps = settings_.runs * kSteps;
    steps_per_second_.push_back(steps / seconds);
    fsyncs_.push_back(static_cast<double>(store_->Statistics().commits - before.commits) / steps);
    cpu_us_.push_back((CpuSeconds(agent_) - cpu) * 1e6 / steps);
  }

  void Idle() {
    for (int i = 0; i < 300; ++i) {
      const std::string name = "i" + std::to_string(i);
      const absl::Time asked = absl::Now();
      if (!StartRunAndWait(*engine_, Header(name), Chain(1), "").ok() ||
          !engine_->WaitUntilFinished(name, absl::Minutes(1)))
        continue;
      const auto run = engine_->GetRun(name);
      if (run.ok())
        start_ms_.push_back(
            absl::ToDoubleMilliseconds(FromProto(run->steps(0).result().started_at()) - asked));
    }
  }

  void Print() {
    fmt::print(
        "bench engine store=sqlite flows={} steps_per_s={:.0f} start_p50_ms={:.2f} start_p99_ms={:.2f} "
        "fsyncs_per_step={:.3f} cpu_us_per_step={:.1f}\n",
        settings_.flows, Quantile(steps_per_second_, 0.5), Quantile(start_ms_, 0.5),
        Quantile(start_ms_, 0.99), Quantile(fsyncs_, 0.5), Quantile(cpu_us_, 0.5));
  }

 private:
  static double Quantile(std::vector<double> values, double q) {
    if (values.empty()) return -1;
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, static_cast<size_t>(q * static_cast<double>(values.size())))];
  }

  Status SpawnAgent() {
    const std::vector<std::string> argv = {settings_.agent,
                                           "--name",
                                           "bench-agent",
                                           "--environment",
                                           "bench",
                                           "--server",
                                           "unix://" + settings_.directory + "/socket",
                                           "--token-file",
                                           settings_.directory + "/agent.token",
                                           "--state-directory",
                                           settings_.directory + "/agent",
                                           "--max-parallel",
                                           std::to_string(settings_.flows * 2),
                                           "--log-level",
                                           "warning"};
    std::vector<char*> raw;
    for (const std::string& argument : argv) raw.push_back(const_cast<char*>(argument.c_str()));
    raw.push_back(nullptr);
    if (const int error = ::posix_spawn(&agent_, raw[0], nullptr, nullptr, raw.data(), environ); error != 0) {
      return ErrnoStatus(error, "start " + settings_.agent);
    }
    // The first run waits for the agent to connect.
    RETURN_IF_ERROR(StartRunAndWait(*engine_, Header("warm-up"), Chain(1), ""));
    if (!engine_->WaitUntilFinished("warm-up", absl::Seconds(20)))
      return Unavailable("the agent does not connect");
    return OkStatus();
  }

  const Settings settings_;
  SystemClock clock_;
  std::unique_ptr<controlplane::Store> store_;
  std::unique_ptr<controlplane::Engine> engine_;
  std::unique_ptr<controlplane::TokenRegistry> tokens_;
  std::unique_ptr<controlplane::Authenticator> authenticator_;
  std::unique_ptr<controlplane::AgentServiceImpl> service_;
  std::unique_ptr<grpc::Server> server_;
  pid_t agent_ = -1;
  int next_ = 0;
  std::vector<double> steps_per_second_, fsyncs_, cpu_us_, start_ms_;
};

}  // namespace
}  // namespace salvor

int main(int argc, char** argv) {
  salvor::Settings settings;
  CLI::App app("Durable steps per second.");
  app.add_option("--agent", settings.agent)->required();
  app.add_option("--directory", settings.directory)->required();
  app.add_option("--flows", settings.flows);
  app.add_option("--runs", settings.runs);
  app.add_option("--repeat", settings.repeat);
  CLI11_PARSE(app, argc, argv);
  salvor::InitLog("bench", "error");
  salvor::Bench bench(settings);
  if (salvor::Status status = bench.Start(); !status.ok()) {
    salvor::LogError("{}", salvor::MessageOf(status));
    return 1;
  }
  for (int i = 0; i < settings.repeat; ++i) bench.Throughput();
  bench.Idle();
  bench.Print();
  return 0;
}
