// Backups of applications that are held still: the turn in Velero's queue, the commands in pods, the snapshots, and the
// release.
#include <algorithm>
#include <condition_variable>
#include <iterator>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "agent/kubernetes/velero/actions/pod_hold.h"
#include "agent/kubernetes/velero/actions/velero_actions.h"
#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/quiesce.h"
#include "agent/kubernetes/velero/resources.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr absl::Duration kReleaseTime = absl::Minutes(1);  // of one container's release
constexpr absl::Duration kAside = absl::Seconds(10);       // for what is done when all else is over

StatusOr<std::vector<Pod>> ListPodsOf(const std::vector<v1::PodQuiesce>& quiesces,
                                      kubernetes::Kubernetes& cluster, const kubernetes::Call& call) {
  std::set<std::string> namespaces;
  for (const v1::PodQuiesce& quiesce : quiesces) namespaces.insert(quiesce.namespace_());
  std::vector<Pod> all;
  for (const std::string& name_space : namespaces) {
    ASSIGN_OR_RETURN(std::vector<Pod> pods, ListAll(cluster, Pods(), name_space, "", ReadPod, call));
    std::move(pods.begin(), pods.end(), std::back_inserter(all));
  }
  return all;
}

class VeleroSnapshotRun {
 public:
  VeleroSnapshotRun(const v1::VeleroSnapshot& action, agent::ActionContext& context,
                    const VeleroOptions& options, kubernetes::Kubernetes& cluster)
      : action_(action),
        quiesces_(action.quiesces().begin(), action.quiesces().end()),
        context_(context),
        options_(options),
        cluster_(cluster),
        velero_(NamespaceOf(action.backup().cluster())),
        call_{context.stop, context.deadline} {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(
        GiveUp("another attempt was to hold the application still, and it was let go since", call_));
    RETURN_IF_ERROR(CheckTurn());
    ASSIGN_OR_RETURN(const std::vector<Pod> pods, ListPodsOf(quiesces_, cluster_, call_));
    ASSIGN_OR_RETURN(const std::vector<HeldContainer> containers, ChooseContainers(quiesces_, pods));
    RETURN_IF_ERROR(HoldAll(containers));
    const StatusOr<BackupState> made = MakeBackup();
    Status held = JudgeHolds();  // before anything is let go
    if (held.ok() && made.ok()) held = JudgeNewcomers();
    const Status released = LetGoOfAll();
    if (made.ok() && held.ok() && HasMadeSnapshots(made->phase)) return Describe(*made, released);
    TakeBack();
    if (context_.stop.stop_requested()) return Stopped(made.status());
    if (!held.ok()) return held;
    if (!made.ok()) return made.status();
    return WithHint(Unavailable("another backup took Velero's turn while the application was held still"),
                    "The next attempt waits for it; see who else asks this Velero for backups.");
  }

 private:
  void Log(const std::string& line) const {
    if (context_.log) context_.log("salvor-agent", line);
  }

  // Of this run and these namespaces, each that would still count. Velero goes on with it, and nobody takes it.
  Status GiveUp(const std::string& why, const kubernetes::Call& call) {
    ASSIGN_OR_RETURN(const std::vector<BackupState> existing,
                     ListAll(cluster_, Backups(), velero_,
                             std::string(kRunLabel) + "=" + action_.backup().run(), ReadBackup, call));
    for (const BackupState& backup : existing) {
      if (IsDead(backup) || !IsOfAction(backup, action_.backup())) continue;
      if (backup.stage == Stage::kWaiting && Remove(backup, call)) continue;
      Log(fmt::format("Velero's backup {} does not count: {}", backup.name, why));
      const Json patch = {{"metadata", {{"annotations", {{kGivenUpAnnotation, why}}}}}};
      const kubernetes::ObjectKey key{Backups(), velero_, backup.name};
      const auto patched = cluster_.Patch(key, kubernetes::PatchKind::kMerge, patch, {}, call);
      if (!patched.ok() && !kubernetes::IsNotFound(patched.status())) return patched.status();
    }
    return OkStatus();
  }

  // One that Velero has not begun need not be made at all.
  bool Remove(const BackupState& backup, const kubernetes::Call& call) {
    kubernetes::DeleteOptions as_it_was;
    as_it_was.uid = backup.uid;
    as_it_was.resource_version = backup.resource_version;
    if (!cluster_.Delete({Backups(), velero_, backup.name}, as_it_was, call).ok()) return false;
    Log("took Velero's backup " + backup.name + " back");
    took_back_ = true;
    return true;
  }

  Status CheckTurn() {
    ASSIGN_OR_RETURN(const std::vector<BackupState> all,
                     ListAll(cluster_, Backups(), velero_, "", ReadBackup, call_));
    const int ahead = CountAhead({}, all);
    if (ahead == 0) return OkStatus();
    return WithHint(
        Unavailable("Velero has {} backup{} to make before ours, and the application is not held still "
                    "for as long",
                    ahead, ahead == 1 ? "" : "s"),
        "The next attempt looks again.");
  }

  Status HoldAll(const std::vector<HeldContainer>& containers) {
    deadline_ = context_.deadline;
    for (const HeldContainer& container : containers) {
      Log(fmt::format("holding pod {} still", Key(container.name_space, container.pod)));
      auto log = [this, pod = container.pod](std::string_view line) {
        if (context_.log) context_.log(pod, line);
      };
      holds_.push_back(
          std::make_unique<PodHold>(cluster_, container, std::move(log), [this] { enough_.request_stop(); }));
      if (Status begun = holds_.back()->Begin(call_); !begun.ok()) {
        (void)LetGoOfAll();
        return begun;
      }
      deadline_ = std::min(deadline_, holds_.back()->Deadline());
    }
    return OkStatus();
  }

  // Ends when the snapshots are made, when another backup has taken the turn, or with the first hold.
  StatusOr<BackupState> MakeBackup() {
    const std::stop_callback on_stop(context_.stop, [this] { enough_.request_stop(); });
    agent::ActionContext until{context_.config, context_.tools,    context_.task, enough_.get_token(),
                               deadline_,       context_.progress, context_.log,  context_.scratch};
    return MakeVeleroBackup(action_.backup(), until, options_, cluster_, [this](const BackupState& backup) {
      return HasMadeSnapshots(backup.phase) || (backup.stage == Stage::kWaiting && HasLostTurn(backup));
    });
  }

  bool HasLostTurn(const BackupState& backup) {
    const auto all = ListAll(cluster_, Backups(), velero_, "", ReadBackup, CallWithin(context_, kAside));
    return all.ok() && CountAhead(backup, *all) > 0;
  }

  Status JudgeHolds() {
    for (const std::unique_ptr<PodHold>& hold : holds_) {
      if (hold->IsHeld()) continue;
      const HeldContainer& container = hold->Container();
      const std::string pod = Key(container.name_space, container.pod);
      if (SteadyNow() < hold->Deadline()) {
        return WithHint(
            Unavailable("pod {} was let go before the snapshots were made: the command that held it "
                        "still ended",
                        pod),
            "The next attempt holds it still again; see whether the pod was restarted.");
      }
      return WithHint(
          FailedPrecondition("pod {} was let go at its deadline, before the snapshots were made", pod),
          "Give it more time in quiesce.deadline, or keep the volumes by snapshots, which are made sooner "
          "than files are read.");
    }
    return OkStatus();
  }

  // Nobody holds still what began meanwhile.
  Status JudgeNewcomers() {
    ASSIGN_OR_RETURN(const std::vector<Pod> pods,
                     ListPodsOf(quiesces_, cluster_, CallWithin(context_, kAside)));
    ASSIGN_OR_RETURN(const std::vector<HeldContainer> now, ChooseToRelease(quiesces_, pods));
    for (const HeldContainer& one : now) {
      const bool is_held = std::any_of(holds_.begin(), holds_.end(), [&](const auto& hold) {
        const HeldContainer& held = hold->Container();
        return held.name_space == one.name_space && held.pod == one.pod && held.container == one.container;
      });
      if (is_held) continue;
      return WithHint(Unavailable("pod {} began while the application was held still, and was not held",
                                  Key(one.name_space, one.pod)),
                      "The next attempt holds it still, too.");
    }
    return OkStatus();
  }

  Status Stopped(const Status& made) const {
    if (took_back_ || made.code() != absl::StatusCode::kCancelled)
      return Cancelled("stopped on request; the application goes on again");
    return WithHint(Cancelled("{}; the application goes on again", MessageOf(made)), HintOf(made));
  }

  Status LetGoOfAll() {
    Status first;
    for (const std::unique_ptr<PodHold>& hold : holds_) {
      const Status released = hold->LetGo();
      Log(fmt::format(
          "pod {}: {}", hold->Container().pod,
          released.ok() ? "goes on again after " + HumanDuration(hold->HeldFor()) : MessageOf(released)));
      if (first.ok()) first = released;
    }
    return first;
  }

  // What was made of an application that was not held still, or is not worth holding it still for.
  void TakeBack() {
    const kubernetes::Call call{{}, SteadyNow() + kAside};
    const Status given_up = GiveUp("the application was not held still until its snapshots were made", call);
    if (!given_up.ok()) Log(MessageOf(given_up));
  }

  v1::ActionResult Describe(const BackupState& made, const Status& released) {
    v1::ActionResult result;
    v1::VeleroReport* report = result.mutable_velero();
    report->set_backup(made.name);
    report->set_velero_namespace(velero_);
    for (const std::unique_ptr<PodHold>& hold : holds_) {
      v1::VeleroReport::HeldPod* held = report->add_held_pods();
      held->set_component(hold->Container().quiesce->component());
      held->set_pod(hold->Container().pod);
      held->set_held_ms(absl::ToInt64Milliseconds(hold->HeldFor()));
    }
    // The snapshots are good all the same; the obligation stands until somebody has released it.
    if (!released.ok()) result.add_warnings("an application may still be held still: " + MessageOf(released));
    return result;
  }

  const v1::VeleroSnapshot& action_;
  const std::vector<v1::PodQuiesce> quiesces_;
  agent::ActionContext& context_;
  const VeleroOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string velero_;
  const kubernetes::Call call_;
  SteadyTime deadline_ = SteadyTime::InfiniteFuture();
  std::stop_source enough_;
  bool took_back_ = false;
  std::vector<std::unique_ptr<PodHold>> holds_;  // the last: their threads use the rest
};

// One container's; OK where its pod is gone, for then nothing is held still.
Status ReleaseOne(const HeldContainer& container, kubernetes::Kubernetes& cluster,
                  const agent::ActionContext& context) {
  kubernetes::ExecCommand command;
  command.name_space = container.name_space;
  command.pod = container.pod;
  command.container = container.container;
  command.argv = {container.quiesce->release().begin(), container.quiesce->release().end()};
  command.on_stderr = [&context, &container](std::string_view text) {
    if (context.log) context.log(container.pod, Trim(text));
    return OkStatus();
  };
  const StatusOr<int> ended = cluster.Exec(command, CallWithin(context, kReleaseTime));
  if (kubernetes::IsNotFound(ended.status())) return OkStatus();
  if (!ended.ok()) return WithExecHint(ended.status(), container);
  if (*ended == 0) return OkStatus();
  return Unavailable("the release in pod {} ended with {}", Key(container.name_space, container.pod), *ended);
}

}  // namespace

StatusOr<v1::ActionResult> RunVeleroSlot(const v1::VeleroSlot& action, agent::ActionContext& context,
                                         const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> shared, options.clusters(action.cluster()));
  kubernetes::Kubernetes& cluster = *shared;
  const std::string velero_namespace = NamespaceOf(action.cluster());
  std::mutex mutex;
  std::condition_variable_any changed;
  while (true) {
    const auto all =
        ListAll(cluster, Backups(), velero_namespace, "", ReadBackup, {context.stop, context.deadline});
    if (!all.ok() && (!IsPassing(all.status()) || SteadyNow() >= context.deadline)) return all.status();
    const int ahead = all.ok() ? CountAhead({}, *all) : -1;
    if (ahead == 0) return v1::ActionResult();
    v1::Progress progress;
    progress.set_message(ahead < 0 ? "waiting for the cluster"
                                   : fmt::format("waiting for {} backup{} of Velero before ours", ahead,
                                                 ahead == 1 ? "" : "s"));
    if (context.progress) context.progress(progress);
    if (context.stop.stop_requested()) return Cancelled("stopped on request");
    if (SteadyNow() >= context.deadline) {
      return WithHint(
          FailedPrecondition("Velero had other backups to make for all of the time that there was"),
          "See which: velero -n " + velero_namespace + " backup get");
    }
    std::unique_lock lock(mutex);
    changed.wait_for(lock, context.stop, absl::ToChronoMilliseconds(options.look_every),
                     [] { return false; });
  }
}

StatusOr<v1::ActionResult> RunVeleroSnapshot(const v1::VeleroSnapshot& action, agent::ActionContext& context,
                                             const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster,
                   options.clusters(action.backup().cluster()));
  return VeleroSnapshotRun(action, context, options, *cluster).Run();
}

StatusOr<v1::ActionResult> RunVeleroRelease(const v1::VeleroRelease& action, agent::ActionContext& context,
                                            const VeleroOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.clusters(action.cluster()));
  const std::vector<v1::PodQuiesce> quiesces(action.quiesces().begin(), action.quiesces().end());
  ASSIGN_OR_RETURN(const std::vector<Pod> pods,
                   ListPodsOf(quiesces, *cluster, {context.stop, context.deadline}));
  ASSIGN_OR_RETURN(const std::vector<HeldContainer> containers, ChooseToRelease(quiesces, pods));
  Status first;
  for (const HeldContainer& container : containers) {
    const Status released = ReleaseOne(container, *cluster, context);
    if (!released.ok() && context.log) context.log("salvor-agent", MessageOf(released));
    if (first.ok()) first = released;
  }
  RETURN_IF_ERROR(first);
  return v1::ActionResult();
}

}  // namespace salvor::velero
