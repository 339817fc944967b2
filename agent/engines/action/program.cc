#include "agent/engines/action/program.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "agent/engines/action/contract.h"
#include "base/io/sha256.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

bool IsRoot() { return ::geteuid() == 0; }

// The beginning of the names of all work folders of an agent.
std::string Prefix(const AgentConfig& config) {
  return "salvor-action-" + ToHex(Sha256::Of(config.state_directory)).substr(0, 12) + "-";
}

Status CheckContract(const v1::ActionComponent& component) {
  const int version = component.contract() == 0 ? 1 : component.contract();
  if (version == kActionContract) return OkStatus();
  return WithHint(
      FailedPrecondition("program {} is written for version {} of the action contract, and this agent "
                         "knows version {}",
                         CleanText(component.program()), version, kActionContract),
      "Use an agent that knows it, or a program for this one.");
}

}  // namespace

StatusOr<OpenedProgram> OpenedProgram::Open(const v1::ActionComponent& component, const AgentConfig& config) {
  RETURN_IF_ERROR(CheckContract(component));
  ASSIGN_OR_RETURN(const ActionProgram allowed, config.policy.FindActionProgram(component.program()));
  OpenedProgram program;
  std::error_code error;
  const std::string real = std::filesystem::canonical(allowed.path, error).string();
  if (error) return ErrnoStatus(error.value(), "look at " + allowed.path);
  program.fd_ = UniqueFd(::open(real.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat facts {};
  if (!program.fd_.Valid() || ::fstat(program.fd_.Get(), &facts) != 0)
    return ErrnoStatus(errno, "open " + allowed.path);
  // The path was looked at before it was opened: what was opened is held to the same.
  if (!S_ISREG(facts.st_mode) || (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
      (facts.st_uid != 0 && facts.st_uid != ::geteuid()))
    return FailedPrecondition("{} can be changed by others", allowed.path);
  ASSIGN_OR_RETURN_IN(const std::string digest, Sha256OfFile(program.fd_.Get(), 0, facts.st_size),
                      "read " + allowed.path);
  program.user_ = allowed.user;
  program.facts_.set_program(allowed.name);
  program.facts_.set_sha256(digest);
  program.facts_.set_contract(kActionContract);
  return program;
}

Status OpenedProgram::PassTo(ProcessSpec* spec) const {
  UniqueFd copy(::fcntl(fd_.Get(), F_DUPFD_CLOEXEC, 3));
  if (!copy.Valid()) return ErrnoStatus(errno, "duplicate a descriptor");
  spec->passed.push_back({std::move(copy), kProgramDescriptor});
  spec->argv.push_back(fmt::format("/proc/self/fd/{}", kProgramDescriptor));
  return OkStatus();
}

std::string OtherProgram(const v1::ProgramFacts& now, const v1::ProgramFacts& then) {
  if (then.sha256().empty() || now.sha256() == then.sha256()) return "";
  return fmt::format("program {} is another one ({}…) than that which made the backup ({}…)", now.program(),
                     ToHex(now.sha256()).substr(0, 12), ToHex(then.sha256()).substr(0, 12));
}

StatusOr<std::optional<SandboxUser>> UserOfProgram(const OpenedProgram& program, const std::string& run) {
  if (!IsRoot()) return std::optional<SandboxUser>();
  if (program.User().empty()) {
    ASSIGN_OR_RETURN(const SandboxUser nobody, UnownedUser(run, {}));
    return std::optional(nobody);
  }
  passwd room{};  // several actions look at once
  passwd* entry = nullptr;
  std::vector<char> text(64 << 10);
  (void)::getpwnam_r(program.User().c_str(), &room, text.data(), text.size(), &entry);
  if (entry == nullptr) return FailedPrecondition("there is no user '{}'", CleanText(program.User()));
  return std::optional(SandboxUser{entry->pw_uid, entry->pw_gid});
}

StatusOr<WorkFolder> WorkFolder::Make(const AgentConfig& config) {
  std::string path = config.action_work_directory + "/" + Prefix(config) + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr)
    return WithHint(ErrnoStatus(errno, "make a work folder in " + config.action_work_directory),
                    "Name a folder that the agent can write with --action-work-directory.");
  return WorkFolder(std::move(path));
}

WorkFolder::~WorkFolder() {
  if (path_ != nullptr) (void)RemoveTree(*path_);
}

Status WorkFolder::RemoveLeftovers(const AgentConfig& config) {
  std::error_code error;
  std::vector<std::string> left;
  for (std::filesystem::directory_iterator it(config.action_work_directory, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().filename().string().rfind(Prefix(config), 0) == 0) left.push_back(it->path().string());
  }
  Status first = OkStatus();
  for (const std::string& path : left) {
    if (const Status removed = RemoveTree(path); first.ok()) first = removed;
  }
  return first;
}

Status WorkFolder::GiveTo(const std::optional<SandboxUser>& user) const {
  return user.has_value() ? GiveAway(*path_, *user) : OkStatus();
}

Status GiveAway(const std::string& folder, const SandboxUser& user) {
  namespace fs = std::filesystem;
  std::vector<std::string> all = {folder};
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    all.push_back(it->path().string());
  if (error) return ErrnoStatus(error.value(), "look into " + folder);
  for (const std::string& path : all) {
    if (::lchown(path.c_str(), user.uid, user.gid) != 0) return ErrnoStatus(errno, "chown " + path);
  }
  return OkStatus();
}

StatusOr<UniqueFd> OpenBelow(const std::string& folder, const std::string& path, uid_t owner) {
  const UniqueFd base(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!base.Valid()) return ErrnoStatus(errno, "open " + folder);
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // a pipe in its place must not hold us
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  UniqueFd file(static_cast<int>(::syscall(SYS_openat2, base.Get(), path.c_str(), &how, sizeof how)));
  if (!file.Valid()) return ErrnoStatus(errno, "open " + path);
  struct stat facts {};
  if (::fstat(file.Get(), &facts) != 0) return ErrnoStatus(errno, "look at " + path);
  if (!S_ISREG(facts.st_mode) || facts.st_nlink != 1 || facts.st_uid != owner)
    return FailedPrecondition("{} is no regular file that the program made", path);
  return file;
}

}  // namespace salvor::agent
