#include "agent/scratch/kept_server.h"

#include <utility>

#include "base/steady_time.h"
#include "base/text.h"

namespace salvor::agent {

KeptServer::KeptServer(ToolRunner& tools, ProcessSpec spec,
                       std::function<bool(std::string_view line)> is_fatal)
    : is_fatal_(std::move(is_fatal)) {
  thread_ = std::thread([this, &tools, moved = std::move(spec)]() mutable { Run(tools, std::move(moved)); });
}

KeptServer::~KeptServer() {
  stop_.request_stop();
  thread_.join();
}

Status KeptServer::Started() {
  MutexLock lock(mutex_);
  while (!tried_) changed_.Wait(mutex_);
  return start_status_;
}

bool KeptServer::AwaitEnd(absl::Duration at_most) {
  MutexLock lock(mutex_);
  if (!ended_) changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(at_most));
  return ended_;
}

std::string KeptServer::LastWords() {
  MutexLock lock(mutex_);
  return last_words_;
}

void KeptServer::Run(ToolRunner& tools, ProcessSpec spec) {
  spec.on_error_line = [this](std::string_view line) { Keep(line); };
  spec.on_output_line = [this](std::string_view line) { Keep(line); };
  auto process = tools.Start(std::move(spec));
  AnnounceStart(process.status());
  if (!process.ok()) return;
  const auto exit = (*process)->Wait(stop_.get_token(), SteadyTime::InfiniteFuture());
  process->reset();
  AnnounceEnd(exit.ok() ? exit->Describe() : MessageOf(exit.status()));
}

void KeptServer::AnnounceStart(const Status& status) {
  MutexLock lock(mutex_);
  tried_ = true;
  start_status_ = status;
  if (!status.ok()) ended_ = true;
  changed_.NotifyAll();
}

void KeptServer::AnnounceEnd(const std::string& how) {
  MutexLock lock(mutex_);
  ended_ = true;
  if (last_words_.empty()) last_words_ = how;
  changed_.NotifyAll();
}

void KeptServer::Keep(std::string_view line) {
  const bool fatal = is_fatal_(line);
  MutexLock lock(mutex_);
  if (fatal || last_words_.empty()) last_words_ = Elide(line, 500);
}

}  // namespace salvor::agent
