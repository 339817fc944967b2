#include "controlplane/store/memory_store.h"

#include "proto/kind.h"

namespace salvor::controlplane {

Status CommitAndWait(Store& store, Batch batch) {
  Mutex mutex;
  CondVar changed;
  bool done = false;
  Status outcome;
  store.Commit(std::move(batch), [&](const Status& status) {
    MutexLock lock(mutex);
    outcome = status;
    done = true;
    changed.NotifyAll();
  });
  MutexLock lock(mutex);
  while (!done) changed.Wait(mutex);
  return outcome;
}

MemoryStore::MemoryStore() : thread_([this] { CallBack(); }) {}

MemoryStore::~MemoryStore() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void MemoryStore::Commit(Batch batch, std::function<void(const Status&)> durable) {
  MutexLock lock(mutex_);
  Status status;
  for (const Change& change : batch) {
    if (status.ok()) status = Apply(change);
  }
  ++statistics_.commits;
  callbacks_.push_back({std::move(durable), status});
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
    callback.durable(callback.status);
  }
}

Status MemoryStore::Apply(const Change& change) {
  if (const auto* put = std::get_if<PutRun>(&change)) {
    if (runs_.count(put->header.name()) > 0) return AlreadyExists("run {}", put->header.name());
    Entry& entry = runs_[put->header.name()];
    entry.run = {put->header, put->flow, {}};
    *entry.summary.mutable_header() = put->header;
    order_.push_back(put->header.name());
  } else if (const auto* append = std::get_if<AppendEvents>(&change)) {
    auto& events = runs_[append->run].run.events;
    if (append->first != static_cast<int64_t>(events.size()))
      return Internal("a gap in the events of {}", append->run);
    for (const v1::Event& event : append->events.events()) events.push_back(event);
    statistics_.events += append->events.events_size();
  } else if (const auto* finish = std::get_if<FinishRun>(&change)) {
    runs_[finish->summary.header().name()].summary = finish->summary;
    runs_[finish->summary.header().name()].finished = true;
  } else if (const auto* backup = std::get_if<PutBackup>(&change)) {
    if (backups_.count(backup->backup.name()) == 0) backup_order_.push_back(backup->backup.name());
    backups_[backup->backup.name()] = backup->backup;
  } else if (const auto* object = std::get_if<PutObject>(&change)) {
    objects_[{KindOf(object->object), object->object.metadata().name()}] = object->object;
  } else if (const auto* erase = std::get_if<EraseObject>(&change)) {
    objects_.erase({erase->kind, erase->name});
  } else if (const auto* agent = std::get_if<PutAgent>(&change)) {
    agents_[agent->Key()] = agent->agent;
  } else if (const auto* log = std::get_if<AppendLog>(&change)) {
    logs_[log->lines.run()].push_back(log->lines);
  } else if (const auto* held = std::get_if<PutObligation>(&change)) {
    obligations_[{held->obligation.run(), held->obligation.name()}] = {held->agent, held->obligation};
  } else if (const auto* gone = std::get_if<EraseObligation>(&change)) {
    obligations_.erase({gone->run, gone->name});
  } else if (const auto* token = std::get_if<PutToken>(&change)) {
    tokens_[token->record.token().name()] = token->record;
  }
  return OkStatus();
}

StatusOr<std::vector<std::string>> MemoryStore::ActiveRuns() {
  MutexLock lock(mutex_);
  std::vector<std::string> active;
  for (const std::string& name : order_) {
    if (!runs_[name].finished) active.push_back(name);
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

StatusOr<std::vector<v1::Run>> MemoryStore::ListRuns(const std::string& application, int limit) {
  MutexLock lock(mutex_);
  std::vector<v1::Run> runs;
  for (auto name = order_.rbegin(); name != order_.rend() && static_cast<int>(runs.size()) < limit; ++name) {
    const v1::Run& summary = runs_[*name].summary;
    if (application.empty() || summary.header().application() == application) runs.push_back(summary);
  }
  return runs;
}

StatusOr<std::vector<v1::Backup>> MemoryStore::ListBackups() {
  MutexLock lock(mutex_);
  std::vector<v1::Backup> backups;
  for (const std::string& name : backup_order_) backups.push_back(backups_[name]);
  return backups;
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
  next = static_cast<int64_t>(log.size());
  if (after >= next) return std::vector<v1::LogLines>();
  std::vector<v1::LogLines> lines(log.begin() + after, log.end());
  for (v1::LogLines& some : lines) some.set_next(++after);
  return lines;
}

StoreStatistics MemoryStore::Statistics() {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace salvor::controlplane
