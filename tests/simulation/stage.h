// The stage on which Simulate plays: who is there, and what is done to them. simulation.cc has their days, bad_days.cc
// what spoils them. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/runs/engine.h"
#include "tests/simulation/simulated_agent.h"
#include "tests/simulation/simulated_store.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/stream.h"

namespace salvor::simulation {

using controlplane::Engine;

inline constexpr absl::Duration kHeartbeat = absl::Seconds(5);
inline constexpr absl::Duration kLease = absl::Seconds(30);
inline constexpr int kGuests = 2;  // the last places

// One agent of a host: its process, when it lives, and its stream, when it has one.
struct Place {
  Host* host = nullptr;
  bool is_clone = false;  // a second process of a name, from a copied machine
  bool is_gone = false;   // for good
  std::unique_ptr<SimulatedAgent> process;
  std::shared_ptr<Stream> stream;  // as the agent sees it
  bool is_welcome = false;         // on that stream
  int backoff = 0;
  std::optional<absl::Duration> room_since;  // for another task, on one stream
};

enum FaultKind : uint8_t {
  kCut,
  kShortDeath,
  kLongDeath,
  kControlPlaneDies,
  kStoreFails,
  kClockJumps,
  kDiskIsFull,
  kForgery,
  kGuest,
  kImpatience,  // of people, who cancel: no fault
  kFaults,
};

class Simulation final : public StreamEnds {
 public:
  explicit Simulation(const SimulationOptions& options)
      : options_(options),
        world_(options.seed, options.traces),
        witness_(world_),
        clock_(world_),
        store_(
            [this] { return world_.Now(); }, [this] { ScheduleDurable(); },
            [this](const controlplane::Batch& batch, absl::Duration at) { witness_.OnDurable(batch, at); }) {}
  ~Simulation() override {
    places_.clear();
    store_.Crash(0);
    engine_.reset();
  }

  Outcome Run();

 private:
  // ---- the control plane
  void StartEngine();
  bool CrashEngine(size_t written);
  void ScheduleDurable();
  void ScheduleTick(absl::Duration after);
  void StartRun();
  void CancelRun(const std::string& name, const std::string& by);
  // ---- the agents
  void AddPlace(const std::string& environment, const std::string& name, bool is_clone);
  void StartAgent(size_t place);
  bool KillAgent(size_t place, absl::Duration until_restart);
  void Connect(size_t place);
  void ConnectLater(size_t place);
  void Speak(size_t place);
  void Heartbeat(size_t place, int stream);
  void Watchdog(size_t place, int process);
  bool Lives(size_t place, int process) const;
  // ---- the network
  void OnConnect(int id, v1::AgentMessage first) override;
  void OnMessage(int id, v1::AgentMessage message) override;
  void OnAgentIsGone(int id) override;
  void OnAnswer(int id, v1::ControlMessage message) override;
  void OnControlPlaneIsGone(int id, const Status& why) override;
  // ---- bad days
  void ChooseDays();
  void Fault();
  bool Strike(FaultKind kind, size_t place);
  void FillDisk(Host& host);
  bool Forge();
  bool StartGuest();
  void CancelAny();
  void LookAround();
  void BeginCalm();
  bool IsQuiet();
  void SayWhatRemains();

  struct Session {
    int64_t id = 0;
    absl::Duration since;
  };

  const SimulationOptions options_;
  World world_;
  Witness witness_;
  WorldClock clock_;
  SimulatedStore store_;
  std::unique_ptr<Engine> engine_;
  bool durable_is_due_ = false, has_failed_ = false;
  int events_with_faults_ = 0, tick_ = 0, runs_ = 0, streams_ = 0, processes_ = 0;
  std::vector<FaultKind> days_;  // one is drawn from them each time
  absl::Duration pace_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::vector<Place> places_;
  std::map<int, std::shared_ptr<Stream>> by_id_;
  std::map<int, size_t> place_of_;
  std::map<int, Session> sessions_;  // by stream: as the control plane has them
};

}  // namespace salvor::simulation
