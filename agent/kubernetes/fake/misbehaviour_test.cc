// The client against an API server that misbehaves on the wire.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "agent/kubernetes/client/call.h"
#include "agent/kubernetes/client/http_kubernetes.h"
#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/fake/conformance_testing.h"

namespace salvor::kubernetes {
namespace {

using Texts = std::vector<std::string>;
using Kind = Misbehaviour::Kind;
using Code = absl::StatusCode;

const ObjectKey kObject{kConfigMaps, "default", "a"};

class Misbehaving : public testing::Test {
 protected:
  Misbehaving() {
    options_.backoff = {absl::Milliseconds(1), absl::Milliseconds(10)};
    EXPECT_TRUE(fake_.Create(kConfigMaps, "default", ConfigMap("a", {{"x", "1"}}), {}, {}).ok());
  }

  std::unique_ptr<Kubernetes> Client() {
    return MakeHttpKubernetes([this]() -> StatusOr<ClusterAccess> { return server_.Access(); }, options_);
  }

  void Order(Kind kind, const std::string& to, int http_status = 0, const std::string& reason = "") {
    server_.Misbehave({.kind = kind, .to = to, .http_status = http_status, .reason = reason});
  }

  int64_t Count(const std::string& text) const {
    const Texts seen = server_.Seen();
    return std::count_if(seen.begin(), seen.end(),
                         [&](const std::string& head) { return head.find(text) != std::string::npos; });
  }

  // For a state that stays once it is there.
  static void Await(const std::function<bool()>& is_there) {
    const Call call = Soon();
    while (!is_there()) ASSERT_TRUE(Pause(call, absl::Milliseconds(5), "a state of the test").ok());
  }

  std::string VersionNow() {
    return fake_.List(kConfigMaps, "", {}, [](const Json&) { return OkStatus(); }, {}).value();
  }

  void Make(const std::string& name) {
    EXPECT_TRUE(fake_.Create(kConfigMaps, "default", ConfigMap(name), {}, {}).ok());
  }

  // The names in events from there on, up to `last`.
  Texts WatchUntil(const std::string& version, const std::string& last, Status* ended) {
    Texts seen;
    *ended = Client()->Watch(
        kConfigMaps, "default", {.resource_version = version},
        [&](const Event& event) {
          seen.push_back(TextAt(event.object, {"metadata", "name"}));
          return seen.back() != last;
        },
        Soon());
    return seen;
  }

  HttpOptions options_;
  FakeKubernetes fake_;
  FakeApiServer server_{fake_};
};

TEST_F(Misbehaving, QuestionsAreAskedAgain) {
  const struct {
    Kind kind;
    int http_status;
    const char* reason;
  } kCases[] = {{Kind::kAnswer, 429, "TooManyRequests"}, {Kind::kAnswer, 500, "InternalError"},
                {Kind::kAnswer, 504, "Timeout"},         {Kind::kProxyAnswer, 502, ""},
                {Kind::kProxyAnswer, 503, ""},           {Kind::kCut, 0, ""}};
  const auto client = Client();
  for (const auto& one : kCases) {
    const int64_t before = Count("GET ");
    Order(one.kind, "GET ", one.http_status, one.reason);
    const auto object = client->Get(kObject, Soon());
    EXPECT_TRUE(object.ok()) << object.status();
    EXPECT_EQ(Count("GET ") - before, 2) << one.http_status;
  }
}

TEST_F(Misbehaving, RefusalsAreNotAskedAgain) {
  const struct {
    int http_status;
    const char* reason;
    Code code;
  } kCases[] = {{400, "BadRequest", Code::kInvalidArgument},
                {404, "NotFound", Code::kNotFound},
                {409, "Conflict", Code::kAborted},
                {410, "Expired", Code::kOutOfRange},
                {415, "UnsupportedMediaType", Code::kFailedPrecondition}};
  const auto client = Client();
  for (const auto& one : kCases) {
    const int64_t before = Count("GET ");
    Order(Kind::kAnswer, "GET ", one.http_status, one.reason);
    EXPECT_EQ(client->Get(kObject, Soon()).status().code(), one.code);
    EXPECT_EQ(Count("GET ") - before, 1);
  }
}

TEST_F(Misbehaving, WhatMayHaveHappenedIsNotDoneTwice) {
  const auto client = Client();
  const auto create = [&] {
    return client->Create(kConfigMaps, "default", ConfigMap("b"), {}, Soon()).status();
  };
  Order(Kind::kAnswer, "POST ", 500, "InternalError");
  EXPECT_EQ(create().code(), Code::kUnavailable);
  EXPECT_EQ(Count("POST "), 1);
  Order(Kind::kCut, "POST ");
  EXPECT_EQ(create().code(), Code::kUnavailable);  // it is there, and the client cannot know
  EXPECT_TRUE(kubernetes::IsAlreadyExists(create()));
  Order(Kind::kAnswer, "PATCH ", 500, "InternalError");
  const Json patch = Json::array({{{"op", "remove"}, {"path", "/data/x"}}});
  EXPECT_FALSE(client->Patch(kObject, PatchKind::kJson, patch, {}, Soon()).ok());
  EXPECT_EQ(Count("PATCH "), 1);
  Order(Kind::kAnswer, "DELETE ", 500, "InternalError");
  EXPECT_EQ(client->Delete(kObject, {}, Soon()).code(), Code::kUnavailable);
  EXPECT_EQ(Count("DELETE "), 1);
}

// libcurl sends a request again by itself where a connection that it has kept ends without a byte.
TEST_F(Misbehaving, WhatMayHaveHappenedIsNotDoneTwiceOnAConnectionThatWasKept) {
  const auto client = Client();
  const auto once = [&](const char* method, const std::function<Status()>& change) {
    EXPECT_TRUE(client->Get(kObject, Soon()).ok());
    Order(Kind::kCloseUnanswered, method);
    EXPECT_EQ(change().code(), Code::kUnavailable) << method;
    EXPECT_EQ(Count(method), 1) << method;
  };
  once("POST ", [&] { return client->Create(kConfigMaps, "default", ConfigMap("b"), {}, Soon()).status(); });
  EXPECT_TRUE(fake_.Get({kConfigMaps, "default", "b"}, {}).ok());
  once("PATCH ", [&] {
    const Json patch = Json::array({{{"op", "remove"}, {"path", "/data/x"}}});
    return client->Patch(kObject, PatchKind::kJson, patch, {}, Soon()).status();
  });
  once("DELETE ", [&] { return client->Delete(kObject, {}, Soon()); });
}

TEST_F(Misbehaving, AQuestionOutlivesAConnectionThatWasKept) {
  const auto client = Client();
  EXPECT_TRUE(client->Get(kObject, Soon()).ok());
  Order(Kind::kCloseUnanswered, "GET ");
  EXPECT_TRUE(client->Get(kObject, Soon()).ok());
  EXPECT_EQ(Count("GET "), 3);
}

TEST_F(Misbehaving, WhatMayBeDoneTwiceIsDoneUntilItIsSaidToBeDone) {
  const auto client = Client();
  Order(Kind::kAnswer, "PATCH ", 503, "ServiceUnavailable");
  EXPECT_TRUE(client->Apply(kObject, ConfigMap("a", {{"x", "1"}}), {}, Soon()).ok());
  const std::string uid = TextAt(fake_.Get(kObject, {}).value(), {"metadata", "uid"});
  Order(Kind::kAnswer, "DELETE ", 500, "InternalError");
  EXPECT_TRUE(client->Delete(kObject, {.uid = uid}, Soon()).ok());
  EXPECT_EQ(Count("DELETE "), 2);
}

TEST_F(Misbehaving, ABusyServerIsGivenTheTimeThatItAsksFor) {
  server_.Misbehave({.kind = Kind::kAnswer, .to = "POST ", .http_status = 429, .retry_after_s = 1});
  const SteadyTime start = SteadyNow();
  EXPECT_TRUE(Client()->Create(kConfigMaps, "default", ConfigMap("b"), {}, Soon()).ok());
  EXPECT_GE(SteadyNow() - start, absl::Seconds(1));
  EXPECT_EQ(Count("POST "), 2);
}

TEST_F(Misbehaving, PatienceHasAnEnd) {
  options_.patience = absl::Milliseconds(50);
  for (int times = 0; times < 200; ++times) Order(Kind::kAnswer, "GET ", 503, "ServiceUnavailable");
  const Status ill = Client()->Get(kObject, Soon()).status();
  EXPECT_EQ(ill.code(), Code::kUnavailable);
  EXPECT_GE(Count("GET "), 2);
  ClusterAccess nobody = server_.Access();
  nobody.server = "http://127.0.0.1:1";
  const auto client = MakeHttpKubernetes([&nobody]() -> StatusOr<ClusterAccess> { return nobody; }, options_);
  const Status away = client->Get(kObject, Soon()).status();
  EXPECT_EQ(away.code(), Code::kUnavailable);
  EXPECT_NE(HintOf(away), "");
  EXPECT_EQ(client->Create(kConfigMaps, "default", ConfigMap("b"), {}, Soon()).status().code(),
            Code::kUnavailable);
}

TEST_F(Misbehaving, TheKubeconfigAloneSaysWhichProxyIsUsed) {
  options_.patience = absl::ZeroDuration();
  ClusterAccess access = server_.Access();
  const auto client = MakeHttpKubernetes([&access]() -> StatusOr<ClusterAccess> { return access; }, options_);
  ASSERT_EQ(::setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
  EXPECT_TRUE(client->Get(kObject, Soon()).ok());
  ::unsetenv("http_proxy");
  ASSERT_EQ(::setenv("NO_PROXY", "*", 1), 0);
  ClusterAccess behind = access;
  behind.proxy_url = "http://127.0.0.1:1";  // nobody is there
  const auto proxied =
      MakeHttpKubernetes([&behind]() -> StatusOr<ClusterAccess> { return behind; }, options_);
  EXPECT_EQ(proxied->Get(kObject, Soon()).status().code(), Code::kUnavailable);
  ::unsetenv("NO_PROXY");
  EXPECT_EQ(Count("GET "), 1);
}

TEST_F(Misbehaving, SilenceEndsWithTheCall) {
  for (const char* to : {"GET ", "GET ", "GET "}) Order(Kind::kSilence, to);
  const auto client = Client();
  EXPECT_EQ(client->Get(kObject, {{}, SteadyNow() + absl::Milliseconds(100)}).status().code(),
            Code::kDeadlineExceeded);
  std::stop_source stop;
  const std::jthread stopper([&] {
    Await([&] { return Count("GET ") == 2; });
    stop.request_stop();
  });
  EXPECT_EQ(client->Get(kObject, {stop.get_token()}).status().code(), Code::kCancelled);
  options_.answer_timeout = absl::Seconds(2);  // for the good answer, too, on a busy machine
  EXPECT_TRUE(Client()->Get(kObject, Soon()).ok());
  EXPECT_GE(Count("GET "), 4);
}

TEST_F(Misbehaving, AnswersThatAreNoneAreErrors) {
  const auto client = Client();
  Order(Kind::kGarbage, "GET ");
  EXPECT_EQ(client->Get(kObject, Soon()).status().code(), Code::kInternal);
  Order(Kind::kRedirect, "GET ");
  EXPECT_EQ(client->Get(kObject, Soon()).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(Count("GET "), 2);
  options_.body_at_most = 50;
  EXPECT_EQ(Client()->Get(kObject, Soon()).status().code(), Code::kResourceExhausted);
}

TEST_F(Misbehaving, ErrorsHoldNoSecrets) {
  options_.patience = absl::Milliseconds(5);
  const auto client = Client();
  server_.AcceptToken("changed");
  std::vector<Status> errors = {client->Get(kObject, Soon()).status()};
  server_.AcceptToken("good");
  for (int times = 0; times < 50; ++times) Order(Kind::kProxyAnswer, "GET ", 500);
  errors.push_back(client->Get(kObject, Soon()).status());
  for (const Status& error : errors) {
    ASSERT_FALSE(error.ok());
    for (const char* secret : {"good", "hunter2", "Bearer"}) {
      EXPECT_EQ((MessageOf(error) + HintOf(error)).find(secret), std::string::npos) << error;
    }
  }
}

TEST_F(Misbehaving, ATokenThatWasReplacedIsReadAgain) {
  std::string token = "good";
  int loads = 0;
  const auto load = [&]() -> StatusOr<ClusterAccess> {
    ClusterAccess access = server_.Access();
    access.token = token;
    ++loads;
    return access;
  };
  const auto client = MakeHttpKubernetes(load, options_);
  EXPECT_TRUE(client->Get(kObject, Soon()).ok());
  EXPECT_TRUE(client->Get(kObject, Soon()).ok());
  EXPECT_EQ(loads, 1);
  server_.AcceptToken("new");
  token = "new";
  EXPECT_TRUE(client->Get(kObject, Soon()).ok());
  EXPECT_EQ(loads, 2);
  server_.AcceptToken("unknown to us");
  const Status refused = client->Get(kObject, Soon()).status();
  EXPECT_EQ(refused.code(), Code::kUnauthenticated);
  EXPECT_EQ(loads, 3);
}

TEST_F(Misbehaving, AListWhoseSecondPageIsGoneIsGone) {
  for (const char* name : {"b", "c"}) Make(name);
  ListOptions options;
  options.page_size = 1;
  Order(Kind::kAnswer, "continue=", 410, "Expired");
  const auto keep = [](const Json&) { return OkStatus(); };
  EXPECT_TRUE(IsGone(Client()->List(kConfigMaps, "default", options, keep, Soon()).status()));
  Order(Kind::kCut, "continue=");
  int count = 0;
  const auto count_all = [&count](const Json&) {
    ++count;
    return OkStatus();
  };
  EXPECT_TRUE(Client()->List(kConfigMaps, "default", options, count_all, Soon()).ok());
  EXPECT_EQ(count, 3);
}

TEST_F(Misbehaving, AWatchThatBreaksGoesOnWithoutAGapOrARepeat) {
  const std::string version = VersionNow();
  for (const char* name : {"b", "c", "d"}) Make(name);
  server_.Misbehave({.kind = Kind::kDropWatch, .to = "watch=1", .count = 1});
  server_.Misbehave({.kind = Kind::kDropWatch, .to = "watch=1", .count = 0});
  server_.Misbehave({.kind = Kind::kAnswer, .to = "watch=1", .http_status = 503});
  server_.Misbehave({.kind = Kind::kProxyAnswer, .to = "watch=1", .http_status = 502});
  server_.Misbehave({.kind = Kind::kGarbage, .to = "watch=1"});
  Status ended;
  EXPECT_EQ(WatchUntil(version, "d", &ended), (Texts{"b", "c", "d"}));
  EXPECT_TRUE(ended.ok()) << ended;
  EXPECT_EQ(Count("watch=1"), 6);
}

TEST_F(Misbehaving, EventsThatComeAgainAreDropped) {
  const std::string version = VersionNow();
  for (const char* name : {"b", "c", "d"}) Make(name);
  Order(Kind::kRepeatEvents, "watch=1");
  Status ended;
  EXPECT_EQ(WatchUntil(version, "d", &ended), (Texts{"b", "c", "d"}));
}

TEST_F(Misbehaving, AWatchThatIsGoneSaysSo) {
  const std::string version = VersionNow();
  Status ended;
  Order(Kind::kGoneEvent, "watch=1");
  EXPECT_EQ(WatchUntil(version, "b", &ended), Texts{});
  EXPECT_TRUE(IsGone(ended)) << ended;
  Order(Kind::kAnswer, "watch=1", 410, "Gone");
  WatchUntil(version, "b", &ended);
  EXPECT_TRUE(IsGone(ended)) << ended;
  Make("b");
  fake_.ForgetHistory();
  WatchUntil(version, "b", &ended);
  EXPECT_TRUE(IsGone(ended)) << ended;
}

TEST_F(Misbehaving, AWaitListsAgainWhereAWatchIsGone) {
  Order(Kind::kGoneEvent, "watch=1");
  server_.Misbehave({.kind = Kind::kDropWatch, .to = "watch=1", .count = 0});
  const std::jthread other([this] {
    Await([this] { return Count("watch=1") >= 1; });
    EXPECT_TRUE(fake_.Change(kObject, [](Json& object) { object["data"]["x"] = "2"; }).ok());
  });
  const auto done = WaitUntil(
      *Client(), kObject,
      [](const Json* object) -> StatusOr<bool> {
        return object != nullptr && TextAt(*object, {"data", "x"}) == "2";
      },
      Soon());
  EXPECT_TRUE(done.ok()) << done.status();
}

TEST_F(Misbehaving, ABookmarkSavesAWatchFromBeingGone) {
  options_.watch_connection = absl::Seconds(1);
  const std::string version = VersionNow();
  const auto client = Client();
  Status ended;
  std::jthread watcher([&] {
    ended = client->Watch(
        kConfigMaps, "default", {.selection = {"", "metadata.name=wanted"}, .resource_version = version},
        [](const Event&) { return false; }, Soon());
  });
  Await([this] { return Count("watch=1") >= 1; });
  Make("b");  // not for this watch, but the bookmark counts it
  Await([&] {
    const Texts seen = server_.Seen();
    return std::any_of(seen.begin(), seen.end(), [&](const std::string& head) {
      return head.find("watch=1") != std::string::npos &&
             head.find("resourceVersion=" + version) == std::string::npos;
    });
  });
  fake_.ForgetHistory();
  Make("wanted");
  watcher.join();
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(Misbehaving, ALineWithoutEndIsRefused) {
  options_.line_at_most = 1000;
  server_.Misbehave({.kind = Kind::kLongLine, .to = "watch=1", .count = 100'000});
  Status ended;
  WatchUntil(VersionNow(), "b", &ended);
  EXPECT_EQ(ended.code(), Code::kResourceExhausted);
}

TEST_F(Misbehaving, AnExecIsRunOnceOrNotAtAll) {
  int runs = 0;
  fake_.OnExec([&runs](const ExecCommand&, const Call&) {
    ++runs;
    return StatusOr<int>(0);
  });
  const Json pod = {{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", {{"name", "p"}}}};
  ASSERT_TRUE(fake_.Create(kPods, "default", pod, {}, {}).ok());
  const auto client = Client();
  const auto exec = [&] { return client->Exec({"default", "p", "main", {"true"}}, Soon()).status(); };
  Order(Kind::kAnswer, "/exec", 429, "TooManyRequests");
  EXPECT_TRUE(exec().ok());
  EXPECT_EQ(runs, 1);
  Order(Kind::kAnswer, "/exec", 500, "InternalError");
  EXPECT_EQ(exec().code(), Code::kUnavailable);
  EXPECT_EQ(runs, 1);
  Order(Kind::kDropExec, "/exec");
  EXPECT_EQ(exec().code(), Code::kUnavailable);
  EXPECT_EQ(runs, 2);
  Order(Kind::kOldExec, "/exec");
  const Status old = exec();
  EXPECT_EQ(old.code(), Code::kFailedPrecondition);
  EXPECT_EQ(HintOf(old), "Kubernetes 1.30 or newer is needed to run commands in pods.");
  server_.Misbehave({.kind = Kind::kAnswer, .to = "/exec", .http_status = 403, .reason = "Forbidden"});
  EXPECT_EQ(exec().code(), Code::kFailedPrecondition);
  Order(Kind::kSilence, "/exec");
  const Call short_call{{}, SteadyNow() + absl::Milliseconds(100)};
  EXPECT_EQ(client->Exec({"default", "p", "main", {"true"}}, short_call).status().code(),
            Code::kDeadlineExceeded);
  EXPECT_EQ(runs, 2);
}

TEST_F(Misbehaving, AnExecWhoseServerIsNotHeardOfIsGivenUp) {
  options_.exec = {absl::Milliseconds(10), absl::Milliseconds(100)};
  fake_.OnExec([](const ExecCommand&, const Call& call) -> StatusOr<int> {
    return Pause(call, absl::Hours(1), "a command that does not end");
  });
  const Json pod = {{"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", {{"name", "p"}}}};
  ASSERT_TRUE(fake_.Create(kPods, "default", pod, {}, {}).ok());
  Order(Kind::kMuteExec, "/exec");
  const Status ended = Client()->Exec({"default", "p", "main", {"sleep"}}, Soon()).status();
  EXPECT_EQ(ended.code(), Code::kUnavailable) << ended;
  EXPECT_NE(MessageOf(ended).find("not been heard of"), std::string::npos) << ended;
}

}  // namespace
}  // namespace salvor::kubernetes
