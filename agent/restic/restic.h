// restic as a library would be: one repository, typed answers, errors by kind. Debian's 0.14 and newer.
//
// Rules (shared with nothing else): the password goes by RESTIC_PASSWORD_FILE; every snapshot carries
// --host salvor and tags salvor, backup=…, component=…, artifact=…, run=…; success is judged by exit code and
// by finding the snapshot again. Exit codes of 0.14 are all 1: its text decides (wrong password, no
// repository, locked), newer versions' 10, 11, 12 do too. Secrets and the repository's address (it may hold a
// password) go by environment, never by argv. Whatever only reads takes no lock, so that it needs no right to
// write and nobody's leave; it looks twice before it says that something is missing (see Dump). Backups share
// a lock, Forget needs the repository for itself: Unavailable names who holds it (IsLocked). A call that
// stands still is stopped: restic_stall.h.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/process/tool_runner.h"
#include "agent/restic/restic_locks.h"
#include "base/status.h"
#include "base/steady_time.h"
#include "salvor/v1/action.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// Everything that each call needs and none changes. `log_line` gets stderr of restic, redacted by the caller.
struct ResticContext {
  ToolRunner* tools = nullptr;  // borrowed; never null in use
  std::string cache_directory;  // used when the Location names none
  std::stop_token stop;
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  std::function<void(std::string_view line)> log_line;
};

struct ResticSnapshot {
  std::string id;  // full, 64 hex digits
  absl::Time time;
  std::map<std::string, std::string> tags;  // "backup" -> "shop-…"; a tag without '=' maps to ""
  std::vector<std::string> paths;
};

struct ResticBackupSummary {
  std::string snapshot;  // as Restic::SavedId
  int64_t bytes_processed = 0;
  int64_t files_processed = 0;
  bool incomplete = false;          // exit code 3: some files could not be read; `errors` should name them
  std::vector<std::string> errors;  // "path: reason", at most 100
};

// One entry of a snapshot. restic prints names that are not UTF-8 with U+FFFD for each wrong byte.
using SnapshotPathSink = std::function<void(const std::string& path, const std::string& type)>;

// Thread-safe: holds no state but its two values; every call is a process.
class Restic {
 public:
  Restic(v1::ResticLocation location, ResticContext context);

  // FailedPrecondition: wrong password (hint: check the file). NotFound: no repository there. Unavailable:
  // backend does not answer, or locked.
  Status Check() const;
  Status Init() const;

  // argv and environment of `restic backup --stdin`, for RunPipe; stop_signal is SIGINT. The snapshot has one
  // file, StdinPath(file_name).
  ProcessSpec StdinBackup(const std::string& file_name, const std::map<std::string, std::string>& tags) const;

  static std::string StdinPath(const std::string& file_name) { return "/" + file_name; }

  // The id of the snapshot that a StdinBackup has just made, by its exit status (PipeOutcome::consumer). Good enough
  // for every call here; restic 0.14 says the first 8 digits only, and to ask for the rest would cost what
  // each call costs, half a second of key derivation. FullId knows it from a list. DataLoss when restic names
  // none.
  static StatusOr<std::string> SavedId(const ExitStatus& consumer);

  // The id in the list that this one, of at least 8 digits, begins; nothing when there is none or not only
  // one.
  static std::optional<std::string> FullId(const std::vector<ResticSnapshot>& snapshots,
                                           const std::string& id);

  // A short text as a one-file snapshot, uploaded through the pipe's rules. The answer is as SavedId's.
  StatusOr<std::string> StoreText(const std::string& file_name, std::string_view text,
                                  const std::map<std::string, std::string>& tags) const;

  // The same of a file of any length, from where it is positioned on: so many bytes with this SHA-256.
  StatusOr<std::string> StoreFile(const std::string& file_name, UniqueFd file, int64_t bytes,
                                  const std::string& sha256,
                                  const std::map<std::string, std::string>& tags) const;

  StatusOr<ResticBackupSummary> BackupPaths(const std::vector<std::string>& paths,
                                            const std::vector<std::string>& exclude,
                                            const std::map<std::string, std::string>& tags,
                                            std::function<void(int64_t done, int64_t total)> on_progress,
                                            bool one_file_system = false) const;

  // Snapshots with all these tags ("" as value: the tag alone), oldest first.
  StatusOr<std::vector<ResticSnapshot>> Find(const std::map<std::string, std::string>& tags) const;

  // The ids of all snapshots that there are, those too that Find leaves out because they can't be read.
  StatusOr<std::vector<std::string>> ListSnapshotIds() const;

  // argv of `restic dump SNAPSHOT PATH`, for RunPipe as the producer. When it finds something missing or
  // damaged, all of it is read once more, to nowhere, with the index as it is then: DataLoss is what two looks
  // found; Unavailable, when the second found nothing.
  ProcessSpec Dump(const std::string& snapshot, const std::string& path) const;
  // A one-file snapshot's content; DataLoss unless it has this size and digest (when given).
  StatusOr<std::string> LoadText(const v1::Artifact& artifact) const;
  // The same, of any length, into an empty file, which is borrowed.
  Status LoadFile(const v1::Artifact& artifact, int file) const;

  // Everything in a snapshot, parents of its paths too. DataLoss, after a second look, when there is no such snapshot.
  Status ListPaths(const std::string& snapshot, const SnapshotPathSink& each) const;

  // OK when the repository holds it and its first tree can be read; DataLoss, after two looks, when not.
  Status CheckSnapshot(const std::string& snapshot) const;

  // Damage is looked at twice, as by Dump. Into `target_directory`, which gets the absolute paths below it. `include`: only these paths. on_progress
  // (may be null) is told about once a second, from this thread, what restic has written, cache and all: 0.14
  // does not say what it has restored.
  Status Restore(const std::string& snapshot, const std::string& target_directory,
                 const std::vector<std::string>& include,
                 const std::function<void(int64_t bytes_written)>& on_progress = nullptr) const;

  // Forgets exactly these snapshots (no prune). None is fine.
  Status Forget(const std::vector<std::string>& snapshots) const;
  // Removes the locks of processes that are gone, never another's: by restic's own judgement, and by ours
  // (restic_locks.h) where the repository is in this host's file system. Elsewhere a lock of a zombie can go
  // only when its parent has reaped it: asks again until then, for at most half a minute.
  StatusOr<ResticLocks> RemoveStaleLocks() const;

  // Whether the error says that another process has locked the repository.
  static bool IsLocked(const Status& status);

  const v1::ResticLocation& Location() const { return location_; }

 private:
  ProcessSpec Spec(std::vector<std::string> arguments) const;
  // `restic backup` with these further arguments, which is stopped when it stands still (restic_stall.h).
  ProcessSpec BackupSpec(const std::map<std::string, std::string>& tags,
                         std::vector<std::string> arguments) const;
  StatusOr<ExitStatus> Run(std::vector<std::string> arguments, size_t keep_output = size_t{64} << 20) const;
  StatusOr<ExitStatus> RunSpec(ProcessSpec spec) const;
  // A damage that was found once, after a second look.
  Status LookAgain(Status found, const std::string& snapshot, const std::string& path) const;
  StatusOr<std::vector<ResticLock>> ListLocks() const;

  v1::ResticLocation location_;
  ResticContext context_;
};

}  // namespace salvor::agent
