#include "base/io/program/signals.h"

#include <signal.h>

#include <cstdio>
#include <thread>

namespace salvor {

std::string ProgramVersion() { return SALVOR_VERSION; }

void StopOnSignals(std::function<void()> stop) {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, stop = std::move(stop)] {
    int signal = 0;
    sigwait(&signals, &signal);
    stop();
  }).detach();
}

int ReportFailure(const Status& status) {
  fmt::print(stderr, "error: {}\n", MessageOf(status));
  if (const std::string hint = HintOf(status); !hint.empty()) fmt::print(stderr, "  hint: {}\n", hint);
  return 1;
}

}  // namespace salvor
