// FakeKubernetes' answers as an API server's: what a request asks for, and the JSON it is answered with. Used by
// FakeApiServer, which has the connection.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/kubernetes/fake/api_routes.h"
#include "agent/kubernetes/fake/fake_kubernetes.h"
#include "base/io/mutex.h"

namespace salvor::kubernetes {

struct ApiAnswer {
  int http_status = 200;
  std::string body;
  std::string content_type = "application/json";
};

struct ApiQuestion {
  std::string method;
  Route route;
  Parameters parameters;
  std::string content_type;
  std::string body;
};

// The Status object that says this error.
Json StatusObject(const Status& error);

// Thread-safe.
class ApiAnswers {
 public:
  explicit ApiAnswers(FakeKubernetes& kubernetes) : kubernetes_(kubernetes) {}

  // Everything but watches and execs.
  ApiAnswer Answer(const ApiQuestion& question, const Call& call);

 private:
  StatusOr<Json> AnswerJson(const ApiQuestion& question, const ResourceType& type, const Call& call);
  StatusOr<Json> AnswerList(const ApiQuestion& question, const ResourceType& type, const Call& call);
  StatusOr<Json> AnswerPatch(const ApiQuestion& question, const ObjectKey& key, const Json& body,
                             const Call& call);
  StatusOr<Json> AnswerDelete(const ObjectKey& key, const Json& body, const Call& call);
  StatusOr<std::string> AnswerLogs(const ApiQuestion& question, const Call& call);
  StatusOr<Json> AnswerDiscovery(const Route& route, const Call& call);

  // The state that a list in pages reads to its end.
  struct Snapshot {
    std::vector<Json> items;
    std::string version;
  };

  FakeKubernetes& kubernetes_;
  Mutex mutex_;
  int tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Snapshot> pages_ ABSL_GUARDED_BY(mutex_);  // what is left, by continue token
};

}  // namespace salvor::kubernetes
