// A store whose commits become durable when the simulator says so. What is not durable is lost with the control plane, and
// the outcome of what was under way is known to nobody: it may be there at the next start. Reads see what is durable, as
// the contract has it. One thread.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/store/memory/memory_store.h"

namespace salvor::simulation {

class SimulatedStore final : public controlplane::Store {
 public:
  // Told of each batch as it becomes durable, in order, before anybody else is.
  using Witness = std::function<void(const controlplane::Batch&, absl::Duration committed_at)>;

  SimulatedStore(std::function<absl::Duration()> now, std::function<void()> has_work, Witness witness)
      : now_(std::move(now)), has_work_(std::move(has_work)), witness_(std::move(witness)) {}

  // The first `most` waiting batches become durable, and who committed them is told.
  void MakeDurable(size_t most);
  // They can't be written, or it can't be said whether they are: everybody gets the error from here on.
  void Fail(bool written_all_the_same);
  // The control plane dies: of what waits the first `written` batches are on the disk, and nobody is told.
  void Crash(size_t written);
  // The next control plane begins.
  void Revive() { is_dead_ = false; }
  size_t Waiting() const { return waiting_.size(); }

  void Commit(controlplane::Batch batch, controlplane::CommitCallback done) override;

  StatusOr<std::vector<std::string>> ActiveRuns() override { return kept_.ActiveRuns(); }
  StatusOr<controlplane::StoredRun> LoadRun(const std::string& name) override { return kept_.LoadRun(name); }
  StatusOr<v1::Run> LoadRunSummary(const std::string& name) override { return kept_.LoadRunSummary(name); }
  StatusOr<v1::Run> LoadRunView(const std::string& name) override { return kept_.LoadRunView(name); }
  StatusOr<controlplane::Page<v1::Run>> ListRuns(const controlplane::RunFilter& filter,
                                                 const controlplane::PageRequest& page) override {
    return kept_.ListRuns(filter, page);
  }
  StatusOr<controlplane::Page<v1::Backup>> ListBackups(const controlplane::PageRequest& page) override {
    return kept_.ListBackups(page);
  }
  StatusOr<std::vector<v1::Verification>> ListVerifications(const std::string& backup) override {
    return kept_.ListVerifications(backup);
  }
  StatusOr<std::vector<v1::Object>> ListObjects() override { return kept_.ListObjects(); }
  StatusOr<std::vector<v1::AgentStatus>> ListAgents() override { return kept_.ListAgents(); }
  StatusOr<std::vector<controlplane::StoredObligation>> ListObligations() override {
    return kept_.ListObligations();
  }
  StatusOr<std::vector<v1::TokenRecord>> ListTokens() override { return kept_.ListTokens(); }
  StatusOr<std::vector<v1::LogLines>> ReadLog(const std::string& run, int64_t after, int64_t& next) override {
    return kept_.ReadLog(run, after, next);
  }
  std::vector<controlplane::DamagedRecord> DamagedRecords() override { return kept_.DamagedRecords(); }
  controlplane::StoreStatistics Statistics() override { return kept_.Statistics(); }

 private:
  struct Waits {
    controlplane::Batch batch;
    controlplane::CommitCallback done;
    absl::Duration committed_at;
  };
  void Write(const Waits& waits);

  std::function<absl::Duration()> now_;
  std::function<void()> has_work_;
  Witness witness_;
  controlplane::MemoryStore kept_;
  std::deque<Waits> waiting_;
  bool is_dead_ = false;
};

}  // namespace salvor::simulation
