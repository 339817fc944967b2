#include "agent/executor/journal_backlog.h"

#include <algorithm>

#include "base/io/log.h"

namespace salvor::agent {
namespace {

bool IsSame(const v1::LeaseKey& a, const v1::LeaseKey& b) {
  return a.run() == b.run() && a.step() == b.step() && a.attempt() == b.attempt() && a.epoch() == b.epoch();
}

}  // namespace

Status JournalBacklog::Begin(const v1::Task& task, const std::optional<v1::HeldObligation>& obligation) {
  MutexLock lock(mutex_);
  RETURN_IF_ERROR(WriteAll());
  return journal_.Begin(task, obligation);
}

bool JournalBacklog::Finish(const v1::LeaseKey& lease, const v1::ActionResult& result) {
  MutexLock lock(mutex_);
  Waiting waiting{lease, result};
  const Status written = Write(waiting);
  if (!written.ok()) Wait(std::move(waiting), written);
  return written.ok();
}

void JournalBacklog::Forget(const v1::LeaseKey& lease) {
  MutexLock lock(mutex_);
  const auto is_of_it = [&](const Waiting& waiting) { return IsSame(waiting.lease, lease); };
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_of_it), waiting_.end());
  Waiting waiting{lease, std::nullopt};
  if (const Status written = Write(waiting); !written.ok()) Wait(std::move(waiting), written);
}

JournalBacklog::Written JournalBacklog::Retry() {
  MutexLock lock(mutex_);
  (void)WriteAll();  // it was said why
  return std::exchange(written_, {});
}

Status JournalBacklog::Write(const Waiting& waiting) {
  return waiting.result ? journal_.Finish(waiting.lease, *waiting.result) : journal_.Forget(waiting.lease);
}

Status JournalBacklog::WriteAll() {
  if (waiting_.empty()) return OkStatus();
  while (!waiting_.empty()) {
    RETURN_IF_ERROR(Write(waiting_.front()));
    if (waiting_.front().result)
      written_.emplace_back(waiting_.front().lease, *std::move(waiting_.front().result));
    waiting_.pop_front();
  }
  LogInfo("agent journal: it takes everything again, and has what waited");
  return OkStatus();
}

void JournalBacklog::Wait(Waiting waiting, const Status& why) {
  if (waiting_.empty()) {
    LogError("{}. {} Until then results wait, and no task begins.", MessageOf(why), HintOf(why));
  }
  waiting_.push_back(std::move(waiting));
}

}  // namespace salvor::agent
