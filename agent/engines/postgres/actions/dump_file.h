// The file of a volume capture: a dump that is written below the declared directory before it is snapshotted, and
// removed whatever became of it. The directory may belong to somebody else, who may put anything in the file's way:
// below it no symlink is followed (agent/engines/disk/guarded_path.h), nothing that somebody else made is written into, and
// nothing is removed but by what was opened.
#pragma once

#include <string>

#include "base/io/files.h"
#include "base/status.h"
#include "salvor/v1/action.pb.h"

namespace salvor::agent {

// One writer at a time; several of one run share the run's folder.
class DumpFile {
 public:
  // `folder` and `name` are single components.
  DumpFile(std::string directory, std::string folder, std::string name);
  ~DumpFile();  // removes the file, and the run's folder with the last of its files
  DumpFile(const DumpFile&) = delete;
  DumpFile& operator=(const DumpFile&) = delete;

  // Fresh, mode 0600; what an earlier attempt left under its name goes. FailedPrecondition when the folder is a symlink,
  // or somebody else's, who could exchange what is in it.
  StatusOr<UniqueFd> Create();
  // Removes what a killed attempt left; the folder goes with the last file in it. Nothing there is fine.
  Status Remove();
  Status Sync() const;  // on disk; then as CheckPath
  // Aborted unless its path leads to the file that was written: by that path it is snapshotted, so it is asked before
  // and after.
  Status CheckPath() const;

  // The file's name for this artifact.
  static std::string NameOf(const v1::ArtifactTarget& target) { return target.artifact() + ".dump"; }

  std::string Path() const { return directory_ + "/" + folder_ + "/" + name_; }

 private:
  Status OpenFolder();
  Status CheckFolder() const;

  std::string directory_, folder_, name_;
  UniqueFd parent_, inside_, file_;  // the directory, the run's folder in it, and the file
};

}  // namespace salvor::agent
