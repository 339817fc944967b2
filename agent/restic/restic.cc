#include "agent/restic/restic.h"

#include <absl/time/clock.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/restic/environment_file.h"
#include "agent/restic/restic_errors.h"
#include "agent/restic/restic_json.h"
#include "agent/restic/restic_stall.h"
#include "base/io/files.h"
#include "base/io/sha256.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kMostErrors = 100;
constexpr size_t kIdsPerForget = 100;
constexpr size_t kShortestId = 8;  // digits
constexpr size_t kIdDigits = 64;
constexpr absl::Duration kLookAtALock = absl::Seconds(20);
constexpr absl::Duration kAwaitReaping = absl::Seconds(30);
constexpr int kUnlockRounds = 3;

std::vector<std::string> TagArguments(const std::map<std::string, std::string>& tags) {
  std::vector<std::string> arguments;
  for (const auto& [name, value] : tags) arguments.insert(arguments.end(), {"--tag", ResticTag(name, value)});
  return arguments;
}

void Append(std::vector<std::string>* arguments, const std::vector<std::string>& more) {
  arguments->insert(arguments->end(), more.begin(), more.end());
}

// restic's include patterns are globs of path components.
std::string EscapePattern(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

Status CheckPasswordFile(const v1::ResticLocation& location) {
  if (location.password_file().empty()) {
    return WithHint(InvalidArgument("the Location names no password file"), "Set spec.restic.passwordFile.");
  }
  return WithHint(CheckSecretFile(location.password_file()),
                  fmt::format("Put the repository's password into {} on the agent's host, mode 0600.",
                              location.password_file()));
}

}  // namespace

Restic::Restic(v1::ResticLocation location, ResticContext context)
    : location_(std::move(location)), context_(std::move(context)) {}

ProcessSpec Restic::Spec(std::vector<std::string> arguments) const {
  ProcessSpec spec;
  spec.problem = CheckPasswordFile(location_);
  if (spec.problem.ok() && !location_.environment_file().empty()) {
    auto variables = ReadEnvironmentFile(location_.environment_file());
    spec.problem = variables.status();
    if (variables.ok()) spec.environment = *std::move(variables);
  }
  spec.environment["RESTIC_REPOSITORY"] = location_.repository();
  spec.environment["RESTIC_PASSWORD_FILE"] = location_.password_file();
  spec.environment["RESTIC_PROGRESS_FPS"] = "2";
  const std::string& cache =
      location_.cache_directory().empty() ? context_.cache_directory : location_.cache_directory();
  if (!cache.empty()) spec.environment["RESTIC_CACHE_DIR"] = cache;
  spec.argv = {"restic"};
  for (const std::string& option : location_.options()) spec.argv.insert(spec.argv.end(), {"-o", option});
  for (std::string& argument : arguments) spec.argv.push_back(std::move(argument));
  spec.stop_signal = SIGINT;
  spec.stop_grace = absl::Seconds(20);
  spec.on_error_line = context_.log_line;
  spec.on_idle = JudgeIdleRestic;
  spec.explain = [location = location_](const ExitStatus& status) {
    return ResticError(status.error_tail, status.code, location);
  };
  return spec;
}

ProcessSpec Restic::BackupSpec(const std::map<std::string, std::string>& tags,
                               std::vector<std::string> arguments) const {
  std::vector<std::string> all = {"backup", "--json", "--host", "salvor"};
  Append(&all, TagArguments(tags));
  for (std::string& argument : arguments) all.push_back(std::move(argument));
  ProcessSpec spec = Spec(std::move(all));
  spec.on_idle = [location = location_](absl::Duration idle) {
    return JudgeIdleUpload(idle, FreeBytesOfRepository(location));
  };
  return spec;
}

StatusOr<ExitStatus> Restic::RunSpec(ProcessSpec spec) const {
  return context_.tools->Run(std::move(spec), context_.stop, context_.deadline);
}

StatusOr<ExitStatus> Restic::Run(std::vector<std::string> arguments, size_t keep_output) const {
  ProcessSpec spec = Spec(std::move(arguments));
  spec.keep_output = keep_output;
  return RunSpec(std::move(spec));
}

bool Restic::IsLocked(const Status& status) { return IsResticLocked(status); }

Status Restic::Check() const {
  ProcessSpec spec = Spec({"cat", "config", "--no-lock"});
  // A repository that is yet to be made answers with "Fatal: …", which is no news: what is wrong is in the status.
  spec.on_error_line = nullptr;
  return RunSpec(std::move(spec)).status();
}

Status Restic::Init() const { return Run({"init"}).status(); }

ProcessSpec Restic::StdinBackup(const std::string& file_name,
                                const std::map<std::string, std::string>& tags) const {
  ProcessSpec spec = BackupSpec(tags, {"--stdin", "--stdin-filename", file_name});
  spec.environment["RESTIC_PROGRESS_FPS"] = "0.01";  // stdout is kept for its last line, the summary
  return spec;
}

StatusOr<std::string> Restic::SavedId(const ExitStatus& consumer) {
  std::string id;
  for (const std::string& line : Split(consumer.output, '\n')) {
    const ResticMessage message = ParseResticMessage(line);
    if (message.kind == ResticMessage::Kind::kSummary) id = message.summary.snapshot;
  }
  if (id.size() < kShortestId) return DataLoss("restic says that it succeeded and names no snapshot");
  return id;
}

std::optional<std::string> Restic::FullId(const std::vector<ResticSnapshot>& snapshots,
                                          const std::string& id) {
  if (id.size() < kShortestId) return std::nullopt;
  std::optional<std::string> full;
  for (const ResticSnapshot& snapshot : snapshots) {
    if (snapshot.id.rfind(id, 0) != 0) continue;
    if (full.has_value()) return std::nullopt;
    full = snapshot.id;
  }
  return full;
}

StatusOr<std::string> Restic::StoreText(const std::string& file_name, std::string_view text,
                                        const std::map<std::string, std::string>& tags) const {
  ASSIGN_OR_RETURN(UniqueFd file, MemoryFile(text));
  return StoreFile(file_name, std::move(file), static_cast<int64_t>(text.size()), Sha256::Of(text), tags);
}

StatusOr<ResticBackupSummary> Restic::BackupPaths(const std::vector<std::string>& paths,
                                                  const std::vector<std::string>& exclude,
                                                  const std::map<std::string, std::string>& tags,
                                                  std::function<void(int64_t, int64_t)> on_progress,
                                                  bool one_file_system) const {
  std::vector<std::string> arguments;
  if (one_file_system) arguments.emplace_back("--one-file-system");
  for (const std::string& pattern : exclude) arguments.push_back("--exclude=" + pattern);
  arguments.push_back("--");
  Append(&arguments, paths);
  ProcessSpec spec = BackupSpec(tags, std::move(arguments));
  ResticBackupSummary summary;
  spec.on_output_line = [&](std::string_view line) {
    const ResticMessage message = ParseResticMessage(line);
    if (message.kind == ResticMessage::Kind::kStatus && on_progress)
      on_progress(message.bytes_done, message.bytes_total);
    if (message.kind == ResticMessage::Kind::kSummary) {
      summary.snapshot = message.summary.snapshot;
      summary.bytes_processed = message.summary.bytes_processed;
      summary.files_processed = message.summary.files_processed;
    }
  };
  spec.on_error_line = [&](std::string_view line) {
    const ResticMessage message = ParseResticMessage(line);
    if (message.kind == ResticMessage::Kind::kError && summary.errors.size() < kMostErrors)
      summary.errors.push_back(message.error);
    if (!context_.log_line) return;
    context_.log_line(message.kind == ResticMessage::Kind::kError ? std::string_view(message.error) : line);
  };
  ASSIGN_OR_RETURN(const std::unique_ptr<RunningTool> process, context_.tools->Start(std::move(spec)));
  ASSIGN_OR_RETURN(const ExitStatus status, process->Wait(context_.stop, context_.deadline));
  summary.incomplete = status.signal == 0 && status.code == 3;
  if (!status.Ok() && !summary.incomplete) {
    return process->ErrorOf(status);
  }
  if (summary.snapshot.size() < kShortestId)
    return DataLoss("restic says that it succeeded and names no snapshot");
  return summary;
}

StatusOr<std::vector<ResticSnapshot>> Restic::Find(const std::map<std::string, std::string>& tags) const {
  std::vector<std::string> wanted;
  for (const auto& [name, value] : tags) wanted.push_back(ResticTag(name, value));
  std::vector<std::string> arguments = {"snapshots", "--json", "--no-lock"};
  if (!wanted.empty()) Append(&arguments, {"--tag", Join(wanted, ",")});
  ASSIGN_OR_RETURN(const ExitStatus status, Run(std::move(arguments), size_t{1} << 30));
  return ParseResticSnapshots(status.output);
}

StatusOr<std::vector<std::string>> Restic::ListSnapshotIds() const {
  ASSIGN_OR_RETURN(const ExitStatus status, Run({"list", "snapshots", "--no-lock"}, size_t{1} << 30));
  std::vector<std::string> ids;
  for (const std::string& line : Split(status.output, '\n')) {
    if (line.size() == kIdDigits) ids.push_back(line);
  }
  return ids;
}

ProcessSpec Restic::Dump(const std::string& snapshot, const std::string& path) const {
  ProcessSpec spec = Spec({"dump", "--no-lock", "--", snapshot, path});
  spec.explain = [restic = *this, once = spec.explain, snapshot, path](const ExitStatus& status) {
    return restic.LookAgain(once(status), snapshot, path);
  };
  return spec;
}

StatusOr<std::string> Restic::LoadText(const v1::Artifact& artifact) const {
  ProcessSpec spec = Dump(artifact.snapshot(), artifact.path());
  constexpr size_t kMostBytes = size_t{4} << 30;
  spec.keep_output = artifact.bytes() > 0 ? static_cast<size_t>(artifact.bytes()) : kMostBytes;
  StatusOr<ExitStatus> status = RunSpec(std::move(spec));
  if (!status.ok()) return WithContext(status.status(), "load " + artifact.name());
  if (status->output_cut ||
      (artifact.bytes() > 0 && static_cast<int64_t>(status->output.size()) != artifact.bytes())) {
    return DataLoss("{} in snapshot {} is {}{} bytes long and should be {}", artifact.name(),
                    artifact.snapshot(), status->output_cut ? "more than " : "", status->output.size(),
                    artifact.bytes());
  }
  if (!artifact.sha256().empty() && Sha256::Of(status->output) != artifact.sha256()) {
    return DataLoss("{} in snapshot {} has another SHA-256 than it should have", artifact.name(),
                    artifact.snapshot());
  }
  return std::move(status->output);
}

Status Restic::Restore(const std::string& snapshot, const std::string& target_directory,
                       const std::vector<std::string>& include,
                       const std::function<void(int64_t)>& on_progress) const {
  std::vector<std::string> arguments = {"restore", "--no-lock", "--target", target_directory};
  for (const std::string& path : include) arguments.push_back("--include=" + EscapePattern(path));
  Append(&arguments, {"--", snapshot});
  ProcessSpec spec = Spec(std::move(arguments));
  if (on_progress)
    spec.on_usage = [&on_progress](const ProcessUsage& usage) { on_progress(usage.bytes_written); };
  // "There were 11 errors" is all that restic says in the end.
  std::string first;
  spec.on_error_line = [&first, log_line = context_.log_line](std::string_view line) {
    constexpr std::string_view kStart = "ignoring error for ";
    if (first.empty() && line.substr(0, kStart.size()) == kStart)
      first = Elide(line.substr(kStart.size()), 300);
    if (log_line) log_line(line);
  };
  const Status status = RunSpec(std::move(spec)).status();
  return LookAgain(first.empty() ? status : WithContext(status, first), snapshot, "/");
}

Status Restic::LookAgain(Status found, const std::string& snapshot, const std::string& path) const {
  if (!IsResticDamage(found)) return found;
  if (context_.log_line) context_.log_line(MessageOf(found) + "; looking once more");
  ProcessSpec spec = Spec({"dump", "--no-lock", "--", snapshot, path});
  spec.output = UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  Status again = RunSpec(std::move(spec)).status();
  if (!again.ok()) return again;
  return WithHint(Unavailable("{} (once; a second look found all of it)", MessageOf(found)),
                  "Another restic may have pruned the repository meanwhile. Try again.");
}

Status Restic::CheckSnapshot(const std::string& snapshot) const {
  Status found = OkStatus();
  for (int look = 0; look < 2; ++look) {
    // Nothing is in this directory, so only the snapshot and its first tree are read.
    ASSIGN_OR_RETURN(const ExitStatus status,
                     Run({"ls", "--json", "--no-lock", "--", snapshot, "/looked-for-by-salvor"}));
    if (!status.output.empty()) return OkStatus();
    found = ResticError(status.error_tail, 1, location_);
    if (!IsResticDamage(found)) break;
  }
  return found;
}

Status Restic::Forget(const std::vector<std::string>& snapshots) const {
  for (size_t start = 0; start < snapshots.size(); start += kIdsPerForget) {
    std::vector<std::string> arguments = {"forget", "--"};
    for (size_t i = start; i < std::min(snapshots.size(), start + kIdsPerForget); ++i)
      arguments.push_back(snapshots[i]);
    RETURN_IF_ERROR(Run(std::move(arguments)).status());
  }
  return OkStatus();
}

StatusOr<std::vector<ResticLock>> Restic::ListLocks() const {
  ASSIGN_OR_RETURN(const ExitStatus list, Run({"list", "locks", "--no-lock"}));
  std::vector<ResticLock> locks;
  for (const std::string& id : Split(list.output, '\n')) {
    if (id.size() != kIdDigits) continue;
    // One that is gone by now is looked for by restic for 45 s: a living restic renews its lock under another
    // id every 5 minutes.
    ProcessSpec spec = Spec({"cat", "lock", id, "--no-lock"});
    const StatusOr<ExitStatus> text = context_.tools->Run(
        std::move(spec), context_.stop, std::min(context_.deadline, SteadyNow() + kLookAtALock));
    if (context_.stop.stop_requested()) return Cancelled("stopped on request");
    if (!text.ok()) continue;
    ASSIGN_OR_RETURN(ResticLock lock, ParseResticLock(id, text->output));
    locks.push_back(std::move(lock));
  }
  return locks;
}

StatusOr<ResticLocks> Restic::RemoveStaleLocks() const {
  ResticLocks result;
  const std::optional<std::string> directory = LocalDirectory(location_);
  const SteadyTime until = std::min(context_.deadline, SteadyNow() + kAwaitReaping);
  ASSIGN_OR_RETURN(std::vector<ResticLock> locks, ListLocks());
  for (int round = 0; round < kUnlockRounds && !locks.empty(); ++round) {
    const size_t before = locks.size();
    RETURN_IF_ERROR(Run({"unlock"}).status());
    ASSIGN_OR_RETURN(locks, ListLocks());
    for (const ResticLock& lock : locks) {
      if (!directory.has_value() || !IsOwnerGone(lock)) continue;
      const std::string path = *directory + "/locks/" + lock.id;
      if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return ErrnoStatus(errno, "remove the stale lock " + path);
    }
    if (directory.has_value()) {
      locks.erase(std::remove_if(locks.begin(), locks.end(),
                                 [](const ResticLock& lock) { return IsOwnerGone(lock); }),
                  locks.end());
    }
    result.removed += static_cast<int>(before - std::min(before, locks.size()));
    const auto stuck =
        std::find_if(locks.begin(), locks.end(), [](const ResticLock& lock) { return IsOwnerGone(lock); });
    if (stuck == locks.end()) break;
    const int pid = stuck->pid;
    while (ReadProcessFacts(pid).exists && SteadyNow() < until && !context_.stop.stop_requested()) {
      absl::SleepFor(absl::Milliseconds(50));
    }
    if (ReadProcessFacts(pid).exists) break;  // restic would not let it go
  }
  for (ResticLock& lock : locks)
    (IsOwnerGone(lock) ? result.stuck : result.living).push_back(std::move(lock));
  return result;
}

}  // namespace salvor::agent
