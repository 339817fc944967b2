// Files of any length as one-file snapshots.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "agent/process/pipe_owner.h"
#include "agent/restic/restic.h"
#include "base/io/sha256.h"

namespace salvor::agent {
StatusOr<std::string> Restic::StoreFile(const std::string& file_name, UniqueFd file, int64_t bytes,
                                        const std::string& sha256,
                                        const std::map<std::string, std::string>& tags) const {
  ProcessSpec producer;
  producer.argv = {"cat"};
  producer.input = std::move(file);
  PipeOptions options;
  options.expect_bytes = bytes;
  options.expect_sha256 = sha256;
  const auto outcome = RunPipe(*context_.tools, std::move(producer), StdinBackup(file_name, tags), options,
                               context_.stop, context_.deadline);
  if (!outcome.ok()) return WithContext(outcome.status(), "store " + file_name);
  return SavedId(outcome->consumer);
}

Status Restic::LoadFile(const v1::Artifact& artifact, int file) const {
  ProcessSpec spec = Dump(artifact.snapshot(), artifact.path());
  spec.output = UniqueFd(::fcntl(file, F_DUPFD_CLOEXEC, 0));
  if (!spec.output.Valid()) return ErrnoStatus(errno, "duplicate a descriptor");
  const Status status = WithContext(RunSpec(std::move(spec)).status(), "load " + artifact.name());
  if (status.code() == absl::StatusCode::kResourceExhausted) {
    // restic's own hint speaks of the repository, which is only read here.
    return WithHint(
        MakeStatus(status.code(), MessageOf(status)),
        "Free some space on the disk of the agent's state directory, or point --state-directory to a "
        "larger disk, then try again.");
  }
  RETURN_IF_ERROR(status);
  struct stat facts {};
  if (::fstat(file, &facts) != 0) return ErrnoStatus(errno, "look at what was loaded");
  if (artifact.bytes() > 0 && facts.st_size != artifact.bytes()) {
    return DataLoss("{} in snapshot {} is {} bytes long and should be {}", artifact.name(),
                    artifact.snapshot(), facts.st_size, artifact.bytes());
  }
  if (artifact.sha256().empty()) return OkStatus();
  ASSIGN_OR_RETURN_IN(const std::string digest, Sha256OfFile(file, 0, facts.st_size), "read what was loaded");
  if (digest == artifact.sha256()) return OkStatus();
  return DataLoss("{} in snapshot {} has another SHA-256 than it should have", artifact.name(),
                  artifact.snapshot());
}

}  // namespace salvor::agent
