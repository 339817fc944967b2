// Properties of a file that restic does not keep: holes, and the attributes that chattr sets.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/status.h"

namespace salvor::agent {

// The attributes of an open file or directory that chattr sets, as letters of lsattr: "ai"; "" where there are none
// or the file system has no such thing. What a file system sets by itself (extents, indexed directories) is no
// part of it.
std::string AttributesOf(int fd);

// Sets these and clears none. FailedPrecondition where the file system knows no such attribute.
Status SetAttributes(int fd, const std::string& letters);

// The bytes that a file with holes takes on disk, at least 1; 0 when it has none.
int64_t AllocatedBytesWithHoles(int fd, const struct stat& facts);

// Gives blocks of zeros back to the file system; content and times stay. `fd` is open for writing.
Status DigHoles(int fd);

}  // namespace salvor::agent
