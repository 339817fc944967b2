// Directories opened step by step, so that nobody but root and the agent's own user decides where a path leads.
// A restore writes as root: a symlink that somebody else put in its way must not turn it aside.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/io/files.h"
#include "base/status.h"

namespace salvor::agent {

// Says what a step does where nothing stands.
enum class Missing {
  kIsNotFound,  // NotFound
  kIsMade,      // a directory, mode 0755
};

// The directory at an absolute, normalised path, as an O_PATH descriptor. A symlink on the way is followed only
// when it and the directory that holds it belong to root or to the agent's user, and nobody else can write into
// that directory (or it is sticky); else FailedPrecondition names it.
StatusOr<UniqueFd> OpenTrustedDirectory(const std::string& path, Missing missing);

// The directory at `relative` (components joined by '/', may be empty) below an open one, O_PATH. No symlink is
// followed, whoever made it: FailedPrecondition.
StatusOr<UniqueFd> OpenDirectoryBelow(int directory, std::string_view relative, Missing missing);

// The directory that holds `path`, which lies at or below `root`: the root itself is opened as trusted, no symlink
// is followed below it. An empty root is the whole file system: there, all of the way is opened as trusted.
StatusOr<UniqueFd> OpenParentBelow(const std::string& root, const std::string& path, Missing missing);

// Whether something is mounted on what is open: its own root, of a bind mount too. Kernels before 5.8 do not say;
// there it is told by a device other than the parent's.
bool IsMountRoot(int directory);

// Names in an open directory, in no order, without "." and "..".
StatusOr<std::vector<std::string>> NamesIn(int directory);

// The last component of an absolute path.
std::string NameOf(const std::string& path);

// A path by which any system call, and any process of the agent's user, reaches what a descriptor of this process
// is open on, without a look at any name on the way to it.
std::string PathOfDescriptor(int fd);

// Removes a directory's entry and all below it; follows nothing and enters no other file system. NotFound is fine.
Status RemoveTreeAt(int directory, const std::string& name);

}  // namespace salvor::agent
