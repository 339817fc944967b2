#include <absl/time/clock.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>

#include <cerrno>

#include "agent/engines/action/actions/actions.h"
#include "agent/engines/action/actions/room.h"
#include "agent/work/clean_up.h"
#include "base/io/sha256.h"
#include "base/text.h"
#include "proto/artifact.h"
#include "proto/time.h"

namespace salvor::agent {
namespace {

// One backup: the program plans which streams it will write, and then writes them.
class Backup {
 public:
  Backup(const v1::ProgramBackup& action, ProgramRoom room, ActionContext& context)
      : action_(action),
        room_(std::move(room)),
        context_(context),
        repository_(context.Repository(action.target().location())) {}

  StatusOr<v1::ActionResult> Run() {
    ASSIGN_OR_RETURN(ActionRequest planning, room_.Request(ActionVerb::kPlan, "backup", context_));
    ASSIGN_OR_RETURN(const ActionOutcome planned, room_.Run(std::move(planning), {}, context_));
    if (const auto& conflicts = planned.events->conflicts(); !conflicts.empty()) {
      return WithHint(FailedPrecondition("program {}: {}", room_.Program().Name(), Join(conflicts, "; ")),
                      "Nothing was read. Mend what it names, then back up again.");
    }
    ASSIGN_OR_RETURN(ActionRequest request, room_.Request(ActionVerb::kBackup, "backup", context_));
    begun_at_ = absl::Now();
    ASSIGN_OR_RETURN(const ActionOutcome outcome,
                     room_.Run(std::move(request), Uploaders(*planned.events), context_));
    RETURN_IF_ERROR(CheckPromises(*planned.events, *outcome.events));
    for (const ActionArtifact& told : outcome.events->artifacts()) {
      RETURN_IF_ERROR_IN(told.stream ? KeepStream(told, outcome) : KeepFile(told), "artifact " + told.name);
    }
    RETURN_IF_ERROR_IN(KeepRecord(*outcome.events), "keep the record");
    AddWarnings(room_.Program(), nullptr, *outcome.events, &result_);
    if (outcome.events->artifacts().empty())
      result_.add_warnings(fmt::format("program {} declared no artifact, so nothing of {} can be restored",
                                       room_.Program().Name(), context_.task.component()));
    return std::move(result_);
  }

 private:
  v1::ArtifactTarget TargetOf(const std::string& name) const {
    v1::ArtifactTarget target = action_.target();
    target.set_artifact(ArtifactName(target.component(), name));
    return target;
  }

  std::map<std::string, ProcessSpec> Uploaders(const ActionEvents& planned) const {
    std::map<std::string, ProcessSpec> uploaders;
    for (const ActionArtifact& told : planned.artifacts()) {
      if (told.stream)
        uploaders[told.name] = repository_.StdinBackup(told.name, context_.Tags(TargetOf(told.name)));
    }
    return uploaders;
  }

  // A program that ends well without what it planned has lost something.
  Status CheckPromises(const ActionEvents& planned, const ActionEvents& told) const {
    for (const ActionArtifact& promised : planned.artifacts()) {
      const ActionArtifact* made = told.FindArtifact(promised.name);
      if (made == nullptr || made->stream != promised.stream)
        return Internal("program {} planned artifact {} and did not make it", room_.Program().Name(),
                        promised.name);
    }
    for (const ActionArtifact& made : told.artifacts()) {
      if (made.stream && planned.FindArtifact(made.name) == nullptr)
        return Internal("program {} told of stream {}, which it had not planned", room_.Program().Name(),
                        made.name);
    }
    return OkStatus();
  }

  v1::Artifact* Add(const std::string& name, v1::Artifact::Role role, const std::string& snapshot,
                    int64_t bytes, const std::string& sha256) {
    v1::Artifact* artifact = result_.add_artifacts();
    artifact->set_component(action_.target().component());
    artifact->set_name(ArtifactName(action_.target().component(), name));
    artifact->set_snapshot(snapshot);
    artifact->set_path(Restic::StdinPath(name));
    artifact->set_bytes(bytes);
    artifact->set_sha256(sha256);
    *artifact->mutable_contents() = MakeContents(role == v1::Artifact::ROLE_DATA ? "data" : "record", role);
    *artifact->mutable_program() = room_.Program().Facts();
    *artifact->mutable_consistent_at() = ToProto(begun_at_);
    RepeatForOlderReaders(artifact);
    return artifact;
  }

  Status CheckDigest(const ActionArtifact& told, const std::string& sha256) const {
    if (told.sha256.empty() || told.sha256 == ToHex(sha256)) return OkStatus();
    return Internal("the program told of another SHA-256 than it wrote");
  }

  Status KeepStream(const ActionArtifact& told, const ActionOutcome& outcome) {
    const PipeOutcome& piped = outcome.streams.at(told.name);
    RETURN_IF_ERROR(CheckDigest(told, piped.sha256));
    ASSIGN_OR_RETURN(const std::string snapshot, Restic::SavedId(piped.consumer));
    context_.LogTransfer(room_.Program().Name() + " | restic", piped.bytes, piped.took);
    Add(told.name, v1::Artifact::ROLE_DATA, snapshot, piped.bytes, piped.sha256);
    return OkStatus();
  }

  Status KeepFile(const ActionArtifact& told) {
    ASSIGN_OR_RETURN(UniqueFd file, OpenBelow(room_.Folder(), told.path, room_.Owner()));
    struct stat facts {};
    if (::fstat(file.Get(), &facts) != 0) return ErrnoStatus(errno, "look at " + told.path);
    if (facts.st_size != told.bytes)
      return Internal("the program told of {} bytes, and {} has {}", told.bytes, told.path, facts.st_size);
    ASSIGN_OR_RETURN(const std::string sha256, Sha256OfFile(file.Get(), 0, facts.st_size));
    RETURN_IF_ERROR(CheckDigest(told, sha256));
    ASSIGN_OR_RETURN(const std::string snapshot,
                     repository_.StoreFile(told.name, std::move(file), facts.st_size, sha256,
                                           context_.Tags(TargetOf(told.name))));
    Add(told.name, v1::Artifact::ROLE_DATA, snapshot, facts.st_size, sha256);
    return OkStatus();
  }

  Status KeepRecord(const ActionEvents& told) {
    v1::ProgramRecord record;
    *record.mutable_program() = room_.Program().Facts();
    for (const ActionArtifact& artifact : told.artifacts()) record.add_artifacts(artifact.name);
    for (const auto& [name, value] : told.expectations()) (*record.mutable_expectations())[name] = value;
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(record, &json, options).ok())
      return Internal("the record cannot be written as JSON");
    ASSIGN_OR_RETURN(const std::string snapshot,
                     repository_.StoreText("record", json, context_.Tags(action_.target())));
    Add("record", v1::Artifact::ROLE_DETAILS, snapshot, static_cast<int64_t>(json.size()), Sha256::Of(json));
    return OkStatus();
  }

  const v1::ProgramBackup& action_;
  const ProgramRoom room_;
  ActionContext& context_;
  const Restic repository_;
  absl::Time begun_at_;
  v1::ActionResult result_;
};

// All that this run has kept of the component, under whatever names.
Status ForgetAllOf(const v1::ArtifactTarget& target, const ActionContext& context) {
  const Restic repository = context.Repository(target.location());
  std::map<std::string, std::string> tags = context.Tags(target);
  tags.erase("artifact");
  ASSIGN_OR_RETURN(const std::vector<ResticSnapshot> snapshots, repository.Find(tags));
  std::vector<std::string> left;
  for (const ResticSnapshot& snapshot : snapshots) left.push_back(snapshot.id);
  return ForgetIfPossible(repository, left);
}

}  // namespace

StatusOr<v1::ActionResult> RunProgramBackup(const v1::ProgramBackup& backup, ActionContext& context) {
  if (context.task.lease().attempt() > 1)
    RETURN_IF_ERROR_IN(ForgetAllOf(backup.target(), context), "forget earlier attempts");
  ASSIGN_OR_RETURN(ProgramRoom room, ProgramRoom::OnHost(backup.component(), context));
  return Backup(backup, std::move(room), context).Run();
}

Status CleanUpProgramBackup(const v1::ProgramBackup& backup, ActionContext& context) {
  return ForgetAllOf(backup.target(), context);
}

}  // namespace salvor::agent
