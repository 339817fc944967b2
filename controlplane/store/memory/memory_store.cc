#include "controlplane/store/memory/memory_store.h"

#include <algorithm>

#include "controlplane/store/contract/page_token.h"
#include "proto/kind.h"

namespace salvor::controlplane {

MemoryStore::MemoryStore() : thread_([this] { CallBack(); }) {}

MemoryStore::~MemoryStore() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void MemoryStore::Commit(Batch batch, CommitCallback done) {
  MutexLock lock(mutex_);
  if (ended_.ok()) ended_ = Check(batch);
  if (ended_.ok()) {
    for (const Change& change : batch.changes) Apply(change);
  }
  ++statistics_.commits;
  callbacks_.push_back({std::move(done), CommitOutcome::Of(ended_)});
  changed_.NotifyAll();
}

void MemoryStore::CallBack() {
  while (true) {
    Callback callback;
    {
      MutexLock lock(mutex_);
      while (callbacks_.empty() && !stopping_) changed_.Wait(mutex_);
      if (callbacks_.empty()) return;
      callback = std::move(callbacks_.front());
      callbacks_.pop_front();
    }
    callback.done(callback.outcome);
  }
}

Status MemoryStore::Check(const Batch& batch) {
  std::map<std::string, int64_t> events;  // of the runs that this batch touches, up to the change at hand
  const auto find = [&](const std::string& name) {
    const auto known = runs_.find(name);
    if (events.count(name) == 0 && known != runs_.end())
      events[name] = static_cast<int64_t>(known->second.run.events.size());
    return events.find(name);
  };
  for (const Change& change : batch.changes) {
    if (const auto* put = std::get_if<PutRun>(&change)) {
      if (find(put->header.name()) != events.end()) return AlreadyExists("run {}", put->header.name());
      events[put->header.name()] = 0;
    } else if (const auto* append = std::get_if<AppendEvents>(&change)) {
      const auto run = find(append->run);
      if (run == events.end()) return NotFound("run {} does not exist", append->run);
      if (append->first != run->second)
        return Internal("a gap in the events of {}: {} after {}", append->run, append->first, run->second);
      run->second += append->events.events_size();
    } else if (const auto* finish = std::get_if<FinishRun>(&change)) {
      const std::string& name = finish->summary.header().name();
      if (find(name) == events.end()) return NotFound("run {} does not exist", name);
    }
  }
  return OkStatus();
}

void MemoryStore::Apply(const Change& change) {
  if (const auto* put = std::get_if<PutRun>(&change)) {
    Entry& entry = runs_[put->header.name()];
    entry.run = {put->header, *put->flow, {}};
    *entry.summary.mutable_header() = put->header;
    order_.push_back(put->header.name());
  } else if (const auto* append = std::get_if<AppendEvents>(&change)) {
    for (const v1::Event& event : append->events.events()) runs_[append->run].run.events.push_back(event);
    statistics_.events += append->events.events_size();
  } else if (const auto* finish = std::get_if<FinishRun>(&change)) {
    runs_[finish->summary.header().name()].summary = finish->summary;
    runs_[finish->summary.header().name()].finished = true;
    runs_[finish->summary.header().name()].view = finish->view;
  } else if (const auto* over = std::get_if<EraseRun>(&change)) {
    const auto run = runs_.find(over->run);
    if (run == runs_.end() || !run->second.finished) return;
    runs_.erase(run);
    logs_.erase(over->run);
    *std::find(order_.begin(), order_.end(), over->run) = "";  // the others keep their places in lists
  } else if (const auto* backup = std::get_if<PutBackup>(&change)) {
    if (backups_.count(backup->backup.name()) == 0) backup_order_.push_back(backup->backup.name());
    backups_[backup->backup.name()] = backup->backup;
  } else if (const auto* found = std::get_if<PutVerification>(&change)) {
    auto& known = verifications_[found->verification.backup()];
    const bool there = std::any_of(known.begin(), known.end(), [&](const v1::Verification& one) {
      return one.run() == found->verification.run();
    });
    if (!there) known.push_back(found->verification);
  } else if (const auto* object = std::get_if<PutObject>(&change)) {
    objects_[{KindOf(object->object), object->object.metadata().name()}] = object->object;
  } else if (const auto* erase = std::get_if<EraseObject>(&change)) {
    objects_.erase({erase->kind, erase->name});
  } else if (const auto* agent = std::get_if<PutAgent>(&change)) {
    agents_[agent->Key()] = agent->agent;
  } else if (const auto* log = std::get_if<AppendLog>(&change)) {
    logs_[log->lines.run()].push_back(log->lines);
  } else if (const auto* held = std::get_if<PutObligation>(&change)) {
    obligations_[held->Key()] = {held->agent, held->obligation};
  } else if (const auto* gone = std::get_if<EraseObligation>(&change)) {
    obligations_.erase({gone->run, gone->name});
  } else if (const auto* token = std::get_if<PutToken>(&change)) {
    tokens_[token->record.token().name()] = token->record;
  }
}

StatusOr<std::vector<std::string>> MemoryStore::ActiveRuns() {
  MutexLock lock(mutex_);
  std::vector<std::string> active;
  for (const std::string& name : order_) {
    if (!name.empty() && !runs_[name].finished) active.push_back(name);
  }
  return active;
}

StatusOr<StoredRun> MemoryStore::LoadRun(const std::string& name) {
  MutexLock lock(mutex_);
  const auto found = runs_.find(name);
  if (found == runs_.end()) return NotFound("run {} does not exist", name);
  return found->second.run;
}

StatusOr<v1::Run> MemoryStore::LoadRunSummary(const std::string& name) {
  MutexLock lock(mutex_);
  const auto found = runs_.find(name);
  if (found == runs_.end()) return NotFound("run {} does not exist", name);
  return found->second.summary;
}

StatusOr<v1::Run> MemoryStore::LoadRunView(const std::string& name) {
  MutexLock lock(mutex_);
  const auto found = runs_.find(name);
  if (found == runs_.end() || found->second.view == nullptr) return NotFound("run {} has no view", name);
  return *found->second.view;
}

StatusOr<Page<v1::Run>> MemoryStore::ListRuns(const RunFilter& filter, const PageRequest& page) {
  const std::string list = NameOfList(filter);
  ASSIGN_OR_RETURN(const std::optional<int64_t> before, ReadNumberToken(list, page.token));
  MutexLock lock(mutex_);
  Page<v1::Run> runs;
  for (int64_t number = before.value_or(static_cast<int64_t>(order_.size())) - 1; number >= 0; --number) {
    const std::string& name = order_[static_cast<size_t>(number)];
    if (name.empty()) continue;  // it was erased
    const Entry& entry = runs_[name];
    if ((filter.active_only && entry.finished) || !filter.Matches(entry.summary)) continue;
    if (static_cast<int>(runs.items.size()) >= std::max(page.size, 1)) {
      runs.next_token = MakePageToken(list, std::to_string(number + 1));
      break;
    }
    runs.items.push_back(entry.summary);
  }
  return runs;
}

StatusOr<Page<v1::Backup>> MemoryStore::ListBackups(const PageRequest& page) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> after, ReadNumberToken("backups", page.token));
  MutexLock lock(mutex_);
  Page<v1::Backup> backups;
  for (size_t number = static_cast<size_t>(after.value_or(-1) + 1); number < backup_order_.size(); ++number) {
    if (static_cast<int>(backups.items.size()) >= std::max(page.size, 1)) {
      backups.next_token = MakePageToken("backups", std::to_string(number - 1));
      break;
    }
    backups.items.push_back(backups_[backup_order_[number]]);
  }
  return backups;
}

StatusOr<std::vector<v1::Verification>> MemoryStore::ListVerifications(const std::string& backup) {
  MutexLock lock(mutex_);
  const auto found = verifications_.find(backup);
  return found == verifications_.end() ? std::vector<v1::Verification>() : found->second;
}

StatusOr<std::vector<v1::Object>> MemoryStore::ListObjects() {
  MutexLock lock(mutex_);
  std::vector<v1::Object> objects;
  for (const auto& [key, object] : objects_) objects.push_back(object);
  return objects;
}

StatusOr<std::vector<v1::AgentStatus>> MemoryStore::ListAgents() {
  MutexLock lock(mutex_);
  std::vector<v1::AgentStatus> agents;
  for (const auto& [name, agent] : agents_) agents.push_back(agent);
  return agents;
}

StatusOr<std::vector<StoredObligation>> MemoryStore::ListObligations() {
  MutexLock lock(mutex_);
  std::vector<StoredObligation> obligations;
  for (const auto& [key, obligation] : obligations_) obligations.push_back(obligation);
  return obligations;
}

StatusOr<std::vector<v1::TokenRecord>> MemoryStore::ListTokens() {
  MutexLock lock(mutex_);
  std::vector<v1::TokenRecord> tokens;
  for (const auto& [name, token] : tokens_) tokens.push_back(token);
  return tokens;
}

StatusOr<std::vector<v1::LogLines>> MemoryStore::ReadLog(const std::string& run, int64_t after,
                                                         int64_t& next) {
  MutexLock lock(mutex_);
  const auto& log = logs_[run];
  next = std::max(after, static_cast<int64_t>(log.size()));
  if (after >= static_cast<int64_t>(log.size())) return std::vector<v1::LogLines>();
  std::vector<v1::LogLines> lines(log.begin() + after, log.end());
  for (v1::LogLines& some : lines) some.set_next(++after);
  return lines;
}

StoreStatistics MemoryStore::Statistics() {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace salvor::controlplane
