// A store that fails at one call, before or after the call took effect: a full disk, a lost connection, a killed process.
//
// A read that fails is one that can be made again. A commit that fails ends the store, as the contract says: all later
// calls fail too. Who failed a commit "after" has it on the disk, and its caller does not know. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/io/mutex.h"
#include "controlplane/store/contract/store.h"

namespace salvor::controlplane {

class FailingStore final : public Store {
 public:
  enum class When { kBefore, kAfter };

  // Fails at the call of this number, counted from 0; a negative number: never. `inner` must outlive it.
  FailingStore(Store& inner, int64_t fail_at, When when) : inner_(inner), fail_at_(fail_at), when_(when) {}

  int64_t Calls() {
    MutexLock lock(mutex_);
    return calls_;
  }

  void Commit(Batch batch, CommitCallback done) override {
    MutexLock lock(mutex_);  // the order of the calls is that of the batches
    const bool had_ended = ended_;
    if (!Fails()) {
      inner_.Commit(std::move(batch), std::move(done));
      return;
    }
    ended_ = true;
    if (had_ended || when_ == When::kBefore) batch = {};
    inner_.Commit(std::move(batch), [done = std::move(done)](const CommitOutcome&) {
      done({CommitOutcome::Kind::kUnknown, Failure()});
    });
  }

  StatusOr<std::vector<std::string>> ActiveRuns() override {
    return Read<std::vector<std::string>>([&] { return inner_.ActiveRuns(); });
  }
  StatusOr<StoredRun> LoadRun(const std::string& name) override {
    return Read<StoredRun>([&] { return inner_.LoadRun(name); });
  }
  StatusOr<std::vector<v1::LogLines>> ReadLog(const std::string& run, int64_t after, int64_t& next) override {
    return Read<std::vector<v1::LogLines>>([&] { return inner_.ReadLog(run, after, next); });
  }
  StatusOr<v1::Run> LoadRunSummary(const std::string& name) override {
    return Read<v1::Run>([&] { return inner_.LoadRunSummary(name); });
  }
  StatusOr<v1::Run> LoadRunView(const std::string& name) override {
    return Read<v1::Run>([&] { return inner_.LoadRunView(name); });
  }
  StatusOr<Page<v1::Run>> ListRuns(const RunFilter& filter, const PageRequest& page) override {
    return Read<Page<v1::Run>>([&] { return inner_.ListRuns(filter, page); });
  }
  StatusOr<Page<v1::Backup>> ListBackups(const PageRequest& page) override {
    return Read<Page<v1::Backup>>([&] { return inner_.ListBackups(page); });
  }
  StatusOr<std::vector<v1::Verification>> ListVerifications(const std::string& backup) override {
    return Read<std::vector<v1::Verification>>([&] { return inner_.ListVerifications(backup); });
  }
  StatusOr<std::vector<v1::Object>> ListObjects() override {
    return Read<std::vector<v1::Object>>([&] { return inner_.ListObjects(); });
  }
  StatusOr<std::vector<v1::AgentStatus>> ListAgents() override {
    return Read<std::vector<v1::AgentStatus>>([&] { return inner_.ListAgents(); });
  }
  StatusOr<std::vector<StoredObligation>> ListObligations() override {
    return Read<std::vector<StoredObligation>>([&] { return inner_.ListObligations(); });
  }
  StatusOr<std::vector<v1::TokenRecord>> ListTokens() override {
    return Read<std::vector<v1::TokenRecord>>([&] { return inner_.ListTokens(); });
  }
  std::vector<DamagedRecord> DamagedRecords() override { return inner_.DamagedRecords(); }
  StoreStatistics Statistics() override { return inner_.Statistics(); }

 private:
  static Status Failure() { return Unavailable("the store failed, as the test wants it"); }

  // Counts the call.
  bool Fails() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return calls_++ == fail_at_ || ended_; }

  template <typename Answer, typename Function>
  StatusOr<Answer> Read(const Function& read) {
    {
      MutexLock lock(mutex_);
      if (Fails()) return Failure();
    }
    return read();
  }

  Store& inner_;
  const int64_t fail_at_;
  const When when_;
  Mutex mutex_;
  int64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace salvor::controlplane
