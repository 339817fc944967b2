#include "agent/work/clean_up.h"

#include <memory>
#include <optional>
#include <set>

#include "base/io/steady_clock.h"
#include "proto/extension.h"

namespace salvor::agent {
namespace {

// The field of this name and type of what the action is to do; nothing where its kind has none, or it is not set.
template <typename Message>
std::optional<Message> FieldOf(const v1::Action& action, const char* name) {
  const auto* kind = v1::Action::descriptor()->FindFieldByNumber(action.kind_case());
  if (kind == nullptr) return std::nullopt;
  const google::protobuf::Message* what = &action.GetReflection()->GetMessage(action, kind);
  std::unique_ptr<google::protobuf::Message> inside;
  if (action.has_extension()) {
    inside = Unpack(action.extension());
    what = inside.get();
  }
  const auto* field = what == nullptr ? nullptr : what->GetDescriptor()->FindFieldByName(name);
  if (field == nullptr || field->message_type() != Message::descriptor() || field->is_repeated() ||
      !what->GetReflection()->HasField(*what, field))
    return std::nullopt;
  return static_cast<const Message&>(what->GetReflection()->GetMessage(*what, field));
}

std::optional<v1::ArtifactTarget> TargetOf(const v1::Action& action) {
  return FieldOf<v1::ArtifactTarget>(action, "target");
}

// The Location that an action works with; nothing for one that works with none.
std::optional<v1::ResticLocation> LocationOf(const v1::Action& action) {
  if (const auto target = TargetOf(action); target.has_value()) return target->location();
  return FieldOf<v1::ResticLocation>(action, "location");
}

Status ForgetAll(const ActionContext& context, const std::vector<v1::ArtifactTarget>& targets) {
  if (targets.empty()) return OkStatus();
  const Restic restic = context.Repository(targets.front().location());
  std::vector<std::string> left;
  for (const v1::ArtifactTarget& target : targets) {
    ASSIGN_OR_RETURN(const std::vector<ResticSnapshot> snapshots, restic.Find(context.Tags(target)));
    for (const ResticSnapshot& snapshot : snapshots) left.push_back(snapshot.id);
  }
  return ForgetIfPossible(restic, left);
}

}  // namespace

std::vector<v1::ArtifactTarget> WithDetails(const v1::ArtifactTarget& target) {
  std::vector<v1::ArtifactTarget> targets = {target, target};
  targets[1].set_artifact(target.artifact() + ".details");
  return targets;
}

Status ForgetIfPossible(const Restic& restic, const std::vector<std::string>& snapshots) {
  if (snapshots.empty()) return OkStatus();
  RETURN_IF_ERROR(restic.RemoveStaleLocks().status());
  const Status status = restic.Forget(snapshots);
  return Restic::IsLocked(status) ? OkStatus() : status;
}

StatusOr<int> ForgetRuns(const Restic& restic, const std::vector<std::string>& runs) {
  if (runs.empty()) return 0;
  ASSIGN_OR_RETURN(const std::vector<ResticSnapshot> snapshots, restic.Find({{"salvor", ""}}));
  const auto tag = [](const ResticSnapshot& snapshot, const char* name) {
    const auto found = snapshot.tags.find(name);
    return found == snapshot.tags.end() ? std::string() : found->second;
  };
  std::set<std::string> over(runs.begin(), runs.end());
  over.erase("");
  for (const ResticSnapshot& snapshot : snapshots) {
    if (tag(snapshot, "kind") == "manifest") over.erase(tag(snapshot, "run"));
  }
  std::vector<std::string> left;
  for (const ResticSnapshot& snapshot : snapshots) {
    if (over.count(tag(snapshot, "run")) != 0) left.push_back(snapshot.id);
  }
  RETURN_IF_ERROR(ForgetIfPossible(restic, left));
  return static_cast<int>(left.size());
}

Status ForgetEarlierAttempts(const ActionContext& context, const std::vector<v1::ArtifactTarget>& targets) {
  if (context.task.lease().attempt() <= 1) return OkStatus();
  return WithContext(ForgetAll(context, targets), "forget earlier attempts");
}

Status RemoveOwnLocks(const v1::Task& task, const AgentConfig& config, ToolRunner& tools,
                      absl::Duration patience) {
  const std::optional<v1::ResticLocation> location = LocationOf(task.action());
  if (!location.has_value()) return OkStatus();
  const ActionContext context{config, tools, task, {}, SteadyNow() + patience, nullptr, nullptr};
  return context.Repository(*location).RemoveStaleLocks().status();
}

Status CleanUpAfter(const v1::Task& task, const AgentConfig& config, ToolRunner& tools,
                    absl::Duration patience) {
  const SteadyTime deadline = SteadyNow() + patience;
  RETURN_IF_ERROR(RemoveOwnLocks(task, config, tools, patience));
  const std::optional<v1::ArtifactTarget> target = TargetOf(task.action());
  if (!target.has_value()) return OkStatus();
  return ForgetAll({config, tools, task, {}, deadline, nullptr, nullptr}, WithDetails(*target));
}

}  // namespace salvor::agent
