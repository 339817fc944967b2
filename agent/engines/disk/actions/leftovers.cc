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

// Of a restore that has folders, and can say whose it is; else nothing. Other restores have records of their own kind.
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
    held.set_kind(kRestoreFolders);
  }
  return unfinished;
}

Status RemoveUnfinishedDiskRestore(const AgentConfig& config, const v1::HeldObligation& restore) {
  if (restore.name().rfind(kNamePrefix, 0) != 0)
    return InvalidArgument("'{}' names no restore of files", PercentEncode(restore.name()));
  const std::string component = restore.name().substr(kNamePrefix.size());
  ASSIGN_OR_RETURN(const RestoreRecord record, RestoreRecord::For(config, restore.run(), component));
  ASSIGN_OR_RETURN(const RestoreState state, ReadUnfinished(record));
  // The name of a record does not say where its run's name ends.
  if (state.phase == RestoreState::Phase::kNone || state.run != restore.run()) return OkStatus();
  const Status removed = RemoveFolders(state.prefix, state);
  if (removed.code() != absl::StatusCode::kFailedPrecondition) {
    RETURN_IF_ERROR_IN(removed, "remove what restore " + restore.run() + " left");
  } else {
    LogError("what restore {} left is not removed: {}; look at what is there, and remove it by hand",
             restore.run(), MessageOf(removed));
  }
  return record.Write("");
}

}  // namespace salvor::agent
