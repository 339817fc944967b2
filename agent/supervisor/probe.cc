#include "agent/supervisor/probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace salvor::supervisor {
namespace {

constexpr int kPatienceMs = 1'000;

struct Attempt {
  int fd = -1;
  std::string what;
};

void SayReached(const std::string& what) { std::printf("%s\n", what.c_str()); }

bool ReachesUnix(const std::string& path) {
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';
  const auto size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (path[0] == '@' ? 0 : 1));
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM}) {
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) continue;
    const bool reached = ::connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 || errno == EAGAIN;
    const bool other_type = !reached && errno == EPROTOTYPE;
    ::close(fd);
    if (!other_type) return reached;
  }
  return false;
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

bool ParseAddress(std::string host, int port, Address* address) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  auto* four = reinterpret_cast<sockaddr_in*>(&address->storage);
  if (::inet_pton(AF_INET, host.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(static_cast<uint16_t>(port));
    address->size = sizeof *four;
    return true;
  }
  *address = Address();
  auto* six = reinterpret_cast<sockaddr_in6*>(&address->storage);
  if (::inet_pton(AF_INET6, host.c_str(), &six->sin6_addr) != 1) return false;
  six->sin6_family = AF_INET6;
  six->sin6_port = htons(static_cast<uint16_t>(port));
  address->size = sizeof *six;
  return true;
}

// Starts to connect; what is in progress is waited for together.
bool StartTcp(const std::string& text, std::vector<Attempt>* attempts) {
  const size_t colon = text.rfind(':');
  Address address;
  if (colon == std::string::npos ||
      !ParseAddress(text.substr(0, colon), std::atoi(text.c_str() + colon + 1), &address))
    return false;
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return true;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address.storage), address.size) == 0) {
    SayReached("address " + text);
    ::close(fd);
  } else if (errno == EINPROGRESS) {
    attempts->push_back({fd, text});
  } else {
    ::close(fd);
  }
  return true;
}

void AwaitTcp(std::vector<Attempt>* attempts) {
  timespec begin{}, now{};
  ::clock_gettime(CLOCK_MONOTONIC, &begin);
  while (true) {
    std::vector<pollfd> polled;
    for (const Attempt& attempt : *attempts) polled.push_back({attempt.fd, POLLOUT, 0});
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const int spent =
        static_cast<int>((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1'000'000);
    bool waits = false;
    for (const Attempt& attempt : *attempts) waits = waits || attempt.fd >= 0;
    if (!waits || spent >= kPatienceMs) break;
    if (::poll(polled.data(), polled.size(), kPatienceMs - spent) < 0 && errno != EINTR) break;
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(polled[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
      if (error == 0) SayReached("address " + (*attempts)[i].what);
      ::close((*attempts)[i].fd);
      (*attempts)[i].fd = -1;
    }
  }
  for (const Attempt& attempt : *attempts) {
    if (attempt.fd >= 0) ::close(attempt.fd);
  }
}

// A datagram socket is "connected" where there is a route, without a packet.
bool HasRoute(const std::string& host, bool* valid) {
  Address address;
  *valid = ParseAddress(host, 9, &address);
  if (!*valid) return false;
  const int fd = ::socket(address.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool reached = ::connect(fd, reinterpret_cast<sockaddr*>(&address.storage), address.size) == 0;
  ::close(fd);
  return reached;
}

bool CanRead(const std::string& path) {
  if (DIR* directory = ::opendir(path.c_str())) {
    bool found = false;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      found = found || (name != "." && name != "..");
    }
    ::closedir(directory);
    return found;
  }
  if (errno != ENOTDIR) return false;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

bool CanWrite(const std::string& directory) {
  const std::string path = directory + "/.salvor-probe-" + std::to_string(::getpid());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  ::close(fd);
  ::unlink(path.c_str());
  return true;
}

// A host without a /proc to look in counts as the same one.
bool SharesNamespace(const std::string& kind, const std::string& link) {
  char own[64] = {};
  const ssize_t length = ::readlink(("/proc/self/ns/" + kind).c_str(), own, sizeof own - 1);
  return length <= 0 || link == own;
}

// False when it cannot be read.
bool Try(const std::string& kind, const std::string& value, std::vector<Attempt>* attempts) {
  bool valid = true;
  if (kind == "--unix") {
    if (ReachesUnix(value)) SayReached("socket " + value);
  } else if (kind == "--tcp") {
    valid = StartTcp(value, attempts);
  } else if (kind == "--route") {
    if (HasRoute(value, &valid)) SayReached("a route to " + value);
  } else if (kind == "--look") {
    if (CanRead(value)) SayReached("what is in " + value);
  } else if (kind == "--write") {
    if (CanWrite(value)) SayReached("writing into " + value);
  } else if (kind == "--namespace") {
    const size_t equals = value.find('=');
    valid = equals != std::string::npos;
    if (valid && SharesNamespace(value.substr(0, equals), value.substr(equals + 1)))
      SayReached("the host's namespace " + value.substr(0, equals));
  } else {
    valid = false;
  }
  return valid;
}

}  // namespace

int RunProbe(int count, char** arguments) {
  std::vector<Attempt> attempts;
  int tried = 0;
  for (int i = 0; i < count; i += 2, ++tried) {
    if (i + 1 >= count || !Try(arguments[i], arguments[i + 1], &attempts)) {
      std::fprintf(stderr, "salvor-supervise --probe: cannot read '%s'\n", arguments[i]);
      return 64;
    }
  }
  AwaitTcp(&attempts);
  std::printf("tried %d\n", tried);
  return 0;
}

}  // namespace salvor::supervisor
