#include <absl/time/clock.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "agent/actions/clean_up.h"
#include "agent/actions/disk_actions.h"
#include "agent/actions/disk_target.h"
#include "agent/disk/guarded_path.h"
#include "agent/disk/live_database.h"
#include "agent/disk/tree.h"
#include "agent/disk/tree_codec.h"
#include "agent/disk/tree_coverage.h"
#include "agent/process/sha256.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

constexpr size_t kNamedInWarnings = 20;
constexpr int kNamedInCoverage = 100;
constexpr size_t kLongestName = 500;  // bytes; a path has up to 4096, and three times that when it is encoded
constexpr char kDetails[] = ".details";

// What it leads to would not be backed up, and an empty backup of it would look whole.
Status RefuseSymlink(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  const std::string target = resolved == nullptr ? "" : resolved;
  std::free(resolved);
  return WithHint(FailedPrecondition("path {} is a symlink", PercentEncode(path)),
                  target.empty() ? "It leads to nothing. Name a directory or a file in the component's paths."
                                 : fmt::format("Name what it leads to in the component's paths: {}",
                                               PercentEncode(target)));
}

Status RefuseExcludedPath(const std::string& path) {
  return WithHint(
      FailedPrecondition("path {} is excluded by the component's own patterns", PercentEncode(path)),
      "A pattern without a leading '/' matches anywhere in a path. Write the whole path that is to be "
      "left out.");
}

class DiskBackupRun {
 public:
  DiskBackupRun(const v1::DiskBackup& action, ActionContext& context)
      : action_(action),
        context_(context),
        restic_(context.Repository(action.target().location())),
        paths_(NormalisePaths({action.component().paths().begin(), action.component().paths().end()})),
        exclude_(action.component().exclude().begin(), action.component().exclude().end()),
        patterns_(exclude_),
        details_target_(action.target()) {
    details_target_.set_artifact(action.target().artifact() + kDetails);
  }

  StatusOr<v1::ActionResult> Run();

 private:
  Status CheckPaths() const;
  Status CheckMountPoints() const;
  void NoteLeftOut(LeftOut why, const std::string& path);
  StatusOr<std::vector<CapturedEntry>> Walk(bool hash, const std::string& doing);
  Status Keep();
  Status LookForChanges();
  StatusOr<std::vector<std::string>> Judge();
  Status RefuseUnnamedLoss() const;
  StatusOr<v1::Artifact> StoreDetails(const std::vector<v1::TreeEntry>& entries) const;
  v1::Artifact DescribeTree(const std::vector<v1::TreeEntry>& entries, const std::vector<std::string>& errors,
                            v1::ActionResult* result) const;
  void DescribeLeftOut(const std::vector<v1::TreeEntry>& entries, v1::CoverageSummary* coverage,
                       v1::ActionResult* result) const;
  void Say(const std::string& message, int64_t done = 0, int64_t total = 0) const;

  const v1::DiskBackup& action_;
  ActionContext& context_;
  Restic restic_;
  std::vector<std::string> paths_, exclude_;
  ExcludePatterns patterns_;
  std::vector<std::string> left_out_;  // "path: why"
  int64_t excluded_ = 0;
  v1::ArtifactTarget details_target_;
  absl::Time from_, until_;
  std::vector<CapturedEntry> entries_;
  ResticBackupSummary kept_;
};

void DiskBackupRun::Say(const std::string& message, int64_t done, int64_t total) const {
  if (!context_.progress) return;
  v1::Progress progress;
  progress.set_message(message);
  progress.set_bytes_done(done);
  progress.set_bytes_total(total);
  context_.progress(progress);
}

Status DiskBackupRun::CheckPaths() const {
  if (paths_.empty()) return InvalidArgument("the component names no paths");
  std::vector<std::string> missing;
  for (const std::string& path : action_.component().paths()) RETURN_IF_ERROR(CheckAbsolutePath(path));
  for (const std::string& path : paths_) {
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) == 0) {
      if (S_ISLNK(facts.st_mode)) return RefuseSymlink(path);
      if (patterns_.Excludes(path)) return RefuseExcludedPath(path);
      continue;
    }
    if (errno != ENOENT && errno != ENOTDIR) return ErrnoStatus(errno, "look at " + PercentEncode(path));
    missing.push_back(PercentEncode(path));
  }
  if (!missing.empty()) {
    return WithHint(
        FailedPrecondition("{} {} not exist: {}", missing.size() == 1 ? "a declared path" : "declared paths",
                           missing.size() == 1 ? "does" : "do", Join(missing, ", ")),
        "Mount or make what is missing, or take it out of the component's paths.");
  }
  RETURN_IF_ERROR(CheckMountPoints());
  return RefuseLiveDatabases(paths_, patterns_);
}

// Without its mount, a directory is empty, and an empty backup of it would look whole.
Status DiskBackupRun::CheckMountPoints() const {
  std::vector<std::string> bare;
  for (const std::string& point : action_.component().mount_points()) {
    RETURN_IF_ERROR(CheckAbsolutePath(point));
    const UniqueFd directory(::open(point.c_str(), O_PATH | O_CLOEXEC));
    if (!directory.Valid() && errno != ENOENT && errno != ENOTDIR)
      return ErrnoStatus(errno, "look at " + PercentEncode(point));
    if (!directory.Valid() || !IsMountRoot(directory.Get())) bare.push_back(PercentEncode(point));
  }
  if (bare.empty()) return OkStatus();
  return WithHint(
      FailedPrecondition("nothing is mounted on {}", Join(bare, ", ")),
      "Mount what belongs there. Nothing was backed up: without it the application's files are not "
      "where they should be.");
}

void DiskBackupRun::NoteLeftOut(LeftOut why, const std::string& path) {
  switch (why) {
    case LeftOut::kExcluded:
      ++excluded_;
      break;
    case LeftOut::kMount:
      left_out_.push_back(PercentEncode(path) +
                          ": another file system is left out (crossFileSystems is not set)");
      break;
    case LeftOut::kLostAndFound:
      left_out_.push_back(PercentEncode(path) + ": belongs to the file system, not to the application");
      exclude_.push_back(ExcludePatterns::PatternOf(path));
      break;
  }
}

StatusOr<std::vector<CapturedEntry>> DiskBackupRun::Walk(bool hash, const std::string& doing) {
  WalkOptions options;
  options.hash = hash;
  options.missing_is_fine = !hash;  // gone since: that is a change, and named as one
  options.one_file_system = !action_.component().cross_file_systems();
  options.exclude = patterns_;
  if (hash) options.on_left_out = [this](LeftOut why, const std::string& path) { NoteLeftOut(why, path); };
  options.stop = context_.stop;
  options.progress = [this, &doing](const WalkProgress& progress) {
    Say(fmt::format("{}: {} entries", doing, WithCommas(progress.entries)), progress.bytes_hashed);
  };
  return WalkPaths(paths_, options);
}

Status DiskBackupRun::Keep() {
  Say(fmt::format("backing up {} entries", WithCommas(static_cast<int64_t>(entries_.size()))));
  ASSIGN_OR_RETURN_IN(kept_,
                      restic_.BackupPaths(
                          paths_, exclude_, context_.Tags(action_.target()),
                          [this](int64_t done, int64_t total) { Say("backing up", done, total); },
                          !action_.component().cross_file_systems()),
                      "back up files");
  until_ = absl::Now();
  return OkStatus();
}

Status DiskBackupRun::LookForChanges() {
  ASSIGN_OR_RETURN_IN(const std::vector<CapturedEntry> after, Walk(false, "looking for changes"),
                      "look for changes");
  MarkChanges(&entries_, after);
  return OkStatus();
}

// What restic has is asked of restic, so nothing it passed over stays unnoticed. The answer: its errors about
// nothing in the tree.
StatusOr<std::vector<std::string>> DiskBackupRun::Judge() {
  SnapshotView view;
  view.errors = kept_.errors;
  RETURN_IF_ERROR_IN(
      restic_.ListPaths(kept_.snapshot, [&view](const std::string& path,
                                                const std::string& type) { view.types.emplace(path, type); }),
      "list what was kept");
  return ApplySnapshot(&entries_, view, paths_);
}

// restic's own word that it could not read everything must lead to names.
Status DiskBackupRun::RefuseUnnamedLoss() const {
  if (!kept_.incomplete || !kept_.errors.empty()) return OkStatus();
  const Status forgotten = ForgetIfPossible(restic_, {kept_.snapshot});
  return WithHint(Unavailable("restic could not read all files and does not say which{}",
                              forgotten.ok() ? "" : "; what it kept is still there"),
                  "Look at the run's log for what restic wrote, then back up again.");
}

StatusOr<v1::Artifact> DiskBackupRun::StoreDetails(const std::vector<v1::TreeEntry>& entries) const {
  const std::string text = EncodeTree(entries);
  const std::string file_name = details_target_.artifact() + ".jsonl";
  ASSIGN_OR_RETURN(const std::string snapshot,
                   restic_.StoreText(file_name, text, context_.Tags(details_target_)));
  v1::Artifact artifact;
  artifact.set_component(details_target_.component());
  artifact.set_name(details_target_.artifact());
  artifact.set_kind(v1::Artifact::KIND_TREE_DETAILS);
  artifact.set_snapshot(snapshot);
  artifact.set_path(Restic::StdinPath(file_name));
  artifact.set_bytes(static_cast<int64_t>(text.size()));
  artifact.set_sha256(Sha256::Of(text));
  return artifact;
}

void DiskBackupRun::DescribeLeftOut(const std::vector<v1::TreeEntry>& entries, v1::CoverageSummary* coverage,
                                    v1::ActionResult* result) const {
  std::vector<std::string> named = left_out_;
  for (std::string& one : NotKeptByRestic(entries)) named.push_back(std::move(one));
  for (std::string& one : named) one = Elide(one, kLongestName);
  coverage->set_left_out_total(static_cast<int64_t>(named.size()));
  for (size_t i = 0; i < named.size(); ++i) {
    if (i < kNamedInCoverage) coverage->add_left_out(named[i]);
    if (i < kNamedInWarnings) result->add_warnings(named[i]);
  }
  if (named.size() > kNamedInWarnings) {
    result->add_warnings(fmt::format("{} more entries are left out or kept in part",
                                     WithCommas(static_cast<int64_t>(named.size() - kNamedInWarnings))));
  }
}

v1::Artifact DiskBackupRun::DescribeTree(const std::vector<v1::TreeEntry>& entries,
                                         const std::vector<std::string>& errors,
                                         v1::ActionResult* result) const {
  const v1::TreeSummary summary = Summarise(entries);
  v1::Artifact artifact;
  artifact.set_component(action_.target().component());
  artifact.set_name(action_.target().artifact());
  artifact.set_kind(v1::Artifact::KIND_TREE);
  artifact.set_snapshot(kept_.snapshot);
  artifact.set_bytes(summary.bytes());
  artifact.set_files(summary.files());
  *artifact.mutable_consistent_at() = ToProto(from_);
  *artifact.mutable_consistent_until() = ToProto(until_);
  v1::CoverageSummary* coverage = artifact.mutable_coverage();
  int64_t total = 0;
  const auto not_covered = [&](const std::string& whole) {
    const std::string words = Elide(whole, kLongestName);
    if (coverage->not_covered_size() < kNamedInCoverage) coverage->add_not_covered(words);
    if (total++ < static_cast<int64_t>(kNamedInWarnings)) result->add_warnings("not covered: " + words);
  };
  for (const v1::TreeEntry& entry : entries) {
    const bool is_file = entry.type() == "file";
    const bool is_covered = entry.not_covered().empty();
    if (is_file && is_covered) coverage->set_exact(coverage->exact() + 1);
    if (is_file && !is_covered) coverage->set_none(coverage->none() + 1);
    if (!is_covered) not_covered(entry.path() + ": " + entry.not_covered());
  }
  for (const std::string& error : errors) not_covered("restic: " + PercentEncode(error));
  coverage->set_not_covered_total(total);
  if (const int64_t more = total - static_cast<int64_t>(kNamedInWarnings); more > 0) {
    result->add_warnings(fmt::format("not covered: {} more entries", WithCommas(more)));
  }
  DescribeLeftOut(entries, coverage, result);
  return artifact;
}

StatusOr<v1::ActionResult> DiskBackupRun::Run() {
  RETURN_IF_ERROR(CheckPaths());
  RETURN_IF_ERROR(ForgetEarlierAttempts(context_, {action_.target(), details_target_}));
  from_ = absl::Now();
  ASSIGN_OR_RETURN_IN(entries_, Walk(true, "reading"), "read files");
  RETURN_IF_ERROR(Keep());
  RETURN_IF_ERROR(LookForChanges());
  RETURN_IF_ERROR(RefuseUnnamedLoss());
  ASSIGN_OR_RETURN(const std::vector<std::string> errors, Judge());

  std::vector<v1::TreeEntry> entries;
  entries.reserve(entries_.size());
  for (CapturedEntry& captured : entries_) entries.push_back(std::move(captured.entry));
  v1::ActionResult result;
  *result.add_artifacts() = DescribeTree(entries, errors, &result);
  ASSIGN_OR_RETURN_IN(*result.add_artifacts(), StoreDetails(entries), "store what is expected of the files");
  const v1::Artifact& tree = result.artifacts(0);
  result.set_note(fmt::format("{} files, {}", WithCommas(tree.files()), HumanBytes(tree.bytes())));
  if (excluded_ > 0) {
    result.set_note(result.note() +
                    fmt::format("; {} entries left out by exclude patterns", WithCommas(excluded_)));
  }
  return result;
}

}  // namespace

StatusOr<v1::ActionResult> RunDiskBackup(const v1::Action& action, ActionContext& context) {
  return DiskBackupRun(action.disk_backup(), context).Run();
}

}  // namespace salvor::agent
