#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "agent/actions/disk_actions.h"
#include "agent/actions/disk_target.h"
#include "agent/disk/tree.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// A file that says: what stands at these destinations is of this run, unfinished, and nobody else's.
class RestoreMarker {
 public:
  static StatusOr<RestoreMarker> For(const AgentConfig& config, const std::string& run,
                                     const std::string& component) {
    for (const std::string& part : {run, component}) {
      if (part.empty() || part.find('/') != std::string::npos || part.find('\0') != std::string::npos) {
        return InvalidArgument("'{}' cannot name a restore", PercentEncode(part));
      }
    }
    return RestoreMarker(config.state_directory + "/restores", run + "-" + component + ".marker");
  }

  StatusOr<bool> Names(const std::vector<std::string>& destinations) const {
    const StatusOr<std::string> text = ReadFile(path_);
    if (text.status().code() == absl::StatusCode::kNotFound) return false;
    RETURN_IF_ERROR(text.status());
    if (*text == Text(destinations)) return true;
    return WithHint(
        FailedPrecondition("an earlier attempt of this run was writing to other paths, as {} says", path_),
        "Look at what is there, remove it and the marker by hand, and restore again.");
  }
  Status Write(const std::vector<std::string>& destinations) const {
    RETURN_IF_ERROR(MakeDirectories(directory_, 0700));
    return WriteFileAtomically(path_, Text(destinations), 0600);
  }
  Status Remove() const {
    return ::unlink(path_.c_str()) == 0 || errno == ENOENT ? OkStatus()
                                                           : ErrnoStatus(errno, "remove " + path_);
  }

 private:
  RestoreMarker(std::string directory, const std::string& name)
      : directory_(std::move(directory)), path_(directory_ + "/" + name) {}

  static std::string Text(const std::vector<std::string>& destinations) {
    nlohmann::ordered_json json;
    for (const std::string& path : destinations) json["writing"].push_back(PercentEncode(path));
    return json.dump() + "\n";
  }

  std::string directory_, path_;
};

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

// restic makes missing parents for root alone (0700), and the application could not get through.
Status MakeParents(const std::vector<std::string>& destinations) {
  for (const std::string& path : destinations) {
    const size_t slash = path.rfind('/');
    if (slash > 0) RETURN_IF_ERROR(MakeDirectories(path.substr(0, slash), 0755));
  }
  return OkStatus();
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
  ASSIGN_OR_RETURN(const RestoreMarker marker, RestoreMarker::For(context.config, restore.run(), component));
  ASSIGN_OR_RETURN(const bool ours, marker.Names(destinations));
  if (ours) {
    for (const std::string& path : destinations) {
      RETURN_IF_ERROR_IN(ClearDestination(path), "clear what an earlier attempt of this run left");
    }
  } else {
    RETURN_IF_ERROR(RefuseOccupied(destinations));
    RETURN_IF_ERROR(marker.Write(destinations));
  }
  RETURN_IF_ERROR(MakeParents(destinations));
  RETURN_IF_ERROR_IN(context.Repository(restore.location())
                         .Restore(restore.tree().snapshot(), prefix.empty() ? "/" : prefix, paths),
                     "restore files");
  RETURN_IF_ERROR(CheckWritten(destinations, restore.tree().snapshot()));
  RETURN_IF_ERROR(marker.Remove());
  v1::ActionResult result;
  std::vector<std::string> named;
  for (const std::string& path : destinations) named.push_back(PercentEncode(path));
  result.set_note(fmt::format("{} files, {} restored to {}", WithCommas(restore.tree().files()),
                              HumanBytes(restore.tree().bytes()), Elide(Join(named, ", "), 200)));
  return result;
}

}  // namespace salvor::agent
