// A FakeKubernetes behind HTTP on loopback, which misbehaves on the wire where it is told to. For tests of the client.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/kubernetes/client/cluster_access.h"
#include "agent/kubernetes/fake/fake_kubernetes.h"

namespace salvor::kubernetes {

// What happens to the next request whose method and path ("GET /api/v1/…") contain `to`, instead of a good answer.
struct Misbehaviour {
  enum class Kind {
    kAnswer,           // a Status with `http_status`, `reason` and, unless 0, Retry-After
    kProxyAnswer,      // `http_status` with a page of HTML
    kCloseUnanswered,  // the request is done, and the connection ends without a byte
    kCut,              // half of the body, then the connection ends
    kGarbage,          // a body that is no JSON
    kSilence,          // no answer at all, until the server ends
    kRedirect,         // to another path of this server
    kDropWatch,        // a watch breaks in the middle of a line, after `count` events
    kRepeatEvents,     // a watch sends each event twice, and the first one again after each
    kLongLine,         // a watch sends a line of `count` bytes
    kGoneEvent,        // a watch sends an ERROR event with 410
    kDropExec,         // an exec's connection ends without a Status, after the command's output
    kMuteExec,         // an exec's connection answers no ping, and the command does not end
    kOldExec,          // an exec's connection speaks v4.channel.k8s.io
  };
  Kind kind = Kind::kAnswer;
  std::string to;
  int http_status = 0;
  std::string reason = {};
  int retry_after_s = 0;
  int count = 0;
};

// Thread-safe. Connections are kept, as an API server keeps them. Its end ends every connection, also those that are
// silent.
class FakeApiServer {
 public:
  explicit FakeApiServer(FakeKubernetes& kubernetes);
  ~FakeApiServer();

  ClusterAccess Access() const;  // with the token "good"

  // From now on only this token is good: others get a 401.
  void AcceptToken(const std::string& token);

  // One request each, in the order of the calls.
  void Misbehave(const Misbehaviour& misbehaviour);

  // "GET /api/v1/pods?limit=500", in the order of arrival.
  std::vector<std::string> Seen() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace salvor::kubernetes
