#include "agent/kubernetes/client/http_session.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "agent/kubernetes/client/curl_access.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

constexpr size_t kIdleSessionsAtMost = 8;
constexpr size_t kErrorBodyAtMost = 1 << 20;

struct MultiDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};

// What arrives of one answer.
struct Arriving {
  CURL* easy;
  const BodySink& sink;
  size_t body_at_most;
  HttpOutcome outcome = {};
  bool is_cut = false;  // the body of an error that goes on and on

  int HttpStatus() const {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    return static_cast<int>(status);
  }

  bool Take(std::string_view piece) {
    const bool is_good = HttpStatus() / 100 == 2;
    if (is_good && sink) {
      outcome.error = sink(piece);
      return outcome.error.ok();
    }
    const size_t at_most = is_good ? body_at_most : kErrorBodyAtMost;
    if (outcome.body.size() + piece.size() > at_most) {
      is_cut = !is_good;
      if (is_good)
        outcome.error = ResourceExhausted("the API server's answer is longer than {} bytes", at_most);
      return false;
    }
    outcome.body.append(piece);
    return true;
  }
};

size_t OnBody(char* data, size_t size, size_t count, void* arriving) {
  const bool goes_on = static_cast<Arriving*>(arriving)->Take(std::string_view(data, size * count));
  return goes_on ? size * count : CURL_WRITEFUNC_ERROR;
}

size_t OnHeader(char* data, size_t size, size_t count, void* arriving) {
  constexpr std::string_view kRetryAfter = "retry-after:";
  const std::string_view line(data, size * count);
  const bool is_it =
      line.size() > kRetryAfter.size() &&
      std::equal(kRetryAfter.begin(), kRetryAfter.end(), line.begin(),
                 [](char wanted, char c) { return wanted == (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  if (is_it) static_cast<Arriving*>(arriving)->outcome.retry_after = Trim(line.substr(kRetryAfter.size()));
  return size * count;
}

// Runs the transfer. `ended` says why it was ended early, if it was.
CURLcode Drive(CURLM* multi, const Call& call, SteadyTime until, Status& ended) {
  const std::stop_callback wake(call.stop, [multi] { curl_multi_wakeup(multi); });
  while (true) {
    int running = 0;
    if (curl_multi_perform(multi, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    int left = 0;
    if (const CURLMsg* message = curl_multi_info_read(multi, &left); message != nullptr)
      return message->data.result;
    const SteadyTime now = SteadyNow();
    if (call.stop.stop_requested()) {
      ended = Cancelled("stopped");
    } else if (now >= call.deadline) {
      ended = DeadlineExceeded("out of time");
    } else if (now >= until) {
      ended = Unavailable("the API server's answer took too long");
    }
    if (!ended.ok()) return CURLE_ABORTED_BY_CALLBACK;
    const absl::Duration left_time = std::min({until - now, call.deadline - now, absl::Seconds(10)});
    const int wait_ms =
        static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left_time, absl::Milliseconds(1))));
    curl_multi_poll(multi, nullptr, 0, wait_ms, nullptr);
  }
}

CurlList Headers(const ClusterAccess& access, const HttpRequest& request) {
  CurlList headers;
  const auto add = [&headers](const std::string& line) {
    headers.reset(curl_slist_append(headers.release(), line.c_str()));
  };
  add("Accept: application/json");
  add("Expect:");
  if (!request.content_type.empty()) add("Content-Type: " + request.content_type);
  if (!access.token.empty()) add("Authorization: Bearer " + access.token);
  return headers;
}

}  // namespace

struct HttpSessions::Session {
  CurlEasy easy = NewCurlEasy();
  std::unique_ptr<CURLM, MultiDeleter> multi{easy ? curl_multi_init() : nullptr};  // owns the connections
};

HttpSessions::HttpSessions(size_t body_at_most) : body_at_most_(body_at_most) {}
HttpSessions::~HttpSessions() = default;

std::unique_ptr<HttpSessions::Session> HttpSessions::Take() {
  MutexLock lock(mutex_);
  if (idle_.empty()) return std::make_unique<Session>();
  std::unique_ptr<Session> session = std::move(idle_.back());
  idle_.pop_back();
  return session;
}

void HttpSessions::GiveBack(std::unique_ptr<Session> session) {
  curl_easy_reset(session->easy.get());
  MutexLock lock(mutex_);
  if (idle_.size() < kIdleSessionsAtMost) idle_.push_back(std::move(session));
}

HttpOutcome HttpSessions::Send(const ClusterAccess& access, const HttpRequest& request, const BodySink& sink,
                               absl::Duration timeout, const Call& call) {
  std::unique_ptr<Session> session = Take();
  if (!session->easy || !session->multi)
    return {.error = Internal("libcurl does not start"), .may_have_begun = false};
  CURL* easy = session->easy.get();
  const std::string url = access.server + request.path;
  char error_text[CURL_ERROR_SIZE];
  SetAccess(easy, access, url, error_text);
  const CurlList headers = Headers(access, request);
  Arriving arriving{easy, sink, body_at_most_};
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!request.body.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  }
  if (!request.is_repeatable) curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &arriving);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &arriving);

  Status ended = OkStatus();
  curl_multi_add_handle(session->multi.get(), easy);
  const CURLcode code = Drive(session->multi.get(), call, SteadyNow() + timeout, ended);
  curl_multi_remove_handle(session->multi.get(), easy);
  HttpOutcome outcome = std::move(arriving.outcome);
  outcome.status = arriving.HttpStatus();
  const std::string what = request.what.verb + " " + request.what.resource;
  if (!ended.ok()) {
    outcome.error = WithContext(ended, what);
  } else if (code != CURLE_OK && outcome.error.ok() && !arriving.is_cut) {
    outcome.error = WithContext(CurlError(code, error_text), what);
    outcome.may_have_begun = !NothingWasSent(code);
  }
  GiveBack(std::move(session));
  return outcome;
}

}  // namespace salvor::kubernetes
