#include "agent/scratch/scratch_probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kMostOfAKind = 200;
constexpr char kNobodysAddress[] = "192.0.2.1";  // kept free for documentation: there is only a route or none

class Arguments {
 public:
  void Add(const std::string& kind, const std::string& value) {
    if (value.empty() || value.find('\n') != std::string::npos) return;
    size_t& count = kind == "--unix" ? sockets_ : kind == "--tcp" ? ports_ : others_;
    if (count >= kMostOfAKind || !seen_.insert(kind + value).second) return;
    ++count;
    words_.insert(words_.end(), {kind, value});
  }
  std::vector<std::string> Take() { return std::move(words_); }

 private:
  std::vector<std::string> words_;
  std::set<std::string> seen_;
  size_t sockets_ = 0, ports_ = 0, others_ = 0;
};

bool IsBelow(const std::string& path, const std::string& directory) {
  return path == directory || path.rfind(directory + "/", 0) == 0;
}

std::vector<std::string> Words(std::string_view line) {
  std::vector<std::string> words;
  for (std::string& word : Split(line, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

// Num RefCount Protocol Flags Type St Inode Path; 0x10000 in the flags: it listens.
void AddUnixSockets(const std::string& own_directory, Arguments& arguments) {
  const StatusOr<std::string> table = ReadFile("/proc/net/unix");
  if (!table.ok()) return;
  for (const std::string& line : Split(*table, '\n')) {
    const std::vector<std::string> words = Words(line);
    if (words.size() < 8 || words[3] != "00010000") continue;
    const std::string path = line.substr(line.find(words[6]) + words[6].size() + 1);
    if (!IsBelow(path, own_directory)) arguments.Add("--unix", path);
  }
}

// sl local_address rem_address st …; state 0A: it listens. The address is in the machine's byte order.
void AddTcpPorts(const std::string& table_path, Arguments& arguments) {
  const StatusOr<std::string> table = ReadFile(table_path);
  if (!table.ok()) return;
  for (const std::string& line : Split(*table, '\n')) {
    const std::vector<std::string> words = Words(line);
    if (words.size() < 4 || words[3] != "0A") continue;
    const size_t colon = words[1].find(':');
    int port = 0;
    if (colon == std::string::npos) continue;
    std::from_chars(words[1].data() + colon + 1, words[1].data() + words[1].size(), port, 16);
    if (port > 0) arguments.Add("--tcp", fmt::format("127.0.0.1:{}", port));
  }
}

void AddAddresses(Arguments& arguments) {
  arguments.Add("--route", kNobodysAddress);
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if ((one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* address = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
    if (::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size()) != nullptr)
      arguments.Add("--route", text.data());
  }
  ::freeifaddrs(all);
}

// Data directories of servers, among others: a server works in its own.
void AddWorkingFolders(const std::string& own_directory, Arguments& arguments) {
  DIR* directory = ::opendir("/proc");
  if (directory == nullptr) return;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    std::array<char, 4096> target{};
    const std::string link = std::string("/proc/") + entry->d_name + "/cwd";
    const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
    if (length <= 1) continue;
    const std::string path(target.data(), static_cast<size_t>(length));
    // The system's own folders are meant to be seen; what is below our home in there is another drill's.
    bool system = path == "/etc" || path == "/etc/alternatives";
    for (const char* folder :
         {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/dev", "/proc", "/scratch"})
      system = system || IsBelow(path, folder);
    if (!system && !IsBelow(path, own_directory) && path[0] == '/') arguments.Add("--look", path);
  }
  ::closedir(directory);
}

void AddNamespaces(Arguments& arguments) {
  for (const std::string kind : {"mnt", "pid", "ipc", "net"}) {
    std::array<char, 64> link{};
    const ssize_t length = ::readlink(("/proc/self/ns/" + kind).c_str(), link.data(), link.size());
    if (length > 0)
      arguments.Add("--namespace", kind + "=" + std::string(link.data(), static_cast<size_t>(length)));
  }
}

}  // namespace

std::vector<std::string> ProbeArguments(const std::string& state_directory,
                                        const std::string& own_directory) {
  Arguments arguments;
  AddNamespaces(arguments);
  AddUnixSockets(own_directory, arguments);
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) AddTcpPorts(table, arguments);
  AddAddresses(arguments);
  for (const char* path : {"/home", "/root", "/tmp", "/var/tmp", "/var/lib", "/run", "/srv", "/mnt", "/media",
                           "/etc/shadow", "/etc/ssl/private"})
    arguments.Add("--look", path);
  arguments.Add("--look", state_directory);
  AddWorkingFolders(own_directory, arguments);
  for (const char* path : {"/", "/etc", "/usr", "/var/tmp"}) arguments.Add("--write", path);
  return arguments.Take();
}

StatusOr<ProbeReport> ParseProbe(std::string_view output) {
  ProbeReport report;
  for (const std::string& line : Split(output, '\n')) {
    if (line.empty()) continue;
    if (line.rfind("tried ", 0) != 0) {
      report.reached.push_back(line);
      continue;
    }
    std::from_chars(line.data() + 6, line.data() + line.size(), report.tried);
  }
  if (report.tried <= 0) return Internal("the probe of the isolation did not come to its end");
  return report;
}

}  // namespace salvor::agent
