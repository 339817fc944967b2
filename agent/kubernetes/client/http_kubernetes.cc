#include "agent/kubernetes/client/http_kubernetes.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "agent/kubernetes/client/access_cache.h"
#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/http_requests.h"
#include "agent/kubernetes/client/http_session.h"
#include "agent/kubernetes/client/lines.h"
#include "agent/kubernetes/client/query.h"
#include "agent/kubernetes/client/watch_stream.h"
#include "base/io/log.h"
#include "base/io/steady_clock.h"

namespace salvor::kubernetes {
namespace {

constexpr size_t kLogPieceAtMost = 64 << 10;
constexpr absl::Duration kForever = absl::InfiniteDuration();

// Ends a connection whose callback has seen enough; never leaves this file.
Status SeenEnough() { return Aborted("seen enough"); }

StatusOr<Json> ParseAnswer(const std::string& body, const ApiRequest& request) {
  Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded())
    return Internal("{} {}: the API server's answer is no JSON", request.verb, request.resource);
  return json;
}

// The failures in a row of one call, and whether it goes on.
class Patience {
 public:
  Patience(const HttpOptions& options, absl::Duration patience) : options_(options), patience_(patience) {}

  // Waits, and returns OK where there is time for another try, else the error. Where patience has no end, only the
  // call's own end is one.
  Status Wait(const Status& error, const Call& call, std::string_view what) {
    const SteadyTime now = SteadyNow();
    if (failures_ == 0) give_up_at_ = now + patience_;
    const auto said = ApiErrorOf(error);
    const absl::Duration pause =
        PauseAfter(options_.backoff, ++failures_, Jitter(), said ? said->retry_after : std::nullopt);
    if (patience_ != kForever && now + pause > std::min(give_up_at_, call.deadline)) return error;
    return Pause(call, pause, what);
  }

  bool MayLogInAgain() { return ++refusals_ <= 1; }
  void Forget() { failures_ = refusals_ = 0; }

 private:
  const HttpOptions& options_;
  const absl::Duration patience_;
  SteadyTime give_up_at_ = SteadyTime::InfiniteFuture();
  int failures_ = 0;
  int refusals_ = 0;
};

class HttpKubernetes final : public Kubernetes {
 public:
  HttpKubernetes(AccessLoader access, const HttpOptions& options)
      : options_(options), access_(std::move(access)), sessions_(options.body_at_most) {}

  StatusOr<Json> Get(const ObjectKey& key, const Call& call) override {
    RETURN_IF_ERROR(CheckKey(key));
    return Ask({.what = About("get", key), .path = key.Path()}, call);
  }

  StatusOr<std::string> List(const ResourceType& type, const std::string& name_space,
                             const ListOptions& options, const std::function<Status(Json item)>& on_item,
                             const Call& call) override;

  Status Watch(const ResourceType& type, const std::string& name_space, const WatchOptions& options,
               const std::function<bool(const Event& event)>& on_event, const Call& call) override;

  StatusOr<Json> Create(const ResourceType& type, const std::string& name_space, const Json& object,
                        const WriteOptions& options, const Call& call) override {
    if (type.is_namespaced) RETURN_IF_ERROR(CheckPathName("namespace", name_space));
    return Ask(CreateRequest(type, name_space, object, options), call);
  }

  StatusOr<Json> Apply(const ObjectKey& key, const Json& object, const ApplyOptions& options,
                       const Call& call) override {
    RETURN_IF_ERROR(CheckKey(key));
    return Ask(ApplyRequest(key, object, options), call);
  }

  StatusOr<Json> Patch(const ObjectKey& key, PatchKind kind, const Json& patch, const WriteOptions& options,
                       const Call& call) override {
    RETURN_IF_ERROR(CheckKey(key));
    return Ask(PatchRequest(key, kind, patch, options), call);
  }

  Status Delete(const ObjectKey& key, const DeleteOptions& options, const Call& call) override;

  Status Logs(const std::string& name_space, const std::string& pod, const LogOptions& options,
              const std::function<Status(std::string_view line)>& on_line, const Call& call) override;

  StatusOr<int> Exec(const ExecCommand& command, const Call& call) override;

  StatusOr<ServerVersion> Version(const Call& call) override {
    ASSIGN_OR_RETURN(const Json answer, Ask({.what = {"get", "/version", "", ""}, .path = "/version"}, call));
    return ReadServerVersion(answer);
  }

  StatusOr<std::vector<ServedResource>> Discover(const std::string& group, const std::string& version,
                                                 const Call& call) override {
    const std::string path = ResourceType{group, version, "", false}.ApiPath();
    const StatusOr<Json> answer = Ask({.what = {"get", path, "", ""}, .path = path}, call);
    if (kubernetes::IsNotFound(answer.status())) return std::vector<ServedResource>();
    RETURN_IF_ERROR(answer.status());
    return ReadServedResources(*answer, group, version);
  }

 private:
  // One request, and once more with fresh credentials where they were refused.
  struct Tried {
    Status status;
    bool may_have_begun = true;
    std::string body;
  };
  Tried Try(const HttpRequest& request, const BodySink& sink, absl::Duration timeout, const Call& call,
            Patience& patience);

  // The body of a good answer, after as many tries as it takes.
  StatusOr<std::string> Send(const HttpRequest& request, const BodySink& sink, absl::Duration timeout,
                             const Call& call);
  StatusOr<Json> Ask(const HttpRequest& request, const Call& call) {
    ASSIGN_OR_RETURN(const std::string body, Send(request, nullptr, options_.answer_timeout, call));
    return ParseAnswer(body, request.what);
  }

  // One connection of a watch, to its end.
  Tried WatchOnce(const HttpRequest& request, WatchProgress& progress,
                  const std::function<bool(const Event& event)>& on_event, const Call& call,
                  Patience& patience);

  const HttpOptions options_;
  AccessCache access_;
  HttpSessions sessions_;
};

// Whether the error may go away by itself, and the request may be sent again.
bool MayTryAgain(const Status& error, bool is_safe) {
  return is_safe && error.code() == absl::StatusCode::kUnavailable;
}

HttpKubernetes::Tried HttpKubernetes::Try(const HttpRequest& request, const BodySink& sink,
                                          absl::Duration timeout, const Call& call, Patience& patience) {
  while (true) {
    const auto access = access_.Current(SteadyNow());
    if (!access.ok()) return {access.status(), false, ""};
    HttpOutcome outcome = sessions_.Send(**access, request, sink, timeout, call);
    if (!outcome.error.ok()) return {outcome.error, outcome.may_have_begun, ""};
    if (outcome.status / 100 == 2) return {OkStatus(), true, std::move(outcome.body)};
    if (outcome.status == 401) {
      access_.Refused(*access);
      if (patience.MayLogInAgain()) continue;
    }
    const bool is_untouched = outcome.status == 429;
    return {DecodeApiError(outcome.status, outcome.body, outcome.retry_after, request.what), !is_untouched,
            ""};
  }
}

StatusOr<std::string> HttpKubernetes::Send(const HttpRequest& request, const BodySink& sink,
                                           absl::Duration timeout, const Call& call) {
  const std::string what = request.what.verb + " " + request.what.resource;
  Patience patience(options_, options_.patience);
  while (true) {
    RETURN_IF_ERROR(CheckCall(call, what));
    Tried tried = Try(request, sink, timeout, call, patience);
    if (tried.status.ok()) return std::move(tried.body);
    if (!MayTryAgain(tried.status, request.is_repeatable || !tried.may_have_begun)) return tried.status;
    RETURN_IF_ERROR(patience.Wait(tried.status, call, what));
  }
}

StatusOr<std::string> HttpKubernetes::List(const ResourceType& type, const std::string& name_space,
                                           const ListOptions& options,
                                           const std::function<Status(Json item)>& on_item,
                                           const Call& call) {
  RETURN_IF_ERROR(CheckNamespace(type, name_space));
  std::string token;
  while (true) {
    HttpRequest request{.what = About("list", type, name_space)};
    request.path = type.Path(name_space) + ListQuery(options, token).Text();
    ASSIGN_OR_RETURN(Json answer, Ask(request, call));
    ASSIGN_OR_RETURN(ListPage page, ReadListPage(std::move(answer), type));
    for (Json& item : page.items) RETURN_IF_ERROR(on_item(std::move(item)));
    if (page.continue_token.empty()) return page.resource_version;
    if (page.continue_token == token)
      return Internal("the list of {} does not come to its end", type.FullName());
    token = page.continue_token;
  }
}

HttpKubernetes::Tried HttpKubernetes::WatchOnce(const HttpRequest& request, WatchProgress& progress,
                                                const std::function<bool(const Event& event)>& on_event,
                                                const Call& call, Patience& patience) {
  Lines lines(options_.line_at_most, Lines::Longer::kRefused, [&](std::string_view line) -> Status {
    ASSIGN_OR_RETURN(const std::optional<Event> event, progress.Read(line, request.what));
    patience.Forget();
    return !event || on_event(*event) ? OkStatus() : SeenEnough();
  });
  // A server that is gone without a word does not end its connection.
  const absl::Duration at_most = options_.watch_connection + absl::Seconds(30);
  return Try(
      request, [&lines](std::string_view piece) { return lines.Add(piece); }, at_most, call, patience);
}

Status HttpKubernetes::Watch(const ResourceType& type, const std::string& name_space,
                             const WatchOptions& options,
                             const std::function<bool(const Event& event)>& on_event, const Call& call) {
  const std::string what = "watch " + type.FullName();
  RETURN_IF_ERROR(CheckNamespace(type, name_space));
  if (options.resource_version.empty()) return InvalidArgument("{}: no resourceVersion to begin at", what);
  WatchProgress progress(options.resource_version);
  Patience patience(options_, kForever);
  while (true) {
    RETURN_IF_ERROR(CheckCall(call, what));
    HttpRequest request{.what = About("watch", type, name_space)};
    const int64_t seconds = std::max<int64_t>(1, absl::ToInt64Seconds(options_.watch_connection));
    request.path =
        type.Path(name_space) + WatchQuery(options.selection, progress.ResourceVersion(), seconds).Text();
    bool is_over = false;
    const auto on_each = [&](const Event& event) {
      is_over = !on_event(event);
      return !is_over;
    };
    const Tried tried = WatchOnce(request, progress, on_each, call, patience);
    if (is_over) return OkStatus();
    // A line that is no event is a proxy's complaint, or the end of a connection that broke.
    const bool is_broken = tried.status.code() == absl::StatusCode::kInternal;
    if (!tried.status.ok() && !is_broken && !MayTryAgain(tried.status, true)) return tried.status;
    if (is_broken) LogWarning("{}: {}", what, MessageOf(tried.status));
    const Status reason =
        tried.status.ok() ? Unavailable("{}: the server ends each watch at once", what) : tried.status;
    RETURN_IF_ERROR(patience.Wait(reason, call, what));
  }
}

Status HttpKubernetes::Delete(const ObjectKey& key, const DeleteOptions& options, const Call& call) {
  RETURN_IF_ERROR(CheckKey(key));
  return Send(DeleteRequest(key, options), nullptr, options_.answer_timeout, call).status();
}

Status HttpKubernetes::Logs(const std::string& name_space, const std::string& pod, const LogOptions& options,
                            const std::function<Status(std::string_view line)>& on_line, const Call& call) {
  const ObjectKey key{{"", "v1", "pods"}, name_space, pod};
  RETURN_IF_ERROR(CheckKey(key));
  HttpRequest request{.what = {"get", "pods/log", name_space, pod}};
  request.path = key.Path() + "/log" + LogQuery(options).Text();
  request.is_repeatable = false;  // a second answer would tell the same lines again
  Lines lines(kLogPieceAtMost, Lines::Longer::kInPieces, on_line);
  const absl::Duration timeout = options.follow ? kForever : options_.answer_timeout;
  RETURN_IF_ERROR(Send(
                      request, [&lines](std::string_view piece) { return lines.Add(piece); }, timeout, call)
                      .status());
  return lines.Finish();
}

StatusOr<int> HttpKubernetes::Exec(const ExecCommand& command, const Call& call) {
  const ObjectKey key{{"", "v1", "pods"}, command.name_space, command.pod};
  RETURN_IF_ERROR(CheckKey(key));
  if (command.argv.empty()) return InvalidArgument("exec in {}: no command", key.Text());
  const std::string path = key.Path() + "/exec" + ExecQuery(command).Text();
  const ApiRequest what{"create", "pods/exec", command.name_space, command.pod};
  Patience patience(options_, options_.patience);
  while (true) {
    RETURN_IF_ERROR(CheckCall(call, "exec"));
    ASSIGN_OR_RETURN(const auto access, access_.Current(SteadyNow()));
    ExecOutcome outcome = ExecOverWebSocket(*access, path, what, command, options_.exec, call);
    if (outcome.exit_code.ok()) return outcome.exit_code;
    const Status error = outcome.exit_code.status();
    if (error.code() == absl::StatusCode::kUnauthenticated && !outcome.may_have_begun) {
      access_.Refused(access);
      if (patience.MayLogInAgain()) continue;
    }
    if (!MayTryAgain(error, !outcome.may_have_begun)) return error;
    RETURN_IF_ERROR(patience.Wait(error, call, "exec"));
  }
}

}  // namespace

std::unique_ptr<Kubernetes> MakeHttpKubernetes(AccessLoader access, const HttpOptions& options) {
  return std::make_unique<HttpKubernetes>(std::move(access), options);
}

}  // namespace salvor::kubernetes
