#include <absl/time/clock.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "agent/engines/disk/actions/actions.h"
#include "agent/engines/disk/actions/target.h"
#include "agent/engines/disk/guarded_path.h"
#include "agent/engines/disk/live_database.h"
#include "agent/engines/disk/named_few.h"
#include "agent/engines/disk/tree.h"
#include "agent/engines/disk/tree_coverage.h"
#include "agent/engines/disk/tree_details.h"
#include "agent/work/clean_up.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

constexpr size_t kNamedInWarnings = 20;
constexpr size_t kNamedInCoverage = 100;
constexpr size_t kLongestName = 500;  // bytes; a path has up to 4096, and three times that when it is encoded
constexpr char kDetails[] = ".details";

// A symlink is refused: the place that it leads to would not be backed up, and an empty backup of it would look whole.
Status RefuseSymlink(const std::string& path) {
  char* resolved = ::realpath(path.c_str(), nullptr);
  const std::string target = resolved == nullptr ? "" : resolved;
  std::free(resolved);
  return WithHint(FailedPrecondition("path {} is a symlink", CleanText(path)),
                  target.empty()
                      ? "It leads to nothing. Name a directory or a file in the component's paths."
                      : fmt::format("Name what it leads to in the component's paths: {}", CleanText(target)));
}

Status RefuseExcludedPath(const std::string& path) {
  return WithHint(
      FailedPrecondition("path {} is excluded by the component's own patterns", CleanText(path)),
      "A pattern without a leading '/' matches anywhere in a path. Write the whole path that is to be "
      "left out.");
}

// The report on the entries, from one pass over them.
struct TreeReport {
  v1::CoverageSummary coverage;
  NamedFew not_covered{kNamedInCoverage};
  NamedFew left_out{kNamedInCoverage};

  void NotCovered(const std::string& words) { not_covered.Add(Elide(words, kLongestName)); }
  void LeftOut(const std::string& words) { left_out.Add(Elide(words, kLongestName)); }
  void Add(const v1::TreeEntry& entry) {
    const bool is_file = entry.type() == "file";
    const bool is_covered = entry.not_covered().empty();
    if (is_file && is_covered) coverage.set_exact(coverage.exact() + 1);
    if (is_file && !is_covered) coverage.set_none(coverage.none() + 1);
    if (!is_covered) NotCovered(entry.path() + ": " + entry.not_covered());
    for (const std::string& words : NotKeptByRestic(entry)) LeftOut(words);
  }
};

class DiskBackupRun {
 public:
  DiskBackupRun(const v1::DiskBackup& action, ActionContext& context)
      : action_(action),
        context_(context),
        restic_(context.Repository(action.target().location())),
        paths_(NormalisePaths({action.component().paths().begin(), action.component().paths().end()})),
        exclude_(action.component().exclude().begin(), action.component().exclude().end()),
        patterns_(exclude_),
        spool_(context.config.state_directory),
        before_(spool_),
        after_(spool_),
        details_target_(action.target()) {
    details_target_.set_artifact(action.target().artifact() + kDetails);
  }

  StatusOr<v1::ActionResult> Run();

 private:
  Status CheckPaths() const;
  Status CheckMountPoints() const;
  void NoteLeftOut(LeftOut why, const std::string& path);
  Status Walk(bool hash, const std::string& doing, CapturedTree* tree);
  Status Keep();
  StatusOr<WrittenDetails> Judge();
  Status RefuseUnnamedLoss() const;
  StatusOr<v1::Artifact> StoreDetails(WrittenDetails details) const;
  v1::Artifact DescribeTree(const v1::TreeSummary& summary, v1::ActionResult* result) const;
  void Say(const std::string& message, int64_t done = 0, int64_t total = 0) const;

  const v1::DiskBackup& action_;
  ActionContext& context_;
  Restic restic_;
  std::vector<std::string> paths_, exclude_;
  ExcludePatterns patterns_;
  SpoolFolder spool_;
  CapturedTree before_, after_;  // restic read the files
  TreeReport report_;
  int64_t excluded_ = 0;
  v1::ArtifactTarget details_target_;
  absl::Time from_, until_;
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
    if (errno != ENOENT && errno != ENOTDIR) return ErrnoStatus(errno, "look at " + CleanText(path));
    missing.push_back(CleanText(path));
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

// A directory without its mount is empty, and an empty backup of it would look whole.
Status DiskBackupRun::CheckMountPoints() const {
  std::vector<std::string> bare;
  for (const std::string& point : action_.component().mount_points()) {
    RETURN_IF_ERROR(CheckAbsolutePath(point));
    const UniqueFd directory(::open(point.c_str(), O_PATH | O_CLOEXEC));
    if (!directory.Valid() && errno != ENOENT && errno != ENOTDIR)
      return ErrnoStatus(errno, "look at " + CleanText(point));
    if (!directory.Valid() || !IsMountRoot(directory.Get())) bare.push_back(CleanText(point));
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
      report_.LeftOut(PercentEncode(path) +
                      ": another file system is left out (crossFileSystems is not set)");
      break;
    case LeftOut::kLostAndFound:
      report_.LeftOut(PercentEncode(path) + ": belongs to the file system, not to the application");
      exclude_.push_back(ExcludePatterns::PatternOf(path));
      break;
  }
}

Status DiskBackupRun::Walk(bool hash, const std::string& doing, CapturedTree* tree) {
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
  RETURN_IF_ERROR(WalkPaths(paths_, options, spool_,
                            [tree](CapturedEntry captured) { return tree->Add(std::move(captured)); }));
  return tree->Finish();
}

Status DiskBackupRun::Keep() {
  Say(fmt::format("backing up {} entries", WithCommas(before_.Size())));
  ASSIGN_OR_RETURN_IN(kept_,
                      restic_.BackupPaths(
                          paths_, exclude_, context_.Tags(action_.target()),
                          [this](int64_t done, int64_t total) { Say("backing up", done, total); },
                          !action_.component().cross_file_systems()),
                      "back up files");
  until_ = absl::Now();
  return OkStatus();
}

// restic is asked for what it has, so that nothing it passed over stays unnoticed. Its errors about nothing in the tree
// count as well.
StatusOr<WrittenDetails> DiskBackupRun::Judge() {
  SnapshotContent content(spool_);
  Status added = OkStatus();
  RETURN_IF_ERROR_IN(restic_.ListPaths(kept_.snapshot,
                                       [&](const std::string& path, const std::string& type) {
                                         if (added.ok()) added = content.Add(path, type);
                                       }),
                     "list what was kept");
  RETURN_IF_ERROR(added);
  RETURN_IF_ERROR(content.Finish());
  ResticErrors errors(kept_.errors);
  SnapshotJudgement judgement;
  judgement.walked = [this] { return MarkChanges(before_, after_); };
  judgement.has_odd_paths = before_.HasOddPaths() || after_.HasOddPaths();
  judgement.content = &content;
  judgement.errors = &errors;
  judgement.paths = paths_;
  ASSIGN_OR_RETURN(TreeDetailsWriter writer, TreeDetailsWriter::Open(spool_));
  RETURN_IF_ERROR(ApplySnapshot(judgement, spool_, [&](const v1::TreeEntry& entry) {
    report_.Add(entry);
    return writer.Add(entry);
  }));
  for (const std::string& error : errors.Unmatched()) report_.NotCovered("restic: " + PercentEncode(error));
  return writer.Finish();
}

// restic's own word that it could not read everything must lead to names.
Status DiskBackupRun::RefuseUnnamedLoss() const {
  if (!kept_.incomplete || !kept_.errors.empty()) return OkStatus();
  const Status forgotten = ForgetIfPossible(restic_, {kept_.snapshot});
  return WithHint(Unavailable("restic could not read all files and does not say which{}",
                              forgotten.ok() ? "" : "; what it kept is still there"),
                  "Look at the run's log for what restic wrote, then back up again.");
}

StatusOr<v1::Artifact> DiskBackupRun::StoreDetails(WrittenDetails details) const {
  const std::string file_name = details_target_.artifact() + ".jsonl";
  ASSIGN_OR_RETURN(const std::string snapshot,
                   restic_.StoreFile(file_name, std::move(details.file), details.bytes, details.sha256,
                                     context_.Tags(details_target_)));
  v1::Artifact artifact;
  artifact.set_component(details_target_.component());
  artifact.set_name(details_target_.artifact());
  artifact.set_kind(v1::Artifact::KIND_TREE_DETAILS);
  *artifact.mutable_contents() = MakeContents("file details", v1::Artifact::ROLE_DETAILS);
  artifact.set_snapshot(snapshot);
  artifact.set_path(Restic::StdinPath(file_name));
  artifact.set_bytes(details.bytes);
  artifact.set_sha256(details.sha256);
  return artifact;
}

// The first of them, and how many more there are.
void Warn(const NamedFew& named, const std::string& before, const std::string& after,
          v1::ActionResult* result) {
  for (size_t i = 0; i < std::min(named.First().size(), kNamedInWarnings); ++i)
    result->add_warnings(before + named.First()[i]);
  if (const int64_t more = named.Total() - static_cast<int64_t>(kNamedInWarnings); more > 0)
    result->add_warnings(fmt::format("{}{} more entries{}", before, WithCommas(more), after));
}

v1::Artifact DiskBackupRun::DescribeTree(const v1::TreeSummary& summary, v1::ActionResult* result) const {
  v1::Artifact artifact;
  artifact.set_component(action_.target().component());
  artifact.set_name(action_.target().artifact());
  artifact.set_kind(v1::Artifact::KIND_TREE);
  artifact.set_snapshot(kept_.snapshot);
  artifact.set_bytes(summary.bytes());
  *artifact.mutable_contents() = MakeContents("files", v1::Artifact::ROLE_DATA);
  AddCount("file", summary.files(), artifact.mutable_contents());
  artifact.mutable_contents()->set_gaps(report_.not_covered.Total());
  RepeatForOlderReaders(&artifact);
  *artifact.mutable_consistent_at() = ToProto(from_);
  *artifact.mutable_consistent_until() = ToProto(until_);
  v1::CoverageSummary* coverage = artifact.mutable_coverage();
  *coverage = report_.coverage;
  for (const std::string& one : report_.not_covered.First()) coverage->add_not_covered(one);
  coverage->set_not_covered_total(report_.not_covered.Total());
  for (const std::string& one : report_.left_out.First()) coverage->add_left_out(one);
  coverage->set_left_out_total(report_.left_out.Total());
  Warn(report_.not_covered, "not covered: ", "", result);
  Warn(report_.left_out, "", " are left out or kept in part", result);
  return artifact;
}

StatusOr<v1::ActionResult> DiskBackupRun::Run() {
  RETURN_IF_ERROR(CheckPaths());
  RETURN_IF_ERROR(ForgetEarlierAttempts(context_, {action_.target(), details_target_}));
  from_ = absl::Now();
  RETURN_IF_ERROR_IN(Walk(true, "reading", &before_), "read files");
  RETURN_IF_ERROR(Keep());
  RETURN_IF_ERROR_IN(Walk(false, "looking for changes", &after_), "look for changes");
  RETURN_IF_ERROR(RefuseUnnamedLoss());
  ASSIGN_OR_RETURN(WrittenDetails details, Judge());

  v1::ActionResult result;
  *result.add_artifacts() = DescribeTree(details.summary, &result);
  ASSIGN_OR_RETURN_IN(*result.add_artifacts(), StoreDetails(std::move(details)),
                      "store what is expected of the files");
  const v1::Artifact& tree = result.artifacts(0);
  result.set_note(
      fmt::format("{} files, {}", WithCommas(CountIn(tree.contents(), "file")), HumanBytes(tree.bytes())));
  if (excluded_ > 0) {
    result.set_note(result.note() +
                    fmt::format("; {} entries left out by exclude patterns", WithCommas(excluded_)));
  }
  return result;
}

}  // namespace

StatusOr<v1::ActionResult> RunDiskBackup(const v1::DiskBackup& action, ActionContext& context) {
  return DiskBackupRun(action, context).Run();
}

}  // namespace salvor::agent
