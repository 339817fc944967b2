// The journal is everything that is written, and the way in which a run is read back.
//
// Commit is the only way to write, records included: a step's outcome is one appended event, and what follows from it is
// in the same batch. Batches are committed in the order of the calls, each wholly or not at all, and the callback runs, in
// that order and on the store's own thread, once the outcome is known. Many batches share one fsync: the one in flight is
// the batching window.
//
// A batch that can't be written, or that the store refuses (a gap in a run's events, a run that is there already, one
// that is not there), ends the store: its callback and all later ones get the error, because the caller's memory is ahead
// of the disk then. The caller must stop, and begin again from what is durable.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "controlplane/store/contract/keys.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/object.pb.h"
#include "salvor/v1/run.pb.h"
#include "salvor/v1/token.pb.h"

namespace salvor::controlplane {

// Flow and view are large, and their maker goes on showing them: both are shared, and nobody changes them from then on.
struct PutRun {  // a run begins
  v1::RunHeader header;
  std::shared_ptr<const v1::Flow> flow;  // never null
};
struct AppendEvents {  // `first` is the sequence number of the first: gapless from 0 within a run
  std::string run;
  int64_t first = 0;
  v1::EventBatch events;
};
struct FinishRun {  // it is not active any more
  v1::Run summary;  // without steps
  // With them, as it is shown from now on; null where nobody can say more than the summary.
  std::shared_ptr<const v1::Run> view;
};
struct
    EraseRun {  // all that is stored of one that is over; nothing happens where there is none, or it is active
  std::string run;
};
struct PutBackup {
  v1::Backup backup;
};
struct PutVerification {  // one of the same backup and run that is there already stays as it is
  v1::Verification verification;
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
  AgentKey Key() const { return {agent.environment(), agent.name()}; }
};
struct AppendLog {
  v1::LogLines lines;
};
struct PutObligation {  // outlived its run: its release is not confirmed
  std::string agent;
  v1::HeldObligation obligation;
  ObligationKey Key() const { return {obligation.run(), obligation.name()}; }
};
struct EraseObligation {
  std::string run;
  std::string name;
};
struct PutToken {
  v1::TokenRecord record;
};
using Change = std::variant<PutRun, AppendEvents, FinishRun, EraseRun, PutBackup, PutVerification, PutObject,
                            EraseObject, PutAgent, AppendLog, PutObligation, EraseObligation, PutToken>;

struct Batch {
  Batch() = default;
  Batch(std::initializer_list<Change> list) : changes(list) {}

  template <typename Part>
  void push_back(Part&& change) {
    changes.emplace_back(std::forward<Part>(change));
  }
  bool empty() const { return changes.empty(); }

  std::vector<Change> changes;
  // The term of the leader that writes it. Reserved for the store that several replicas share (PostgreSQL's): 0 where one process owns
  // the store, and nothing compares it.
  int64_t term = 0;
};

struct CommitOutcome {
  enum class Kind {
    kCommitted,  // on the disk
    kDeposed,    // not written: another leader has a newer term. Reserved, as the term
    kUnknown,    // written or not; whoever opens the store next sees which
  };
  Kind kind = Kind::kCommitted;
  Status why;  // OK when it is committed, and only then

  static CommitOutcome Of(Status status) {
    const Kind kind = status.ok() ? Kind::kCommitted : Kind::kUnknown;
    return {kind, std::move(status)};
  }
};

using CommitCallback = std::function<void(const CommitOutcome&)>;

struct StoredRun {
  v1::RunHeader header;
  v1::Flow flow;
  std::vector<v1::Event> events;
};

class Journal {
 public:
  virtual ~Journal() = default;

  // A batch may be empty: its callback says that all before it are committed.
  virtual void Commit(Batch batch, CommitCallback done) = 0;

  virtual StatusOr<std::vector<std::string>> ActiveRuns() = 0;       // in the order in which they began
  virtual StatusOr<StoredRun> LoadRun(const std::string& name) = 0;  // NotFound, DataLoss
  // Reads what follows the place `after` in the run's log (0: all of it), each record with the place behind it as its
  // `next`; `next` is the place to go on from: that behind the last one, or `after`.
  virtual StatusOr<std::vector<v1::LogLines>> ReadLog(const std::string& run, int64_t after,
                                                      int64_t& next) = 0;
};

}  // namespace salvor::controlplane
