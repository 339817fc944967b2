#include "agent/engines/action/actions/room.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/scratch/scratch_places.h"
#include "base/io/files.h"
#include "base/names.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kInside[] = "/scratch/work";  // the folder, in a sandbox
constexpr char kArtifacts[] = "artifacts";

bool IsRoot() { return ::geteuid() == 0; }

StatusOr<std::map<std::string, std::string>> ReadSecrets(const v1::ActionComponent& component) {
  std::map<std::string, std::string> secrets;
  for (const auto& [name, file] : component.secrets()) {
    ASSIGN_OR_RETURN_IN(secrets[name], ReadSecretFile(file), "secret " + CleanText(name));
  }
  return secrets;
}

StatusOr<absl::Duration> TimeoutOf(const v1::ActionComponent& component) {
  if (component.timeout().empty()) return absl::Hours(6);
  const auto timeout = ParseDuration(component.timeout());
  if (!timeout.has_value())
    return InvalidArgument("timeout '{}' is no duration", CleanText(component.timeout()));
  return *timeout;
}

}  // namespace

StatusOr<ProgramRoom> ProgramRoom::OnHost(const v1::ActionComponent& component,
                                          const ActionContext& context) {
  ProgramRoom room;
  room.component_ = component;
  ASSIGN_OR_RETURN(OpenedProgram program, OpenedProgram::Open(component, context.config));
  room.program_ = std::make_unique<OpenedProgram>(std::move(program));
  ASSIGN_OR_RETURN(room.user_,
                   UserOfProgram(*room.program_, context.task.lease().run() + context.task.component()));
  ASSIGN_OR_RETURN(WorkFolder own, WorkFolder::Make(context.config));
  room.own_ = std::make_unique<WorkFolder>(std::move(own));
  room.folder_ = room.inside_ = room.own_->Path();
  RETURN_IF_ERROR(MakeDirectories(room.folder_ + "/tmp", 0700));
  return room;
}

StatusOr<ProgramRoom> ProgramRoom::InDrill(const v1::ActionComponent& component, const std::string& scratch,
                                           bool again, const ActionContext& context) {
  if (context.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  RETURN_IF_ERROR(CheckObjectName(context.task.component()));
  ProgramRoom room;
  room.component_ = component;
  ASSIGN_OR_RETURN(OpenedProgram program, OpenedProgram::Open(component, context.config));
  room.program_ = std::make_unique<OpenedProgram>(std::move(program));
  ASSIGN_OR_RETURN(room.drill_, context.scratch->EnsureRunning(scratch));
  if (!room.drill_->sandboxed) {
    return WithHint(Unavailable("a program is run in a drill inside a sandbox alone, and there is none: {}",
                                room.drill_->not_isolated),
                    "Install bubblewrap on the agent's host, and let the agent make namespaces.");
  }
  const std::string below =
      ScratchPlaces::FilesDirectory(context.config.state_directory, scratch) + "/.actions";
  room.folder_ = below + "/" + context.task.component();
  room.inside_ = kInside;
  if (IsRoot()) {
    const uid_t uid = ScratchUserOf(*room.drill_);
    room.user_ = SandboxUser{uid, static_cast<gid_t>(uid)};
  }
  if (again) return room;
  RETURN_IF_ERROR(RemoveTree(room.folder_));
  RETURN_IF_ERROR(MakeDirectories(below, 0711));
  RETURN_IF_ERROR(MakeDirectories(room.folder_, 0700));
  RETURN_IF_ERROR(MakeDirectories(room.folder_ + "/tmp", 0700));
  return room;
}

uid_t ProgramRoom::Owner() const { return user_.has_value() ? user_->uid : ::geteuid(); }

Status ProgramRoom::Lay(const google::protobuf::RepeatedPtrField<v1::Artifact>& artifacts,
                        const v1::ResticLocation& location, const ActionContext& context,
                        ActionRequest* request) const {
  RETURN_IF_ERROR(MakeDirectories(folder_ + "/" + kArtifacts, 0700));
  for (const v1::Artifact& artifact : artifacts) {
    const std::string prefix = ArtifactName(context.task.component(), "");
    if (artifact.name().rfind(prefix, 0) != 0)
      return InvalidArgument("artifact {} is not of this component", CleanText(artifact.name()));
    ActionArtifact laid;
    laid.name = artifact.name().substr(prefix.size());
    RETURN_IF_ERROR(CheckArtifactName(laid.name));
    const std::string path = folder_ + "/" + kArtifacts + "/" + laid.name;
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400));
    if (!file.Valid()) return ErrnoStatus(errno, "make " + path);
    RETURN_IF_ERROR_IN(context.Repository(location).LoadFile(artifact, file.Get()), "artifact " + laid.name);
    laid.path = inside_ + "/" + kArtifacts + "/" + laid.name;
    laid.bytes = artifact.bytes();
    laid.sha256 = ToHex(artifact.sha256());
    request->artifacts.push_back(std::move(laid));
  }
  return OkStatus();
}

StatusOr<ActionRequest> ProgramRoom::Request(ActionVerb verb, const std::string& operation,
                                             const ActionContext& context) const {
  ActionRequest request;
  request.verb = verb;
  request.operation = operation;
  request.run = context.task.lease().run();
  request.component = context.task.component();
  request.attempt = static_cast<int>(context.task.lease().attempt());
  request.drill = drill_.has_value();
  for (const auto& [name, value] : component_.settings()) request.settings[name] = value;
  // A drill must not be able to touch production.
  if (!request.drill) {
    ASSIGN_OR_RETURN(request.secrets, ReadSecrets(component_));
  }
  request.work = inside_;
  return request;
}

StatusOr<ProcessSpec> ProgramRoom::Enclose(ProcessSpec spec, const ActionContext& context) const {
  if (drill_.has_value()) {
    return context.scratch->Beside(*drill_, std::move(spec), {{folder_, kInside, true}});
  }
  if (!user_.has_value()) return spec;
  if (!program_->User().empty()) {
    spec.user = program_->User();
    return spec;
  }
  std::vector<std::string> argv = {"/usr/bin/setpriv",
                                   fmt::format("--reuid={}", user_->uid),
                                   fmt::format("--regid={}", user_->gid),
                                   "--clear-groups",
                                   "--no-new-privs",
                                   "--inh-caps=-all",
                                   "--bounding-set=-all",
                                   "--pdeathsig=keep",  // which a change of user clears
                                   "--"};
  argv.insert(argv.end(), spec.argv.begin(), spec.argv.end());
  spec.argv = std::move(argv);
  return spec;
}

StatusOr<ActionOutcome> ProgramRoom::Run(ActionRequest request, std::map<std::string, ProcessSpec> consumers,
                                         ActionContext& context) const {
  // What the program was in before is its own already, and may be full of links by now.
  const bool was_there = request.verb == ActionVerb::kBackup ||  // whose plan was in it
                         (request.verb == ActionVerb::kVerify && drill_.has_value());
  if (user_.has_value() && !was_there) RETURN_IF_ERROR(GiveAway(folder_, *user_));
  ActionRun run;
  run.program = program_.get();
  run.request = std::move(request);
  run.directory = folder_;
  ASSIGN_OR_RETURN(run.timeout, TimeoutOf(component_));
  run.enclose = [this, &context](ProcessSpec spec) { return Enclose(std::move(spec), context); };
  run.consumers = std::move(consumers);
  return RunAction(std::move(run), context);
}

std::string ArtifactName(const std::string& component, const std::string& name) {
  return component + "." + name;
}

StatusOr<v1::ProgramRecord> LoadRecord(const v1::Artifact& record, const v1::ResticLocation& location,
                                       const ActionContext& context) {
  ASSIGN_OR_RETURN_IN(const std::string text, context.Repository(location).LoadText(record),
                      "read the record");
  v1::ProgramRecord read;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  if (!google::protobuf::util::JsonStringToMessage(text, &read, options).ok())
    return DataLoss("{} in snapshot {} is no record of a program", record.name(), record.snapshot());
  return read;
}

void AddWarnings(const OpenedProgram& program, const v1::Artifact* record, const ActionEvents& events,
                 v1::ActionResult* result) {
  if (record != nullptr) {
    const std::string other = OtherProgram(program.Facts(), record->program());
    if (!other.empty()) result->add_warnings(other);
  }
  for (const std::string& warning : events.warnings())
    result->add_warnings(fmt::format("program {}: {}", program.Name(), warning));
}

}  // namespace salvor::agent
