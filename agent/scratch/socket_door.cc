#include "agent/scratch/socket_door.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kHint[] = "Restored code may have put it there. Nothing was sent to it; the drill is over.";

}  // namespace

Status OpenSocketDoor(const std::string& from, const std::string& door, const std::string& name,
                      uid_t owner) {
  const std::string source = from + "/" + name, entry = door + "/" + name;
  if (::unlink(entry.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "remove " + entry);
  // A symlink would be linked as another symlink. It is looked at where nobody else can change it any more.
  if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, entry.c_str(), 0) != 0)
    return ErrnoStatus(errno, "link " + source);
  struct stat facts {};
  Status judged;
  if (::lstat(entry.c_str(), &facts) != 0) {
    judged = ErrnoStatus(errno, "look at " + entry);
  } else if (!S_ISSOCK(facts.st_mode)) {
    judged = WithHint(PermissionDenied("{} is no socket: it is not followed", source), kHint);
  } else if (facts.st_uid != owner) {
    judged = WithHint(PermissionDenied("the socket {} belongs to user id {} instead of {}: it is not used",
                                       source, facts.st_uid, owner),
                      kHint);
  }
  if (!judged.ok()) ::unlink(entry.c_str());
  return judged;
}

Status CheckListener(int session_socket, uid_t user, const std::vector<int>& processes) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (::getsockopt(session_socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return ErrnoStatus(errno, "ask who listens");
  const bool expected =
      peer.uid == user && std::find(processes.begin(), processes.end(), peer.pid) != processes.end();
  if (expected) return OkStatus();
  return WithHint(
      PermissionDenied("process {} of user id {} listens at the scratch server's socket", peer.pid, peer.uid),
      kHint);
}

}  // namespace salvor::agent
