#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <nlohmann/json.hpp>

#include "agent/actions/disk_actions.h"
#include "agent/actions/disk_target.h"
#include "agent/actions/restore_record.h"
#include "agent/disk/tree.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// What the record says while they are written to, and once they are restored.
std::string RecordText(const char* state, const std::vector<std::string>& destinations) {
  nlohmann::ordered_json json;
  for (const std::string& path : destinations) json[state].push_back(PercentEncode(path));
  return json.dump() + "\n";
}
constexpr char kWriting[] = "writing", kRestored[] = "restored";

// What was restored is on the disk, and something was restored at every path: restic is content with nothing.
Status CheckWritten(const std::vector<std::string>& destinations, const std::string& snapshot) {
  for (const std::string& path : destinations) {
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) != 0) {
      return DataLoss("snapshot {} has nothing for {}", snapshot, PercentEncode(path));
    }
    const std::string directory = S_ISDIR(facts.st_mode) ? path : path.substr(0, path.rfind('/') + 1);
    const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.Valid() || ::syncfs(fd.Get()) != 0)
      return ErrnoStatus(errno, "write to disk " + PercentEncode(path));
  }
  return OkStatus();
}

// What stands at the destinations is cleared if it is of this run, unfinished; nobody else's is touched.
Status MakeRoom(const RestoreRecord& record, const std::string& before,
                const std::vector<std::string>& destinations) {
  const std::string writing = RecordText(kWriting, destinations);
  if (before.empty()) {
    RETURN_IF_ERROR(RefuseOccupied(destinations));
    return record.Write(writing);
  }
  if (before != writing) {
    return WithHint(
        FailedPrecondition("an earlier attempt of this run was writing to other paths, as {} says",
                           record.Path()),
        "Look at what is there, remove it and that file by hand, and restore again.");
  }
  for (const std::string& path : destinations) {
    RETURN_IF_ERROR_IN(ClearDestination(path), "clear what an earlier attempt of this run left");
  }
  return OkStatus();
}

// restic makes missing parents for root alone (0700), and the application could not get through.
Status MakeParents(const std::vector<std::string>& destinations) {
  for (const std::string& path : destinations) {
    const size_t slash = path.rfind('/');
    if (slash > 0) RETURN_IF_ERROR(MakeDirectories(path.substr(0, slash), 0755));
  }
  return OkStatus();
}

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

}  // namespace

StatusOr<v1::ActionResult> RunDiskTargetCheck(const v1::Action& action, ActionContext& context) {
  const v1::DiskTargetCheck& check = action.disk_target_check();
  ASSIGN_OR_RETURN(const std::string prefix, DiskPrefix(check.target(), context.config));
  ASSIGN_OR_RETURN(const std::vector<std::string> destinations,
                   DiskDestinations({check.paths().begin(), check.paths().end()}, prefix));
  if (check.target().where_case() == v1::DiskTarget::kScratch) return v1::ActionResult();
  RETURN_IF_ERROR(RefuseOccupied(destinations));
  RETURN_IF_ERROR(CheckParents(destinations));
  return v1::ActionResult();
}

StatusOr<v1::ActionResult> RunDiskRestore(const v1::Action& action, ActionContext& context) {
  const v1::DiskRestore& restore = action.disk_restore();
  const std::vector<std::string> paths = NormalisePaths({restore.paths().begin(), restore.paths().end()});
  ASSIGN_OR_RETURN(const std::string prefix, DiskPrefix(restore.target(), context.config));
  ASSIGN_OR_RETURN(const std::vector<std::string> destinations,
                   DiskDestinations({restore.paths().begin(), restore.paths().end()}, prefix));
  const std::string& component =
      context.task.component().empty() ? restore.tree().component() : context.task.component();
  ASSIGN_OR_RETURN(const RestoreRecord record, RestoreRecord::For(context.config, restore.run(), component));
  ASSIGN_OR_RETURN(const std::string before, record.Read());
  if (before != RecordText(kRestored, destinations)) {
    RETURN_IF_ERROR(MakeRoom(record, before, destinations));
    RETURN_IF_ERROR(MakeParents(destinations));
    RETURN_IF_ERROR_IN(context.Repository(restore.location())
                           .Restore(restore.tree().snapshot(), prefix.empty() ? "/" : prefix, paths,
                                    ProgressOf(context, restore.tree().bytes())),
                       "restore files");
  }
  RETURN_IF_ERROR(CheckWritten(destinations, restore.tree().snapshot()));
  RETURN_IF_ERROR(record.Write(RecordText(kRestored, destinations)));
  v1::ActionResult result;
  std::vector<std::string> named;
  for (const std::string& path : destinations) named.push_back(PercentEncode(path));
  result.set_note(fmt::format("{} files, {} restored to {}", WithCommas(restore.tree().files()),
                              HumanBytes(restore.tree().bytes()), Elide(Join(named, ", "), 200)));
  return result;
}

}  // namespace salvor::agent
