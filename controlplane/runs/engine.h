// Durable runs: loads, reduces, stores the event, then acts on the effects.
//
// All active runs live in memory, rebuilt from the journal by Create. One whose records can't be read, or do not replay,
// is quarantined: named and left as it is until a person cancels it. Every change goes the same way: under
// one lock the event is reduced and everything that follows from it is gathered (events, records, messages to
// agents); the batch goes to the store; when it is durable the messages are sent. A completed step, the next
// one's lease and its task are one batch, so a chained step costs one fsync at most.
//
// Thread-safe. A store that can't write is fatal: memory is ahead of the disk then, so `on_fatal` must end
// the process, and the next one begins from what is durable.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "controlplane/store/store.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"
#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

struct EngineOptions {
  absl::Duration lease_duration = absl::Seconds(30);
  absl::Duration heartbeat_interval = absl::Seconds(5);
  std::string version;
  std::function<double()> random;               // 0..1, for jitter; thread-safe
  std::function<void(const Status&)> on_fatal;  // must not return in production
};

// What the engine tells the metrics; called under the engine's lock, so it must be quick.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void OnStep(const v1::RunHeader& run, const v1::Step& step, v1::StepPhase phase,
                      absl::Duration took) = 0;
  virtual void OnRetry(const v1::RunHeader& run) = 0;
  virtual void OnRun(const v1::Run& finished) = 0;
  virtual void OnBackup(const v1::Backup& backup) = 0;
};

// The way to one connected agent. Both calls are thread-safe and never block.
class AgentLink {
 public:
  virtual ~AgentLink() = default;
  virtual void Send(v1::ControlMessage message) = 0;
  virtual void Close(const std::string& why) = 0;
};

struct WaitingRun {
  v1::RunHeader header;
  v1::Flow flow;
};

class Engine {
 public:
  // Rebuilds all active runs. `store`, `clock` and `observer` (may be null) must outlive the engine.
  static StatusOr<std::unique_ptr<Engine>> Create(Store& store, const Clock& clock, EngineOptions options,
                                                  EngineObserver* observer);
  ~Engine();

  // Returns once the run is durable. AlreadyExists, InvalidArgument (the flow can't be).
  Status StartRun(v1::RunHeader header, v1::Flow flow, const std::string& backup_location);
  // FailedPrecondition when it is over already.
  Status CancelRun(const std::string& name, const std::string& by, const std::string& reason);

  StatusOr<v1::Run> GetRun(const std::string& name);
  // The run as soon as its revision is another than `seen` (or it is over), at the latest after `timeout`.
  StatusOr<v1::Run> WaitForChange(const std::string& name, int64_t seen, absl::Duration timeout);
  // Until the run is over, at the latest after `timeout`; true when it is over.
  bool WaitUntilFinished(const std::string& name, absl::Duration timeout);
  // The newest first. `active_only` comes before the limit.
  StatusOr<std::vector<v1::Run>> ListRuns(const std::string& application, int limit, bool active_only);
  // The runs of this kind of which no step was ever granted.
  std::vector<WaitingRun> FindWaiting(v1::RunKind kind, const std::string& application);

  std::vector<v1::Backup> ListBackups(const std::string& application);  // newest first
  // A name, "latest:APPLICATION" (the newest that kept something and is not disproven) or "proven:APPLICATION". NotFound.
  StatusOr<v1::Backup> FindBackup(const std::string& reference);
  // A person's word that what it is doubted for is as it should be. FailedPrecondition when nothing is doubted.
  StatusOr<v1::Backup> AcceptBackup(const std::string& reference, const std::string& by,
                                    const std::string& reason);
  std::vector<v1::AgentStatus> ListAgents();

  // An agent's stream: Connect with its hello, Receive what follows, Disconnect when it ends. A newer connection of the
  // same process closes the older one; another process of that name is refused (AlreadyExists) until the first has been
  // silent for a lease's time. Reports, progress and logs are taken from the agent that holds the lease, and from no
  // other.
  StatusOr<int64_t> Connect(const v1::AgentHello& hello, std::shared_ptr<AgentLink> link);
  void Receive(int64_t session, v1::AgentMessage message);
  void Disconnect(int64_t session);

  // Fires timers and expires leases that are due. How soon to call it again, at the latest.
  absl::Duration Tick();
  // Called (from any thread) when Tick is due earlier than it last said. Set once, before use.
  void SetWakeUp(std::function<void()> wake_up);

  // For metrics: how long the oldest ready step has waited, and what is open.
  absl::Duration OldestReadyAge();
  int ActiveRunCount();
  int OpenObligationCount();

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace salvor::controlplane
