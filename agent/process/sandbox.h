// A place for programs that nobody vouches for: a restored database server, an application's own check. bubblewrap
// gives them mount, PID, IPC and network namespaces of their own, in which they see programs and libraries (read-only),
// a /proc, /dev, /tmp of their own, and the folders that are named, nothing else. What they start ends with them, and
// they end with who started them.
//
// Root's agent gives them a user that owns nothing else; any other agent, a user namespace of its own.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/process/tool_runner.h"
#include "base/status.h"

namespace salvor::agent {

// The folder in which the files of a sandbox stand inside, whatever their path outside: a socket's path is short here.
inline constexpr char kSandboxHome[] = "/scratch";

struct SandboxUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

struct Sandbox {
  struct Mount {
    std::string outside, inside;  // absolute
    bool writable = false;
  };
  std::string program = "bwrap";    // bubblewrap
  std::optional<SandboxUser> user;  // of root's agent, which must set it; others stay who they are
  // Folder with the passwd and group file that the program sees: see WriteIdentity.
  std::string identity_directory;
  std::vector<Mount> mounts;
  bool share_network = false;  // for what has to reach a declared server over the network
};

// The same program, to be started inside. Its environment becomes what the spec names and nothing else of the
// agent's. It starts in "/". An error when it could not be closed in: the user is missing, or is root.
StatusOr<ProcessSpec> Enclose(ProcessSpec spec, const Sandbox& sandbox);

// OK when this machine lets us make such a sandbox: it was tried, with /bin/true. Blocks for some 30 ms.
Status TrySandbox(ToolRunner& tools, const Sandbox& sandbox);

// Whether a failed program says that it was never started: bubblewrap's own message. Empty when it was.
std::string SandboxFailure(const ExitStatus& status);

// Writes passwd and group with this one user into the directory: initdb and libpq look their own user up.
Status WriteIdentity(const std::string& directory, const SandboxUser& user);

// A user id that nobody has: no entry in the user database and no process, from the range that systemd too
// takes for users of the moment. `seed` chooses, so that the same name gets the same id where it is free;
// what is in `taken` is left out. ResourceExhausted when none is free.
StatusOr<SandboxUser> UnownedUser(const std::string& seed, const std::vector<uid_t>& taken);

// The first below `path` (itself included) that a user who owns nothing there cannot read, or enter; empty
// when there is none.
std::string FirstUnreadable(const std::string& path, const SandboxUser& user);

}  // namespace salvor::agent
