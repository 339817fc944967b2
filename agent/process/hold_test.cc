// salvor-supervise --hold: what a pod of a drill does that only has to be there. See agent/supervisor/hold.h.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/process/process_testing.h"

namespace salvor::agent {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// A socket that has a port of its own, and listens if it is told to.
int TakePort(int* port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  *port = ntohs(address.sin_port);
  return fd;
}

bool Connects(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(port);
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connected;
}

pid_t StartHold(const std::string& argument) {
  const std::string supervisor = Supervisor();
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execlp(supervisor.c_str(), supervisor.c_str(), "--hold", argument.c_str(), nullptr);
    ::_exit(127);
  }
  return pid;
}

int ExitCodeOf(pid_t pid) {
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

TEST(Hold, TakesConnectionsUntilItIsToldToEnd) {
  for (const int signal : {SIGTERM, SIGINT}) {
    int port = 0;
    ::close(TakePort(&port));
    const pid_t pid = StartHold(std::to_string(port));
    EXPECT_TRUE(Eventually([&] { return Connects(port); }));
    EXPECT_TRUE(Connects(port)) << "nobody answers, and the next one comes in all the same";
    ::kill(pid, signal);
    EXPECT_EQ(ExitCodeOf(pid), 0);
    EXPECT_FALSE(Connects(port));
  }
}

TEST(Hold, SaysWhenItCannot) {
  for (const char* argument : {"", "0", "65536", "web"})
    EXPECT_EQ(ExitCodeOf(StartHold(argument)), 64) << argument;
  int port = 0;
  const int taken = TakePort(&port);
  EXPECT_EQ(::listen(taken, 1), 0);
  EXPECT_EQ(ExitCodeOf(StartHold(std::to_string(port))), 1);
  ::close(taken);
}

}  // namespace
}  // namespace salvor::agent
