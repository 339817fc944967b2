#include <algorithm>
#include <functional>

#include "agent/engines/disk/actions/actions.h"
#include "agent/engines/disk/actions/staging.h"
#include "agent/engines/disk/actions/target.h"
#include "agent/engines/disk/named_few.h"
#include "agent/engines/disk/tree_details.h"
#include "agent/engines/disk/tree_extras.h"
#include "agent/work/restore_record.h"
#include "base/text.h"
#include "proto/artifact.h"

namespace salvor::agent {
namespace {

constexpr size_t kNamedInWarnings = 20;

// restic's own cache is in what it writes, so the end may come early, and is held back.
std::function<void(int64_t)> ProgressOf(const ActionContext& context, int64_t bytes_total) {
  if (!context.progress) return nullptr;
  return [&context, bytes_total](int64_t bytes_written) {
    v1::Progress progress;
    progress.set_message("restoring");
    progress.set_bytes_done(std::min(bytes_written, bytes_total));
    progress.set_bytes_total(bytes_total);
    context.progress(progress);
  };
}

bool SamePlaces(const RestoreState& state, const std::vector<DiskPlace>& places) {
  return std::equal(state.places.begin(), state.places.end(), places.begin(), places.end(),
                    [](const StagedPlace& staged, const DiskPlace& place) {
                      return staged.place.path == place.path && staged.place.destination == place.destination;
                    });
}

class DiskRestoreRun {
 public:
  DiskRestoreRun(const v1::DiskRestore& action, ActionContext& context, RestoreRecord record,
                 std::string component, std::string prefix, std::vector<DiskPlace> places)
      : action_(action),
        context_(context),
        restic_(context.Repository(action.location())),
        record_(std::move(record)),
        component_(std::move(component)),
        prefix_(std::move(prefix)),
        places_(std::move(places)),
        spool_(context.config.state_directory),
        extras_(spool_) {}

  StatusOr<v1::ActionResult> Run();

 private:
  Status Resume();
  Status Prepare();
  Status LoadDetails();
  Status Lay();
  Status LayFolder(size_t folder);
  Status Place();
  Status Write() const { return record_.Write(EncodeRestoreState(state_)); }
  void AddWarnings(v1::ActionResult* result) const;

  const v1::DiskRestore& action_;
  ActionContext& context_;
  Restic restic_;
  RestoreRecord record_;
  std::string component_, prefix_;
  std::vector<DiskPlace> places_;
  RestoreState state_;
  SpoolFolder spool_;
  TreeExtras extras_;
  NamedFew warnings_{kNamedInWarnings};
};

// Half a copy of an earlier attempt of this run is removed, a whole one is still good. What that attempt did not make
// is not touched.
Status DiskRestoreRun::Resume() {
  ASSIGN_OR_RETURN(const std::string before, record_.Read());
  auto state = DecodeRestoreState(before);
  Status problem = state.status();
  if (state.ok() && state->phase != RestoreState::Phase::kNone && !SamePlaces(*state, places_))
    problem = FailedPrecondition("an earlier attempt of this run was writing to other paths");
  if (!problem.ok()) {
    return WithHint(WithContext(problem, record_.Path()),
                    "Look at what is there, remove it and that file by hand, and restore again.");
  }
  state_ = *std::move(state);
  if (state_.phase != RestoreState::Phase::kWriting) return OkStatus();
  RETURN_IF_ERROR_IN(RemoveFolders(prefix_, state_), "remove what an earlier attempt of this run left");
  state_ = {};
  return OkStatus();
}

Status DiskRestoreRun::Prepare() {
  RETURN_IF_ERROR(RefuseOccupied(places_, prefix_));
  ASSIGN_OR_RETURN(state_, PlanStaging(places_, prefix_));
  state_.run = action_.run();
  state_.component = component_;
  state_.prefix = prefix_;
  RETURN_IF_ERROR(Write());
  RETURN_IF_ERROR(MakeFolders(prefix_, &state_));
  return Write();
}

// A backup of before there were any has none that would be needed here.
Status DiskRestoreRun::LoadDetails() {
  if (action_.details().snapshot().empty()) return OkStatus();
  ASSIGN_OR_RETURN(UniqueFd file, spool_.NewFile());
  RETURN_IF_ERROR_IN(restic_.LoadFile(action_.details(), file.Get()), "read what is expected of the files");
  ASSIGN_OR_RETURN(const TreeDetails details, TreeDetails::Open(std::move(file)));
  return extras_.Collect(details.Source());
}

// restic gets the folder by the agent's own descriptor: no name on the way to it can be exchanged.
Status DiskRestoreRun::LayFolder(size_t folder) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenFolder(prefix_, state_, folder));
  std::vector<std::string> paths;
  for (const StagedPlace& place : state_.places) {
    if (place.folder == folder) paths.push_back(place.place.path);
  }
  RETURN_IF_ERROR_IN(restic_.Restore(action_.tree().snapshot(), PathOfDescriptor(fd.Get()), paths,
                                     ProgressOf(context_, action_.tree().bytes())),
                     "restore files");
  for (const std::string& path : paths)
    RETURN_IF_ERROR(extras_.Restore(fd.Get(), path, context_.stop, &warnings_));
  return OkStatus();
}

Status DiskRestoreRun::Lay() {
  for (size_t folder = 0; folder < state_.folders.size(); ++folder) RETURN_IF_ERROR(LayFolder(folder));
  // A restic that was quick has been looked at once, or never: what it has written is said at its end.
  const int64_t bytes = action_.tree().bytes();
  if (const auto tell = ProgressOf(context_, bytes)) tell(bytes);
  RETURN_IF_ERROR(IdentifyCopies(prefix_, action_.tree().snapshot(), &state_));
  return Write();
}

Status DiskRestoreRun::Place() {
  const bool for_a_drill = action_.target().where_case() == v1::DiskTarget::kScratch;
  for (const StagedPlace& place : state_.places) RETURN_IF_ERROR(MoveIntoPlace(prefix_, state_, place));
  RETURN_IF_ERROR(RemoveFolders(prefix_, state_));
  for (const StagedPlace& place : state_.places) {
    if (for_a_drill) continue;  // what is immutable could not be removed again
    const std::string& destination = place.place.destination;
    ASSIGN_OR_RETURN(const UniqueFd parent, OpenParentBelow(prefix_, destination, Missing::kIsNotFound));
    RETURN_IF_ERROR(
        extras_.RestoreAttributes(parent.Get(), NameOf(destination), place.place.path, &warnings_));
  }
  state_.phase = RestoreState::Phase::kRestored;
  return Write();
}

void DiskRestoreRun::AddWarnings(v1::ActionResult* result) const {
  for (const std::string& warning : warnings_.First()) result->add_warnings(warning);
  const int64_t more = warnings_.Total() - static_cast<int64_t>(warnings_.First().size());
  if (more > 0)
    result->add_warnings(fmt::format("{} more entries could not be restored in full", WithCommas(more)));
}

StatusOr<v1::ActionResult> DiskRestoreRun::Run() {
  RETURN_IF_ERROR(Resume());
  if (state_.phase != RestoreState::Phase::kRestored) RETURN_IF_ERROR(LoadDetails());
  if (state_.phase == RestoreState::Phase::kNone) {
    Status laid = Prepare();
    if (laid.ok()) laid = Lay();
    if (!laid.ok()) {
      const Status removed = state_.places.empty() ? OkStatus() : RemoveFolders(prefix_, state_);
      // The next attempt removes, from the record, what is still there.
      if (removed.ok() && !state_.places.empty()) RETURN_IF_ERROR(record_.Write(""));
      return laid;
    }
  }
  if (state_.phase == RestoreState::Phase::kPlacing) {
    const Status placed = Place();
    // Nobody will try again: the copies that are not in place would only be in the way.
    if (placed.code() == absl::StatusCode::kFailedPrecondition && RemoveFolders(prefix_, state_).ok())
      RETURN_IF_ERROR(record_.Write(""));
    RETURN_IF_ERROR(placed);
  }
  v1::ActionResult result;
  std::vector<std::string> named;
  for (const DiskPlace& place : places_) named.push_back(CleanText(place.destination));
  const int64_t files = CountIn(ContentsOf(action_.tree()), "file");
  result.set_note(fmt::format("{} files, {} restored to {}", WithCommas(files),
                              HumanBytes(action_.tree().bytes()), Elide(Join(named, ", "), 200)));
  AddWarnings(&result);
  return result;
}

}  // namespace

StatusOr<v1::ActionResult> RunDiskTargetCheck(const v1::DiskTargetCheck& check, ActionContext& context) {
  ASSIGN_OR_RETURN(const std::string prefix, DiskPrefix(check.target(), context.config));
  ASSIGN_OR_RETURN(const std::vector<DiskPlace> places,
                   DiskPlaces(check.paths(), check.destinations(), prefix));
  if (check.target().where_case() == v1::DiskTarget::kScratch) return v1::ActionResult();
  RETURN_IF_ERROR(RefuseOccupied(places, prefix));
  RETURN_IF_ERROR(CheckParents(places));
  return v1::ActionResult();
}

StatusOr<v1::ActionResult> RunDiskRestore(const v1::DiskRestore& restore, ActionContext& context) {
  ASSIGN_OR_RETURN(const std::string prefix, DiskPrefix(restore.target(), context.config));
  ASSIGN_OR_RETURN(const std::vector<DiskPlace> places,
                   DiskPlaces(restore.paths(), restore.destinations(), prefix));
  const std::string& component =
      context.task.component().empty() ? restore.tree().component() : context.task.component();
  ASSIGN_OR_RETURN(RestoreRecord record, RestoreRecord::For(context.config, restore.run(), component));
  return DiskRestoreRun(restore, context, std::move(record), component, prefix, places).Run();
}

}  // namespace salvor::agent
