#include "agent/kubernetes/movers/actions/mover_action.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/movers/actions/log_follower.h"
#include "agent/kubernetes/movers/mover_job.h"
#include "agent/kubernetes/movers/mover_output.h"
#include "agent/kubernetes/movers/mover_result.h"
#include "agent/kubernetes/movers/mover_state.h"
#include "agent/kubernetes/velero/resources.h"
#include "agent/work/registry.h"
#include "base/text.h"

namespace salvor::movers {
namespace {

using kubernetes::TextAt;
using velero::Pods;

constexpr absl::Duration kLookAtMost = absl::Seconds(20);
constexpr int kMoreLines = 100;  // beside the parts of a result, at the end of a log

bool IsPassing(const Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kOutOfRange;
}

class MoverRun {
 public:
  MoverRun(agent::ActionContext& context, const MoverOptions& options, kubernetes::Kubernetes& cluster)
      : context_(context),
        options_(options),
        cluster_(cluster),
        salvor_(options.name_space),
        name_(JobName(context.task.lease())),
        call_{context.stop, context.deadline} {}

  StatusOr<v1::ActionResult> Run() {
    RETURN_IF_ERROR(EndOtherAttempts());
    ASSIGN_OR_RETURN(uid_, FindOrMake());
    StatusOr<v1::ActionResult> result = Await();
    follower_.reset();
    // Nothing works there any more once it has ended, and a result must not wait for the garbage collector.
    const Status removed = has_ended_ ? AskToGo(name_, uid_) : Remove(name_, uid_);
    if (!removed.ok()) Log(fmt::format("the mover's Job {} stays for now: {}", name_, MessageOf(removed)));
    return result;
  }

 private:
  kubernetes::Call Aside(absl::Duration within) const { return {{}, SteadyNow() + within}; }

  void Log(const std::string& line) const {
    if (context_.log) context_.log("salvor-agent", line);
  }

  // One that a killed executor left, or that another executor made which is thought to be gone. Two of a step never work
  // beside each other.
  Status EndOtherAttempts() {
    const v1::LeaseKey& lease = context_.task.lease();
    std::map<std::string, std::string> others;  // name to uid
    int latest = 0;
    kubernetes::ListOptions of_step;
    of_step.selection.labels = std::string(kStepLabel) + "=" + StepDigest(lease);
    const auto listed = cluster_.List(
        Jobs(), salvor_, of_step,
        [&](const Json& job) {
          const std::string name = TextAt(job, {"metadata", "name"});
          latest = std::max(latest, AttemptOf(job));
          if (name != name_) others[name] = TextAt(job, {"metadata", "uid"});
          return OkStatus();
        },
        call_);
    if (!listed.ok()) return Explain(listed.status(), "look for movers");
    if (latest > lease.attempt())
      return Aborted("attempt {} of this step is at work already, and this one is number {}", latest,
                     lease.attempt());
    for (const auto& [name, uid] : others) {
      Log("ending the mover of an earlier attempt, " + name);
      RETURN_IF_ERROR_IN(Remove(name, uid), "end the mover of an earlier attempt, " + name);
    }
    return OkStatus();
  }

  // The answer is its uid.
  StatusOr<std::string> FindOrMake() {
    const auto pod_template = cluster_.Get({PodTemplates(), salvor_, options_.pod_template}, call_);
    if (kubernetes::IsNotFound(pod_template.status())) {
      return WithHint(
          FailedPrecondition("there is no pod template {} in namespace {}, which movers are made of",
                             options_.pod_template, salvor_),
          "Apply deploy/kubernetes once more.");
    }
    if (!pod_template.ok()) return Explain(pod_template.status(), "read how movers are made");
    const absl::Duration left = context_.deadline - SteadyNow();
    ASSIGN_OR_RETURN(const Json job, MakeJob(*pod_template, context_.task, left));
    for (int tries = 0; tries < 3; ++tries) {
      const auto made = cluster_.Create(Jobs(), salvor_, job, {}, call_);
      if (made.ok()) {
        Log("made the mover's Job " + name_);
        return TextAt(*made, {"metadata", "uid"});
      }
      // Nobody knows whether it was made where no answer came.
      if (made.status().code() == absl::StatusCode::kCancelled) RemoveIfMade();
      if (!kubernetes::IsAlreadyExists(made.status()) && !IsPassing(made.status()))
        return Explain(made.status(), "make a mover's Job");
      const auto taken = cluster_.Get({Jobs(), salvor_, name_}, call_);
      if (kubernetes::IsNotFound(taken.status())) continue;
      RETURN_IF_ERROR(taken.status());
      const std::string uid = TextAt(*taken, {"metadata", "uid"});
      if (!IsOfTask(*taken, context_.task)) {
        return WithHint(FailedPrecondition("there is a Job {} in namespace {} that this attempt did not make",
                                           name_, salvor_),
                        fmt::format("See whose it is: kubectl -n {} get job {} -o yaml", salvor_, name_));
      }
      // This attempt's own, of the executor's last life, which was removing it.
      if (!TextAt(*taken, {"metadata", "deletionTimestamp"}).empty()) {
        RETURN_IF_ERROR(
            kubernetes::WaitUntilGone(cluster_, {Jobs(), salvor_, name_}, uid, Aside(options_.gone_within)));
        continue;
      }
      Log("going on with the mover's Job " + name_);
      return uid;
    }
    return Unavailable("the mover's Job {} comes and goes", name_);
  }

  void RemoveIfMade() {
    const auto made = cluster_.Get({Jobs(), salvor_, name_}, Aside(options_.gone_within));
    if (!made.ok() || !IsOfTask(*made, context_.task)) return;
    const Status removed = Remove(name_, TextAt(*made, {"metadata", "uid"}));
    if (!removed.ok()) Log(fmt::format("the mover's Job {} stays for now: {}", name_, MessageOf(removed)));
  }

  StatusOr<v1::ActionResult> Await() {
    const SteadyTime began = options_.now();
    SteadyTime answered = began;
    bool has_run = false;
    while (true) {
      if (context_.stop.stop_requested()) return Cancelled("stopped, and its mover with it");
      if (SteadyNow() >= context_.deadline)
        return DeadlineExceeded("the mover did not end in time{}", last_.empty() ? "" : ": " + last_);
      const StatusOr<MoverState> state = Look();
      if (!state.ok()) {
        if (!IsPassing(state.status())) return state.status();
        if (options_.now() - answered > options_.away_within)
          return WithContext(state.status(), "waiting for the mover");
        Pause();
        continue;
      }
      answered = options_.now();
      has_run = has_run || state->stage == MoverState::Stage::kRunning;
      if (state->stage == MoverState::Stage::kEnded) return TakeResult(*state);
      if (state->stage == MoverState::Stage::kLost) return LostAs(*state);
      if (state->stage == MoverState::Stage::kRunning) {
        Follow(state->pod);
      } else {
        Tell("the mover waits: " + state->reason);
        if (state->is_hopeless || (!has_run && options_.now() - began > options_.start_within))
          return NeverBegan(*state);
      }
      Pause();
    }
  }

  StatusOr<MoverState> Look() {
    const kubernetes::Call call{context_.stop, std::min(context_.deadline, SteadyNow() + kLookAtMost)};
    const auto job = cluster_.Get({Jobs(), salvor_, name_}, call);
    if (kubernetes::IsNotFound(job.status()) || (job.ok() && TextAt(*job, {"metadata", "uid"}) != uid_)) {
      return WithHint(Aborted("the mover's Job {} was deleted by somebody else", name_),
                      "The next attempt makes another one.");
    }
    RETURN_IF_ERROR(job.status());
    std::vector<Json> pods;
    kubernetes::ListOptions of_job;
    of_job.selection.labels = std::string(kJobLabel) + "=" + name_;
    const auto listed = cluster_.List(
        Pods(), salvor_, of_job,
        [&](Json pod) {
          pods.push_back(std::move(pod));
          return OkStatus();
        },
        call);
    RETURN_IF_ERROR(listed.status());
    return JudgeMover(*job, pods);
  }

  void Follow(const std::string& pod) {
    if (follower_ != nullptr) return;
    Log("the mover runs, in pod " + pod);
    follower_ = std::make_unique<LogFollower>(cluster_, context_, salvor_, pod, options_.look_every);
  }

  StatusOr<v1::ActionResult> TakeResult(const MoverState& state) {
    has_ended_ = true;
    Follow(state.pod);  // also where it ran between two looks
    follower_->Finish(options_.last_lines_within);
    const auto message = ReadTermination(state.message, name_);
    if (!message.ok())
      return WithContext(message.status(), fmt::format("{}, and left no result", state.reason));
    std::map<int, std::string> parts;
    if (message->parts > 0) {
      kubernetes::LogOptions options;
      options.container = kContainer;
      options.tail_lines = message->parts + kMoreLines;
      const Status read = cluster_.Logs(
          salvor_, state.pod, options,
          [&](std::string_view line) {
            OutputLine one = ReadLine(line);
            if (one.kind == OutputLine::Kind::kResult) parts[one.number] = std::move(one.text);
            return OkStatus();
          },
          Aside(kLookAtMost * 3));
      if (!read.ok()) return Aborted("the mover's result can't be read from its log: {}", MessageOf(read));
    }
    StatusOr<v1::ActionResult> result = DecodeResult(*message, parts);
    // Its node was drained, say: nobody cancelled the step.
    const bool was_told_to_end = result.ok() && result->error().reason() == v1::Error::REASON_CANCELLED;
    if (was_told_to_end && !context_.stop.stop_requested())
      return Aborted("the mover's pod was told to end before it had done its work");
    return result;
  }

  Status LostAs(const MoverState& state) const {
    if (state.is_out_of_time) return DeadlineExceeded("the mover did not end in time: {}", state.reason);
    return WithHint(Aborted("the mover was lost: {}", state.reason),
                    "The next attempt makes another one. What it may use stands in the pod template " +
                        options_.pod_template + ".");
  }

  Status NeverBegan(const MoverState& state) const {
    return WithHint(
        Unavailable("the mover did not begin: {}", state.reason),
        fmt::format("See what its pod waits for: kubectl -n {} describe pod -l {}={}; its image and "
                    "what it wants of a node stand in the pod template {}.",
                    salvor_, velero::kRunLabel, context_.task.lease().run(), options_.pod_template));
  }

  // Also after a cancel: with what is left of the Job's own time to end well. A precondition holds that it is the one
  // which was looked at.
  Status Remove(const std::string& name, const std::string& uid) {
    RETURN_IF_ERROR(AskToGo(name, uid));
    return kubernetes::WaitUntilGone(cluster_, {Jobs(), salvor_, name}, uid, Aside(options_.gone_within));
  }

  Status AskToGo(const std::string& name, const std::string& uid) {
    kubernetes::DeleteOptions only_it;
    only_it.uid = uid;
    only_it.propagation = kubernetes::Propagation::kForeground;
    const Status asked = cluster_.Delete({Jobs(), salvor_, name}, only_it, Aside(options_.gone_within));
    return kubernetes::IsNotFound(asked) || kubernetes::IsConflict(asked) ? OkStatus() : asked;
  }

  // The whole of what has to be done where a right is missing.
  static Status Explain(const Status& status, const std::string& what) {
    if (!kubernetes::IsForbidden(status)) return WithContext(status, what);
    return WithHint(PermissionDenied("{}: {}", what, MessageOf(status)),
                    "Apply deploy/kubernetes/rights.yaml, which has what movers need.");
  }

  void Tell(const std::string& message) {
    if (message != last_) Log(message);
    last_ = message;
    v1::Progress progress;
    progress.set_message(message);
    if (context_.progress) context_.progress(progress);
  }

  void Pause() {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any changed;
    changed.wait_for(lock, context_.stop, absl::ToChronoMilliseconds(options_.look_every),
                     [] { return false; });
  }

  agent::ActionContext& context_;
  const MoverOptions& options_;
  kubernetes::Kubernetes& cluster_;
  const std::string salvor_, name_;
  const kubernetes::Call call_;
  std::string uid_;
  std::string last_;  // what was told
  bool has_ended_ = false;
  std::unique_ptr<LogFollower> follower_;
};

}  // namespace

StatusOr<v1::ActionResult> RunInMover(const v1::Action&, agent::ActionContext& context,
                                      const MoverOptions& options) {
  ASSIGN_OR_RETURN(const std::shared_ptr<kubernetes::Kubernetes> cluster, options.cluster());
  return MoverRun(context, options, *cluster).Run();
}

void RegisterMovers(agent::ActionRegistry& registry, const std::vector<std::string>& kinds,
                    const MoverOptions& options) {
  for (const std::string& kind : kinds) {
    agent::ActionEntry entry;
    entry.run = [options](const v1::Action& action, agent::ActionContext& context) {
      return RunInMover(action, context, options);
    };
    entry.resumable = true;
    agent::AddAction(registry, kind, std::move(entry));
  }
}

}  // namespace salvor::movers
