// salvor, the command line.
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <string>
#include <vector>

#include "base/io/system_clock.h"
#include "tools/cli/cli.h"

extern char** environ;

namespace salvor::cli {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

class SignalInterrupts final : public InterruptSource {
 public:
  void Catch() override {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted.store(true); };
    action.sa_flags = SA_RESETHAND;  // the second one ends the program
    sigaction(SIGINT, &action, nullptr);
  }
  void Release() override { signal(SIGINT, SIG_DFL); }
  bool Raised() const override { return interrupted.load(); }
};

TerminalSize SizeOfTerminal(int preferred_fd) {
  for (const int fd : {preferred_fd, STDOUT_FILENO, STDIN_FILENO}) {
    winsize size{};
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      return {size.ws_col, size.ws_row > 0 ? size.ws_row : 24};
    }
  }
  return {};
}

int Main(int argc, char** argv) {
  setenv("GRPC_VERBOSITY", "NONE", 0);  // its own talk is not for people; GRPC_VERBOSITY=DEBUG brings it back
  Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t cut = text.find('=');
    if (cut != std::string::npos) environment.variables.emplace(text.substr(0, cut), text.substr(cut + 1));
  }
  const SystemClock clock;
  SignalInterrupts interrupts;
  environment.in = &std::cin;
  environment.out = &std::cout;
  environment.err = &std::cerr;
  environment.in_is_tty = isatty(STDIN_FILENO) == 1;
  environment.out_is_tty = isatty(STDOUT_FILENO) == 1;
  environment.err_is_tty = isatty(STDERR_FILENO) == 1;
  environment.size = [] { return SizeOfTerminal(STDERR_FILENO); };
  environment.clock = &clock;
  environment.zone = absl::LocalTimeZone();
  environment.interrupts = &interrupts;
  return RunCli(std::vector<std::string>(argv + 1, argv + argc), environment);
}

}  // namespace
}  // namespace salvor::cli

int main(int argc, char** argv) { return salvor::cli::Main(argc, argv); }
