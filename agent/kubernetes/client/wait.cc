#include "agent/kubernetes/client/wait.h"

#include <fmt/core.h>

#include <utility>

#include "agent/kubernetes/client/backoff.h"
#include "agent/kubernetes/client/call.h"

namespace salvor::kubernetes {
namespace {

// The last answer of is_done.
struct Answer {
  Status error = OkStatus();
  bool is_done = false;
  Json object;
};

void Ask(const std::function<StatusOr<bool>(const Json*)>& is_done, const Json* object, Answer& answer) {
  const StatusOr<bool> said = is_done(object);
  answer.error = said.ok() ? OkStatus() : said.status();
  answer.is_done = said.ok() && *said;
  if (answer.is_done && object != nullptr) answer.object = *object;
}

// Asks about the object in a list of its own: a watch goes on at the list's resourceVersion, and an absent object has
// none.
StatusOr<std::string> AskNow(Kubernetes& kubernetes, const ObjectKey& key, const Selection& selection,
                             const std::function<StatusOr<bool>(const Json*)>& is_done, const Call& call,
                             Answer& answer) {
  Json found;
  ListOptions options;
  options.selection = selection;
  ASSIGN_OR_RETURN(std::string resource_version, kubernetes.List(
                                                     key.type, key.name_space, options,
                                                     [&](Json item) {
                                                       found = std::move(item);
                                                       return OkStatus();
                                                     },
                                                     call));
  Ask(is_done, found.is_null() ? nullptr : &found, answer);
  return resource_version;
}

}  // namespace

StatusOr<Json> WaitUntil(Kubernetes& kubernetes, const ObjectKey& key,
                         const std::function<StatusOr<bool>(const Json* object)>& is_done, const Call& call) {
  const Selection selection{"", "metadata.name=" + key.name};
  Answer answer;
  for (int lists = 1;; ++lists) {
    ASSIGN_OR_RETURN(const std::string from, AskNow(kubernetes, key, selection, is_done, call, answer));
    RETURN_IF_ERROR(answer.error);
    if (answer.is_done) return std::move(answer.object);
    const Status ended = kubernetes.Watch(
        key.type, key.name_space, WatchOptions{selection, from},
        [&](const Event& event) {
          Ask(is_done, event.type == Event::Type::kDeleted ? nullptr : &event.object, answer);
          return answer.error.ok() && !answer.is_done;
        },
        call);
    RETURN_IF_ERROR(answer.error);
    if (answer.is_done) return std::move(answer.object);
    const std::string what = fmt::format("wait for {}", key.Text());
    if (!ended.ok() && !IsGone(ended)) return WithContext(ended, what);
    RETURN_IF_ERROR(Pause(call, PauseAfter({}, lists, Jitter(), {}), what));
  }
}

Status WaitUntilGone(Kubernetes& kubernetes, const ObjectKey& key, const std::string& uid, const Call& call) {
  const StatusOr<Json> gone = WaitUntil(
      kubernetes, key,
      [&](const Json* object) -> StatusOr<bool> {
        return object == nullptr || (!uid.empty() && TextAt(*object, {"metadata", "uid"}) != uid);
      },
      call);
  return gone.ok() ? OkStatus() : gone.status();
}

}  // namespace salvor::kubernetes
