// One HTTP request to an API server, once. libcurl stays behind this header and http_exec.cc.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/client/cluster_access.h"
#include "agent/kubernetes/client/kubernetes.h"
#include "base/io/mutex.h"

namespace salvor::kubernetes {

struct HttpRequest {
  ApiRequest what = {};  // for messages
  std::string method = "GET";
  std::string path = {};  // with its query
  std::string content_type = {};
  std::string body = {};
  bool is_repeatable =
      true;  // without harm; else it gets a new connection, for libcurl repeats what an old one lost
};

struct HttpOutcome {
  Status error = OkStatus();   // why there is no whole answer; kUnavailable may be worth another try
  bool may_have_begun = true;  // with an error: whether the server may have seen the request
  int status = 0;
  std::string retry_after = {};
  std::string body = {};  // of an answer that no sink took
};

using BodySink = std::function<Status(std::string_view piece)>;

// Keeps connections that can be used again. Thread-safe; each request has a connection of its own, so a callback may
// make further requests.
class HttpSessions {
 public:
  explicit HttpSessions(size_t body_at_most);
  ~HttpSessions();

  // Takes `timeout` at most. With a `sink`, the body of an answer with a status of 2xx goes there as it comes, and an
  // error of the sink ends the request and is its outcome. Redirects are not followed, no proxy but access.proxy_url
  // is used.
  HttpOutcome Send(const ClusterAccess& access, const HttpRequest& request, const BodySink& sink,
                   absl::Duration timeout, const Call& call);

 private:
  struct Session;
  std::unique_ptr<Session> Take();
  void GiveBack(std::unique_ptr<Session> session);

  const size_t body_at_most_;
  Mutex mutex_;
  std::vector<std::unique_ptr<Session>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace salvor::kubernetes
