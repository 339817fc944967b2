#include "agent/engines/disk/actions/leftovers.h"

#include <string>
#include <string_view>

#include "agent/engines/disk/actions/staging.h"
#include "agent/work/restore_record.h"
#include "base/io/log.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr std::string_view kNamePrefix = "files of ";

// The state of a restore that has folders, and can say whose it is; else an empty one. Other restores have records of
// their own kind.
StatusOr<RestoreState> ReadUnfinished(const RestoreRecord& record) {
  ASSIGN_OR_RETURN(const std::string text, record.Read());
  StatusOr<RestoreState> state = DecodeRestoreState(text);
  const bool is_unfinished =
      state.ok() && !state->run.empty() &&
      (state->phase == RestoreState::Phase::kWriting || state->phase == RestoreState::Phase::kPlacing);
  return is_unfinished ? *std::move(state) : RestoreState();
}

}  // namespace

StatusOr<std::vector<v1::HeldObligation>> UnfinishedDiskRestores(const AgentConfig& config) {
  ASSIGN_OR_RETURN(const std::vector<RestoreRecord> records, RestoreRecord::All(config));
  std::vector<v1::HeldObligation> unfinished;
  for (const RestoreRecord& record : records) {
    const StatusOr<RestoreState> state = ReadUnfinished(record);
    if (!state.ok() || state->phase == RestoreState::Phase::kNone) continue;
    // Another name is that of the temporary file of a write that was cut short.
    const auto own = RestoreRecord::For(config, state->run, state->component);
    if (!own.ok() || own->Path() != record.Path()) continue;
    if (state->prefix.rfind(config.state_directory + "/scratch/", 0) == 0) continue;
    v1::HeldObligation& held = unfinished.emplace_back();
    held.set_run(state->run);
    held.set_name(std::string(kNamePrefix) + state->component);
    v1::DiskRestoreUndo* undo = held.mutable_undo()->mutable_disk_restore_undo();
    undo->set_run(state->run);
    undo->set_component(state->component);
  }
  return unfinished;
}

StatusOr<v1::DiskRestoreUndo> DiskRestoreUndoOf0_1(const v1::HeldObligation& restore) {
  if (restore.name().rfind(kNamePrefix, 0) != 0)
    return InvalidArgument("'{}' names no restore of files", PercentEncode(restore.name()));
  v1::DiskRestoreUndo undo;
  undo.set_run(restore.run());
  undo.set_component(restore.name().substr(kNamePrefix.size()));
  return undo;
}

StatusOr<v1::ActionResult> RunDiskRestoreUndo(const v1::DiskRestoreUndo& restore, ActionContext& context) {
  ASSIGN_OR_RETURN(const RestoreRecord record,
                   RestoreRecord::For(context.config, restore.run(), restore.component()));
  ASSIGN_OR_RETURN(const RestoreState state, ReadUnfinished(record));
  // The name of a record does not say where its run's name ends.
  if (state.phase == RestoreState::Phase::kNone || state.run != restore.run()) return v1::ActionResult();
  const Status removed = RemoveFolders(state.prefix, state);
  const bool is_another = removed.code() == absl::StatusCode::kFailedPrecondition;
  if (!removed.ok() && !is_another)
    return WithContext(removed, "remove what restore " + restore.run() + " left");
  if (is_another) {
    LogError("leftovers of restore {} are not removed: {}; look at what is there, and remove it by hand",
             restore.run(), MessageOf(removed));
  }
  RETURN_IF_ERROR(record.Write(""));
  return v1::ActionResult();
}

}  // namespace salvor::agent
