// Where the control plane keeps what it must not lose. The store is a journal: a step's outcome is one
// appended event; the rest are small records beside it.
//
// Commit is the only way to write. Batches are committed in the order of the calls, each wholly or not at
// all, and `durable` runs, in that order and on the store's own thread, once the batch is on the disk. Many
// batches share one fsync: the one in flight is the batching window. A batch that can't be written ends the
// store: its callback and all later ones get the error, because memory is ahead of the disk then; the caller
// must stop.
//
// Reads see what is durable. A record whose bytes changed on the disk is never read as another: a list leaves it out and
// names it in DamagedRecords, a single read is DataLoss. All methods are thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "base/status.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/object.pb.h"
#include "salvor/v1/run.pb.h"
#include "salvor/v1/token.pb.h"

namespace salvor::controlplane {

struct PutRun {  // a run begins
  v1::RunHeader header;
  v1::Flow flow;
};
struct AppendEvents {  // `first` is the sequence number of the first: gapless from 0 within a run
  std::string run;
  int64_t first = 0;
  v1::EventBatch events;
};
struct FinishRun {  // its summary, without steps; it is not active any more
  v1::Run summary;
};
struct PutBackup {
  v1::Backup backup;
};
struct PutObject {
  v1::Object object;
};
struct EraseObject {
  std::string kind;
  std::string name;
};
struct PutAgent {
  v1::AgentStatus agent;
  // Names are unique within an environment only.
  std::string Key() const { return agent.environment() + "/" + agent.name(); }
};
struct AppendLog {
  v1::LogLines lines;
};
struct PutObligation {  // outlived its run: its release is not confirmed
  std::string agent;
  v1::HeldObligation obligation;
};
struct EraseObligation {
  std::string run;
  std::string name;
};
struct PutToken {
  v1::TokenRecord record;
};
using Change = std::variant<PutRun, AppendEvents, FinishRun, PutBackup, PutObject, EraseObject, PutAgent,
                            AppendLog, PutObligation, EraseObligation, PutToken>;
using Batch = std::vector<Change>;

struct StoredRun {
  v1::RunHeader header;
  v1::Flow flow;
  std::vector<v1::Event> events;
};

struct StoredObligation {
  std::string agent;
  v1::HeldObligation obligation;
};

struct StoreStatistics {
  int64_t commits = 0;  // transactions, which are fsyncs
  int64_t events = 0;
};

// A record that can't be read. It stays where it is.
struct DamagedRecord {
  std::string kind;  // "run", "backup", "object" …
  std::string name;
  std::string why;
  bool operator<(const DamagedRecord& other) const {
    return std::tie(kind, name) < std::tie(other.kind, other.name);
  }
};

class Store {
 public:
  virtual ~Store() = default;

  virtual void Commit(Batch batch, std::function<void(const Status&)> durable) = 0;

  virtual StatusOr<std::vector<std::string>> ActiveRuns() = 0;
  virtual StatusOr<StoredRun> LoadRun(const std::string& name) = 0;  // NotFound, DataLoss
  // Its header and outcome, as in ListRuns. NotFound.
  virtual StatusOr<v1::Run> LoadRunSummary(const std::string& name) = 0;
  // Headers and outcomes, newest first; a run that is active has only its header. One that can't be read has its name
  // and application, RUN_PHASE_QUARANTINED and the reason.
  virtual StatusOr<std::vector<v1::Run>> ListRuns(const std::string& application, int limit) = 0;
  virtual StatusOr<std::vector<v1::Backup>> ListBackups() = 0;  // oldest first
  virtual StatusOr<std::vector<v1::Object>> ListObjects() = 0;  // by kind and name
  virtual StatusOr<std::vector<v1::AgentStatus>> ListAgents() = 0;
  virtual StatusOr<std::vector<StoredObligation>> ListObligations() = 0;
  virtual StatusOr<std::vector<v1::TokenRecord>> ListTokens() = 0;  // by name
  // What follows the place `after` in the run's log (0: all of it), each record with the place behind it as its `next`; `next`
  // is the place behind the last one.
  virtual StatusOr<std::vector<v1::LogLines>> ReadLog(const std::string& run, int64_t after,
                                                      int64_t& next) = 0;

  // Those that reads have met so far, in order of kind and name.
  virtual std::vector<DamagedRecord> DamagedRecords() = 0;

  virtual StoreStatistics Statistics() = 0;
};

// Commit and wait for it.
Status CommitAndWait(Store& store, Batch batch);

}  // namespace salvor::controlplane
