#include "agent/work/policy.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>

#include "base/io/files.h"
#include "base/names.h"
#include "base/text.h"
#include "proto/extension.h"

namespace salvor::agent {
namespace {

// Options that restic 0.14 and newer know, and that name no program and no file.
constexpr const char* kHarmlessOptions[] = {
    "local.connections", "local.layout",       "sftp.connections",  "sftp.layout",
    "rest.connections",  "rclone.connections", "rclone.timeout",    "s3.storage-class",
    "s3.region",         "s3.connections",     "s3.retries",        "s3.layout",
    "s3.bucket-lookup",  "s3.list-objects-v1", "s3.max-retries",    "gs.connections",
    "gs.region",         "azure.connections",  "azure.access-tier", "b2.connections",
    "swift.connections", "s3.enable-restore",  "s3.restore-days",   "s3.restore-tier",
    "s3.restore-timeout"};

std::string Normal(const std::string& path) {
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

bool IsBelow(const std::string& path, const std::string& directory) {
  const std::string normal = Normal(path), above = Normal(directory);
  return above == "/" || normal == above || normal.rfind(above + "/", 0) == 0;
}

Status Refused(const std::string& what, const std::string& flag, const std::string& value) {
  return WithHint(FailedPrecondition("this agent does not allow {}", what),
                  fmt::format("If it shall, start salvor-agent with {} {}.", flag, QuoteArgv({value})));
}

// Only root, or who the agent is, may be able to replace what is run without asking again.
Status CheckOwnership(const std::string& path) {
  std::string at = path;
  while (true) {
    struct stat facts {};
    if (::stat(at.c_str(), &facts) != 0) return ErrnoStatus(errno, "look at " + at);
    const bool ours = facts.st_uid == 0 || facts.st_uid == ::geteuid();
    const bool sticky = S_ISDIR(facts.st_mode) && (facts.st_mode & S_ISVTX) != 0;
    if (!ours || ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)) {
      return WithHint(FailedPrecondition("{} can be changed by others, and with it {}", at, path),
                      fmt::format("Give it to root, and take the rights away: chmod go-w {}", at));
    }
    if (at == "/") return OkStatus();
    at = std::filesystem::path(at).parent_path().string();
  }
}

Status ValidateProgram(const std::string& path, const std::string& flag = "--allow-check-program") {
  RETURN_IF_ERROR_IN(CheckAbsolutePath(path), flag);
  std::error_code error;
  const std::string real = std::filesystem::canonical(path, error).string();
  if (error) return ErrnoStatus(error.value(), flag + " " + path);
  for (const std::string& name : {path, real}) {
    const std::string kind = InterpreterKind(name);
    if (kind.empty()) continue;
    return WithHint(
        FailedPrecondition("{} {}: it is {}, and would allow everything", flag, path, kind),
        "Put what it shall do into a script of its own that only root may change, and allow that.");
  }
  struct stat facts {};
  if (::stat(real.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode) || (facts.st_mode & 0111) == 0)
    return FailedPrecondition("{} {}: it is no program", flag, path);
  return WithContext(CheckOwnership(real), flag);
}

// "PATH" or "PATH:USER".
ActionProgram ReadActionProgram(const std::string& text) {
  ActionProgram program;
  const size_t colon = text.rfind(':');
  program.path = text.substr(0, colon);
  if (colon != std::string::npos) program.user = text.substr(colon + 1);
  program.name = program.path.substr(program.path.rfind('/') + 1);
  return program;
}

Status ValidateActionProgram(const ActionProgram& program) {
  const std::string flag = "--allow-action";
  RETURN_IF_ERROR(ValidateProgram(program.path, flag));
  RETURN_IF_ERROR_IN(CheckDottedName(program.name, "an action"), flag + " " + program.path);
  if (program.user.empty()) return OkStatus();
  if (::geteuid() != 0)
    return FailedPrecondition("{} {}: only an agent that runs as root can run it as {}", flag, program.path,
                              program.user);
  if (::getpwnam(program.user.c_str()) == nullptr)
    return FailedPrecondition("{} {}: there is no user '{}'", flag, program.path, CleanText(program.user));
  return OkStatus();
}

Status ValidateActionPrograms(const std::vector<std::string>& allowed) {
  std::map<std::string, std::string> paths;
  for (const std::string& text : allowed) {
    const ActionProgram program = ReadActionProgram(text);
    RETURN_IF_ERROR(ValidateActionProgram(program));
    if (!paths.emplace(program.name, program.path).second)
      return InvalidArgument("--allow-action: two programs are called {}", program.name);
  }
  return OkStatus();
}

Status PermitLocation(const AgentPolicy& policy, const v1::ResticLocation& location) {
  for (const std::string& option : location.options()) {
    const std::string key = option.substr(0, option.find('='));
    const bool harmless = std::find(std::begin(kHarmlessOptions), std::end(kHarmlessOptions), key) !=
                          std::end(kHarmlessOptions);
    const auto& allowed = policy.restic_options;
    if (harmless || std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
    return Refused(fmt::format("restic's option '{}'", CleanText(key)), "--allow-restic-option", key);
  }
  const std::string& file = location.environment_file();
  const auto& files = policy.environment_files;
  if (!file.empty() && std::find(files.begin(), files.end(), file) == files.end())
    return Refused("the environment file " + CleanText(file), "--allow-environment-file", file);
  return OkStatus();
}

Status PermitWriting(const AgentPolicy& policy, const std::string& path, const std::string& what) {
  if (path.empty()) return OkStatus();
  for (const std::string& directory : policy.write_below) {
    if (IsBelow(path, directory)) return OkStatus();
  }
  return Refused(fmt::format("{} {}", what, CleanText(path)), "--allow-write-below", Normal(path));
}

// The destinations of the paths: each goes to itself, unless the action names another destination for it. Any kind of
// action may: the field is looked for by name.
std::vector<std::string> DestinationsOf(const google::protobuf::Message& action,
                                        const google::protobuf::RepeatedPtrField<std::string>& paths) {
  std::map<std::string, std::string> destinations;
  for (const std::string& path : paths) destinations[path] = path;
  const auto* field = action.GetDescriptor()->FindFieldByName("destinations");
  if (field != nullptr && field->is_repeated() && field->message_type() != nullptr) {
    const auto* from = field->message_type()->FindFieldByName("path");
    const auto* to = field->message_type()->FindFieldByName("destination");
    for (int i = 0; i < action.GetReflection()->FieldSize(action, field); ++i) {
      const google::protobuf::Message& one = action.GetReflection()->GetRepeatedMessage(action, field, i);
      if (from == nullptr || to == nullptr) continue;
      destinations[one.GetReflection()->GetString(one, from)] = one.GetReflection()->GetString(one, to);
    }
  }
  std::vector<std::string> all;
  for (const auto& [path, destination] : destinations) all.push_back(destination);
  return all;
}

// A message restores files when it has a `target` that is a DiskTarget and, as texts, `paths`; any kind of action may.
Status PermitRestore(const AgentPolicy& policy, const google::protobuf::Message& action) {
  using Field = google::protobuf::FieldDescriptor;
  const Field* to = action.GetDescriptor()->FindFieldByName("target");
  const Field* from = action.GetDescriptor()->FindFieldByName("paths");
  if (to == nullptr || to->is_repeated() || to->message_type() != v1::DiskTarget::descriptor())
    return OkStatus();
  if (from == nullptr || !from->is_repeated() || from->cpp_type() != Field::CPPTYPE_STRING) return OkStatus();
  const google::protobuf::Reflection& reflection = *action.GetReflection();
  const auto& target = static_cast<const v1::DiskTarget&>(reflection.GetMessage(action, to));
  google::protobuf::RepeatedPtrField<std::string> paths;
  for (int i = 0; i < reflection.FieldSize(action, from); ++i)
    *paths.Add() = reflection.GetRepeatedString(action, from, i);
  if (target.where_case() != v1::DiskTarget::kRoot) return OkStatus();
  for (const std::string& path : DestinationsOf(action, paths))
    RETURN_IF_ERROR(PermitWriting(policy, Normal(target.root() + "/" + path), "restoring files to"));
  return OkStatus();
}

Status PermitParts(const AgentPolicy& policy, const google::protobuf::Message& message);

// An extension is held to the same as any other message; one that this agent can't look into is refused.
Status PermitExtension(const AgentPolicy& policy, const google::protobuf::Any& extension) {
  const std::unique_ptr<google::protobuf::Message> message = Unpack(extension);
  if (message != nullptr) return PermitParts(policy, *message);
  return WithHint(InvalidArgument("this agent does not know {}", CleanText(TypeOf(extension))),
                  "Use a version of the agent that has it.");
}

// Locations and places to write stand in many kinds of action, and will in those to come: found by type and
// name, wherever they are.
Status PermitParts(const AgentPolicy& policy, const google::protobuf::Message& message) {
  RETURN_IF_ERROR(PermitRestore(policy, message));
  if (message.GetDescriptor() == v1::ResticLocation::descriptor())
    RETURN_IF_ERROR(PermitLocation(policy, dynamic_cast<const v1::ResticLocation&>(message)));
  if (const auto* extension = AsExtension(message)) return PermitExtension(policy, *extension);
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const auto* field : fields) {
    if (field->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_STRING && !field->is_repeated() &&
        (field->name() == "dump_directory" || field->name() == "cache_directory")) {
      RETURN_IF_ERROR(PermitWriting(policy, reflection.GetString(message, field),
                                    field->name() == "dump_directory" ? "dumps in" : "a cache in"));
    }
    if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      RETURN_IF_ERROR(PermitParts(policy, reflection.GetMessage(message, field)));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      RETURN_IF_ERROR(PermitParts(policy, reflection.GetRepeatedMessage(message, field, i)));
  }
  return OkStatus();
}

}  // namespace

std::string InterpreterKind(const std::string& path) {
  static const std::map<std::string, std::string> kKinds = {{"sh", "a shell"},
                                                            {"ash", "a shell"},
                                                            {"bash", "a shell"},
                                                            {"dash", "a shell"},
                                                            {"zsh", "a shell"},
                                                            {"ksh", "a shell"},
                                                            {"csh", "a shell"},
                                                            {"tcsh", "a shell"},
                                                            {"fish", "a shell"},
                                                            {"rbash", "a shell"},
                                                            {"busybox", "a shell"},
                                                            {"toybox", "a shell"},
                                                            {"python", "an interpreter"},
                                                            {"pypy", "an interpreter"},
                                                            {"perl", "an interpreter"},
                                                            {"ruby", "an interpreter"},
                                                            {"node", "an interpreter"},
                                                            {"nodejs", "an interpreter"},
                                                            {"php", "an interpreter"},
                                                            {"lua", "an interpreter"},
                                                            {"luajit", "an interpreter"},
                                                            {"tclsh", "an interpreter"},
                                                            {"expect", "an interpreter"},
                                                            {"guile", "an interpreter"},
                                                            {"awk", "an interpreter"},
                                                            {"gawk", "an interpreter"},
                                                            {"mawk", "an interpreter"},
                                                            {"sed", "an interpreter"},
                                                            {"ed", "an interpreter"},
                                                            {"vi", "an interpreter"},
                                                            {"vim", "an interpreter"},
                                                            {"emacs", "an interpreter"},
                                                            {"java", "an interpreter"},
                                                            {"psql", "an interpreter"},
                                                            {"pg_wrapper", "an interpreter"},
                                                            {"sqlite3", "an interpreter"},
                                                            {"mysql", "an interpreter"},
                                                            {"mongosh", "an interpreter"},
                                                            {"gdb", "an interpreter"},
                                                            {"make", "an interpreter"},
                                                            {"m4", "an interpreter"},
                                                            {"git", "an interpreter"},
                                                            {"env", "a program that runs others"},
                                                            {"xargs", "a program that runs others"},
                                                            {"find", "a program that runs others"},
                                                            {"sudo", "a program that runs others"},
                                                            {"su", "a program that runs others"},
                                                            {"runuser", "a program that runs others"},
                                                            {"setpriv", "a program that runs others"},
                                                            {"nice", "a program that runs others"},
                                                            {"nohup", "a program that runs others"},
                                                            {"timeout", "a program that runs others"},
                                                            {"setsid", "a program that runs others"},
                                                            {"chroot", "a program that runs others"},
                                                            {"unshare", "a program that runs others"},
                                                            {"nsenter", "a program that runs others"},
                                                            {"bwrap", "a program that runs others"},
                                                            {"strace", "a program that runs others"},
                                                            {"flock", "a program that runs others"},
                                                            {"watch", "a program that runs others"},
                                                            {"ssh", "a program that runs others"},
                                                            {"script", "a program that runs others"},
                                                            {"tar", "a program that runs others"},
                                                            {"rsync", "a program that runs others"},
                                                            {"docker", "a program that runs others"},
                                                            {"podman", "a program that runs others"},
                                                            {"systemd-run", "a program that runs others"},
                                                            {"ld.so", "a program that runs others"}};
  std::string name = path.substr(path.rfind('/') + 1);
  if (name.rfind("ld-linux", 0) == 0) name = "ld.so";
  const auto exact = kKinds.find(name);
  if (exact != kKinds.end()) return exact->second;
  // "python3.11", "perl5.36-x86_64-linux-gnu", "lua5.4": a version is no other program.
  const size_t end = name.find_first_of("0123456789");
  if (end == std::string::npos || end == 0) return "";
  const auto versioned = kKinds.find(name.substr(0, name[end - 1] == '-' ? end - 1 : end));
  return versioned == kKinds.end() ? "" : versioned->second;
}

Status AgentPolicy::Validate() const {
  RETURN_IF_ERROR(ValidateActionPrograms(action_programs));
  for (const std::string& path : check_programs) RETURN_IF_ERROR(ValidateProgram(path));
  for (const std::string& path : write_below)
    RETURN_IF_ERROR_IN(CheckAbsolutePath(path), "--allow-write-below");
  for (const std::string& path : environment_files)
    RETURN_IF_ERROR_IN(CheckAbsolutePath(path), "--allow-environment-file");
  for (const std::string& key : restic_options) {
    if (key.empty() || key.find('=') != std::string::npos)
      return InvalidArgument("--allow-restic-option {}: name the key alone, for example sftp.command", key);
  }
  if (check_user == "root") return FailedPrecondition("--check-user: checks do not run as root");
  return OkStatus();
}

Status AgentPolicy::Permit(const v1::Action& action) const { return PermitParts(*this, action); }

StatusOr<ActionProgram> AgentPolicy::FindActionProgram(const std::string& name) const {
  for (const std::string& text : action_programs) {
    ActionProgram program = ReadActionProgram(text);
    if (program.name != name) continue;
    RETURN_IF_ERROR(ValidateActionProgram(program));
    return program;
  }
  return WithHint(
      FailedPrecondition("this agent does not allow the action {}", CleanText(name)),
      fmt::format("Install the program on the agent's host, owned by root, and start salvor-agent with "
                  "--allow-action and its path, which ends with /{}.",
                  CleanText(name)));
}

Status AgentPolicy::PermitCheckProgram(const std::string& path) const {
  // Again, as it may have changed since the start.
  if (std::find(check_programs.begin(), check_programs.end(), path) != check_programs.end())
    return ValidateProgram(path);
  return Refused("the check program " + CleanText(path), "--allow-check-program", path);
}

}  // namespace salvor::agent
