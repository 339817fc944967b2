#include <absl/time/clock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "agent/actions/clean_up.h"
#include "agent/actions/disk_actions.h"
#include "agent/actions/disk_target.h"
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
constexpr char kDetails[] = ".details";

class DiskBackupRun {
 public:
  DiskBackupRun(const v1::DiskBackup& action, ActionContext& context)
      : action_(action),
        context_(context),
        restic_(context.Repository(action.target().location())),
        paths_(NormalisePaths({action.component().paths().begin(), action.component().paths().end()})),
        exclude_(action.component().exclude().begin(), action.component().exclude().end()),
        details_target_(action.target()) {
    details_target_.set_artifact(action.target().artifact() + kDetails);
  }

  StatusOr<v1::ActionResult> Run();

 private:
  Status CheckPaths() const;
  StatusOr<std::vector<CapturedEntry>> Walk(bool hash, const std::string& doing);
  Status Keep();
  StatusOr<SnapshotCoverage> Judge(const std::vector<CapturedEntry>& after);
  StatusOr<v1::Artifact> StoreDetails(const std::vector<v1::TreeEntry>& entries) const;
  v1::Artifact DescribeTree(const std::vector<v1::TreeEntry>& entries, v1::ActionResult* result) const;
  void Say(const std::string& message, int64_t done = 0, int64_t total = 0) const;

  const v1::DiskBackup& action_;
  ActionContext& context_;
  Restic restic_;
  std::vector<std::string> paths_, exclude_;
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
    if (::lstat(path.c_str(), &facts) == 0) continue;
    if (errno != ENOENT && errno != ENOTDIR) return ErrnoStatus(errno, "look at " + PercentEncode(path));
    missing.push_back(PercentEncode(path));
  }
  if (!missing.empty()) {
    return WithHint(
        FailedPrecondition("{} {} not exist: {}", missing.size() == 1 ? "a declared path" : "declared paths",
                           missing.size() == 1 ? "does" : "do", Join(missing, ", ")),
        "Mount or make what is missing, or take it out of the component's paths.");
  }
  return RefuseLiveDatabases(paths_);
}

StatusOr<std::vector<CapturedEntry>> DiskBackupRun::Walk(bool hash, const std::string& doing) {
  WalkOptions options;
  options.hash = hash;
  options.missing_is_fine = !hash;  // gone since: that is a change, and named as one
  options.stop = context_.stop;
  options.progress = [this, &doing](const WalkProgress& progress) {
    Say(fmt::format("{}: {} entries", doing, WithCommas(progress.entries)), progress.bytes_hashed);
  };
  return WalkPaths(paths_, options);
}

Status DiskBackupRun::Keep() {
  Say(fmt::format("backing up {} entries", WithCommas(static_cast<int64_t>(entries_.size()))));
  ASSIGN_OR_RETURN_IN(
      kept_,
      restic_.BackupPaths(paths_, exclude_, context_.Tags(action_.target()),
                          [this](int64_t done, int64_t total) { Say("backing up", done, total); }),
      "back up files");
  until_ = absl::Now();
  return OkStatus();
}

// What restic has is asked of restic, so its patterns need no second reading here and nothing it passed over
// stays unnoticed.
StatusOr<SnapshotCoverage> DiskBackupRun::Judge(const std::vector<CapturedEntry>& after) {
  MarkChanges(&entries_, after);
  SnapshotView view;
  view.errors = kept_.errors;
  view.excludes = !exclude_.empty();
  RETURN_IF_ERROR_IN(
      restic_.ListPaths(kept_.snapshot, [&view](const std::string& path,
                                                const std::string& type) { view.types.emplace(path, type); }),
      "list what was kept");
  return ApplySnapshot(&entries_, view, paths_);
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

v1::Artifact DiskBackupRun::DescribeTree(const std::vector<v1::TreeEntry>& entries,
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
  for (const v1::TreeEntry& entry : entries) {
    const bool is_file = entry.type() == "file";
    if (entry.not_covered().empty()) {
      coverage->set_exact(coverage->exact() + (is_file ? 1 : 0));
      continue;
    }
    coverage->set_none(coverage->none() + (is_file ? 1 : 0));
    const std::string words = entry.path() + ": " + entry.not_covered();
    if (coverage->not_covered_size() < kNamedInCoverage) coverage->add_not_covered(words);
    if (total++ < static_cast<int64_t>(kNamedInWarnings)) result->add_warnings("not covered: " + words);
  }
  coverage->set_not_covered_total(total);
  if (const int64_t more = total - static_cast<int64_t>(kNamedInWarnings); more > 0) {
    result->add_warnings(fmt::format("not covered: {} more entries", WithCommas(more)));
  }
  return artifact;
}

StatusOr<v1::ActionResult> DiskBackupRun::Run() {
  RETURN_IF_ERROR(CheckPaths());
  RETURN_IF_ERROR(ForgetEarlierAttempts(context_, {action_.target(), details_target_}));
  from_ = absl::Now();
  ASSIGN_OR_RETURN_IN(entries_, Walk(true, "reading"), "read files");
  RETURN_IF_ERROR(Keep());
  ASSIGN_OR_RETURN_IN(const std::vector<CapturedEntry> after, Walk(false, "looking for changes"),
                      "look for changes");
  ASSIGN_OR_RETURN(const SnapshotCoverage coverage, Judge(after));

  std::vector<v1::TreeEntry> entries;
  entries.reserve(entries_.size());
  for (CapturedEntry& captured : entries_) entries.push_back(std::move(captured.entry));
  v1::ActionResult result;
  *result.add_artifacts() = DescribeTree(entries, &result);
  ASSIGN_OR_RETURN_IN(*result.add_artifacts(), StoreDetails(entries), "store what is expected of the files");
  for (size_t i = 0; i < std::min(coverage.unmatched_errors.size(), kNamedInWarnings); ++i) {
    result.add_warnings("restic: " + PercentEncode(coverage.unmatched_errors[i]));
  }
  const v1::Artifact& tree = result.artifacts(0);
  result.set_note(fmt::format("{} files, {}", WithCommas(tree.files()), HumanBytes(tree.bytes())));
  if (coverage.left_out > 0) {
    result.set_note(result.note() +
                    fmt::format("; {} entries left out by exclude patterns", WithCommas(coverage.left_out)));
  }
  return result;
}

}  // namespace

StatusOr<v1::ActionResult> RunDiskBackup(const v1::Action& action, ActionContext& context) {
  return DiskBackupRun(action.disk_backup(), context).Run();
}

}  // namespace salvor::agent
