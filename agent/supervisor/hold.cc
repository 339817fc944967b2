#include "agent/supervisor/hold.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace salvor::supervisor {
namespace {

constexpr int kBacklog = 16;

// By IPv6 for both versions where there is one, else by IPv4. -1: with errno.
int Listen(int port) {
  const int on = 1;
  const int six = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (six >= 0) {
    const int off = 0;
    ::setsockopt(six, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    ::setsockopt(six, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(static_cast<uint16_t>(port));
    if (::bind(six, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0 && ::listen(six, kBacklog) == 0)
      return six;
    ::close(six);
  }
  const int four = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (four < 0) return -1;
  ::setsockopt(four, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = htons(static_cast<uint16_t>(port));
  if (::bind(four, reinterpret_cast<sockaddr*>(&any), sizeof any) == 0 && ::listen(four, kBacklog) == 0)
    return four;
  ::close(four);
  return -1;
}

}  // namespace

int RunHold(int count, char** arguments) {
  const int port = count == 1 ? std::atoi(arguments[0]) : 0;
  if (port < 1 || port > 65535) {
    std::fprintf(stderr, "salvor-supervise --hold: wants a port\n");
    return 64;
  }
  // The first process of a container hears of no signal that it does not ask for.
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  const int listener = Listen(port);
  if (listener < 0) {
    std::fprintf(stderr, "salvor-supervise --hold: port %d: %s\n", port, std::strerror(errno));
    return 1;
  }
  int signal = 0;
  while (::sigwait(&ends, &signal) != 0) {
  }
  ::close(listener);
  return 0;
}

}  // namespace salvor::supervisor
