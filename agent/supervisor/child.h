// How the supervised program is started: own process group, other user, own network, nothing inherited.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace salvor::supervisor {

// A descriptor of ours that the program gets under this number.
struct Passed {
  int fd = -1;
  int number = -1;
};

// The command line of salvor-supervise; see main.cc.
struct Options {
  int control_fd = -1;
  int spare_fd = -1;
  int report_fd = -1;
  int lock_fd = -1;
  std::vector<int> drain_fds;
  std::vector<Passed> passed;  // the descriptors are above every number that they get
  int stop_signal = 15;
  int grace_ms = 10'000;
  std::string user;
  std::string directory;
  bool new_network = false;
  std::vector<char*> argv;  // ends with a null pointer; points into main's argv
};

struct Child {
  pid_t pid = -1;
  // Read end: "stage errno\n" when the program could not be started, end of file at once when it was.
  int failure_fd = -1;
};

// Forks; the child becomes leader of its own process group, gets every signal's default, dies with us
// (SIGKILL by PR_SET_PDEATHSIG: this is the second belt, and nobody is left then who could hold its input
// open), and executes options.argv. On failure of fork itself the pid is -1 and errno says why.
Child StartChild(const Options& options);

}  // namespace salvor::supervisor
