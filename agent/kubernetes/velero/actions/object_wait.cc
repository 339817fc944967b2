#include "agent/kubernetes/velero/actions/object_wait.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "agent/kubernetes/client/wait.h"

namespace salvor::velero {

std::string CannotLook(const Status& why) { return "Velero can't be asked how far it is: " + MessageOf(why); }

ObjectWait::ObjectWait(std::string what, const agent::ActionContext& context, const VeleroOptions& options,
                       kubernetes::Kubernetes& cluster)
    : what_(std::move(what)), context_(context), options_(options), cluster_(cluster) {}

StatusOr<WaitEnd> ObjectWait::Until(const kubernetes::ObjectKey& key, const ObjectEyes& eyes) {
  bool was_seen = false;
  const auto is_over = [&](const Json* object) -> StatusOr<bool> {
    refused_since_.reset();
    if (object == nullptr) return true;
    was_seen = true;
    const bool over = eyes.see(*object);
    Tell(eyes);
    return over;
  };
  while (true) {
    const auto seen =
        kubernetes::WaitUntil(cluster_, key, is_over, CallWithin(context_, options_.look_every));
    if (context_.stop.stop_requested()) return WaitEnd::kStopped;
    if (seen.ok()) return seen->is_null() ? WaitEnd::kGone : WaitEnd::kOver;
    if (!IsPassing(seen.status()) && !MayPass(seen.status())) return seen.status();
    if (SteadyNow() >= context_.deadline) return WaitEnd::kLate;
    if (was_seen) Look(eyes);
  }
}

std::string ObjectWait::LastTold() const {
  const std::string& last = stalled_.empty() ? told_ : stalled_;
  return last.empty() ? "" : "; " + last;
}

void ObjectWait::Log(const std::string& line) const {
  if (context_.log) context_.log("salvor-agent", line);
}

void ObjectWait::Tell(const ObjectEyes& eyes) {
  v1::Progress progress = eyes.describe();
  told_ = progress.message();
  if (!stalled_.empty()) progress.set_message(stalled_);
  if (context_.progress) context_.progress(progress);
}

void ObjectWait::Look(const ObjectEyes& eyes) {
  const std::optional<std::string> stalled = eyes.look();
  if (stalled.has_value() && stalled_.empty()) Log(*stalled);
  stalled_ = stalled.value_or("");
  Tell(eyes);
}

// An API server that is started anew refuses everybody until it knows the rights, and what stands before one answers with
// pages of its own meanwhile (kubernetes/kubernetes#121635).
bool ObjectWait::MayPass(const Status& refusal) {
  const bool is_refusal = refusal.code() == absl::StatusCode::kPermissionDenied ||
                          refusal.code() == absl::StatusCode::kUnauthenticated ||
                          refusal.code() == absl::StatusCode::kInternal;
  if (!is_refusal) return false;
  if (!refused_since_.has_value()) {
    refused_since_ = options_.now();
    Log(fmt::format("waiting for {} all the same: {}", what_, MessageOf(refusal)));
  }
  if (options_.now() - *refused_since_ >= options_.refusals_pass_within) return false;
  Pause();
  return true;
}

// As long as between two looks; a stop request ends it.
void ObjectWait::Pause() const {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any changed;
  changed.wait_for(lock, context_.stop, absl::ToChronoMilliseconds(options_.look_every),
                   [] { return false; });
}

}  // namespace salvor::velero
