// Keeps everything in memory, for tests: written at once, called back from a thread of its own as the contract says, gone
// with the object. It refuses what the contract says is refused, and ends then, as a store on a disk does.
#pragma once

#include <deque>
#include <map>
#include <thread>

#include "base/io/mutex.h"
#include "controlplane/store/contract/store.h"

namespace salvor::controlplane {

class MemoryStore final : public Store {
 public:
  MemoryStore();
  ~MemoryStore() override;
  void Commit(Batch batch, CommitCallback done) override;
  StatusOr<std::vector<std::string>> ActiveRuns() override;
  StatusOr<StoredRun> LoadRun(const std::string& name) override;
  StatusOr<v1::Run> LoadRunSummary(const std::string& name) override;
  StatusOr<v1::Run> LoadRunView(const std::string& name) override;
  StatusOr<Page<v1::Run>> ListRuns(const RunFilter& filter, const PageRequest& page) override;
  StatusOr<Page<v1::Backup>> ListBackups(const PageRequest& page) override;
  StatusOr<std::vector<v1::Verification>> ListVerifications(const std::string& backup) override;
  StatusOr<std::vector<v1::Object>> ListObjects() override;
  StatusOr<std::vector<v1::AgentStatus>> ListAgents() override;
  StatusOr<std::vector<StoredObligation>> ListObligations() override;
  StatusOr<std::vector<v1::TokenRecord>> ListTokens() override;
  StatusOr<std::vector<v1::LogLines>> ReadLog(const std::string& run, int64_t after, int64_t& next) override;
  std::vector<DamagedRecord> DamagedRecords() override { return {}; }  // memory is taken to be sound
  StoreStatistics Statistics() override;

 private:
  struct Entry {
    StoredRun run;
    v1::Run summary;
    std::shared_ptr<const v1::Run> view;
    bool finished = false;
  };
  struct Callback {
    CommitCallback done;
    CommitOutcome outcome;
  };
  // Whether all of the batch can be written: nothing of it is, otherwise.
  Status Check(const Batch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Apply(const Change& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CallBack();

  Mutex mutex_;
  std::map<std::string, Entry> runs_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> order_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Backup> backups_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::Verification>> verifications_ ABSL_GUARDED_BY(mutex_);  // by backup
  std::vector<std::string> backup_order_ ABSL_GUARDED_BY(mutex_);
  std::map<ObjectKey, v1::Object> objects_ ABSL_GUARDED_BY(mutex_);
  std::map<AgentKey, v1::AgentStatus> agents_ ABSL_GUARDED_BY(mutex_);
  std::map<ObligationKey, StoredObligation> obligations_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::TokenRecord> tokens_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::LogLines>> logs_ ABSL_GUARDED_BY(mutex_);
  Status ended_ ABSL_GUARDED_BY(mutex_);  // why nothing is taken any more
  StoreStatistics statistics_ ABSL_GUARDED_BY(mutex_);
  CondVar changed_;
  std::deque<Callback> callbacks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace salvor::controlplane
