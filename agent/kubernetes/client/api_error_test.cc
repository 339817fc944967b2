#include "agent/kubernetes/client/api_error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace salvor::kubernetes {
namespace {

using Code = absl::StatusCode;

const ApiRequest kRequest{"create", "backups.velero.io", "velero", "b1"};

std::string StatusBody(int code, const std::string& reason, const std::string& message) {
  return nlohmann::json{{"kind", "Status"}, {"code", code}, {"reason", reason}, {"message", message}}.dump();
}

TEST(ApiError, EveryReasonHasTheCodeThatSaysWhatToDo) {
  const struct {
    int http_status;
    const char* reason;
    const char* message;
    Code code;
  } kCases[] = {
      {400, "BadRequest", "no", Code::kInvalidArgument},
      {422, "Invalid", "spec.ttl: Required value", Code::kInvalidArgument},
      {413, "RequestEntityTooLarge", "too large", Code::kInvalidArgument},
      {401, "Unauthorized", "Unauthorized", Code::kUnauthenticated},
      {403, "Forbidden", "User \"s\" cannot create resource \"backups\"", Code::kPermissionDenied},
      {403, "", "nginx says no", Code::kPermissionDenied},
      {403, "Forbidden", "exceeded quota: q, requested: pods=1", Code::kResourceExhausted},
      {403, "Forbidden", "unable to create new content because it is being terminated",
       Code::kFailedPrecondition},
      {403, "Forbidden", "violates PodSecurity \"restricted:latest\"", Code::kFailedPrecondition},
      {404, "NotFound", "not found", Code::kNotFound},
      {405, "MethodNotAllowed", "no", Code::kFailedPrecondition},
      {409, "AlreadyExists", "already exists", Code::kAlreadyExists},
      {409, "Conflict", "modified", Code::kAborted},
      {410, "Expired", "too old", Code::kOutOfRange},
      {410, "Gone", "gone", Code::kOutOfRange},
      {415, "UnsupportedMediaType", "no", Code::kFailedPrecondition},
      {429, "TooManyRequests", "later", Code::kUnavailable},
      {500, "InternalError", "ill", Code::kUnavailable},
      {503, "ServiceUnavailable", "away", Code::kUnavailable},
      {504, "Timeout", "slow", Code::kUnavailable},
      {302, "", "elsewhere", Code::kFailedPrecondition},
      {0, "", "no HTTP at all", Code::kUnavailable},
      {200, "", "good, and yet an error", Code::kUnavailable},
  };
  for (const auto& one : kCases) {
    const Status error =
        DecodeApiError(one.http_status, StatusBody(one.http_status, one.reason, one.message), "", kRequest);
    EXPECT_EQ(error.code(), one.code) << one.http_status << " " << one.reason << " " << one.message;
    ASSERT_TRUE(ApiErrorOf(error).has_value());
    EXPECT_EQ(ApiErrorOf(error)->http_status, one.http_status);
    EXPECT_EQ(ApiErrorOf(error)->reason, one.reason);
  }
}

TEST(ApiError, PredicatesAreTrueOnlyForWhatAnApiServerSaid) {
  EXPECT_TRUE(kubernetes::IsNotFound(DecodeApiError(404, StatusBody(404, "NotFound", ""), "", kRequest)));
  EXPECT_FALSE(kubernetes::IsNotFound(NotFound("no such file")));
  EXPECT_TRUE(
      kubernetes::IsAlreadyExists(DecodeApiError(409, StatusBody(409, "AlreadyExists", ""), "", kRequest)));
  EXPECT_FALSE(IsConflict(DecodeApiError(409, StatusBody(409, "AlreadyExists", ""), "", kRequest)));
  EXPECT_TRUE(IsConflict(DecodeApiError(409, StatusBody(409, "Conflict", ""), "", kRequest)));
  EXPECT_FALSE(IsConflict(Aborted("interrupted")));
  EXPECT_TRUE(IsGone(DecodeApiError(410, StatusBody(410, "Expired", ""), "", kRequest)));
  EXPECT_TRUE(IsTooManyRequests(DecodeApiError(429, "", "", kRequest)));
  EXPECT_FALSE(IsTooManyRequests(DecodeApiError(503, "", "", kRequest)));
  EXPECT_FALSE(kubernetes::IsNotFound(OkStatus()));
}

TEST(ApiError, TheMessageSaysWhatWasAskedAndWhatTheServerSaid) {
  const Status error =
      DecodeApiError(404, StatusBody(404, "NotFound", "backups \"b1\" not found"), "", kRequest);
  EXPECT_EQ(MessageOf(error), "create backups.velero.io velero/b1: backups \"b1\" not found");
  const Status all = DecodeApiError(403, StatusBody(403, "Forbidden", "User \"s\" cannot list"), "",
                                    {"list", "pods", "shop", ""});
  EXPECT_EQ(MessageOf(all), "list pods in namespace shop: User \"s\" cannot list");
  EXPECT_EQ(HintOf(all), "Grant Salvor's service account the verb 'list' on 'pods' in namespace shop.");
  const auto hint_for = [](const ApiRequest& request) {
    return HintOf(DecodeApiError(403, StatusBody(403, "Forbidden", "User \"s\" cannot get"), "", request));
  };
  EXPECT_EQ(hint_for({"get", "namespaces", "", "shop"}),
            "Grant Salvor's service account the verb 'get' on 'namespaces' in namespace shop.");
  EXPECT_EQ(hint_for({"list", "namespaces", "", ""}),
            "Grant Salvor's service account the verb 'list' on 'namespaces' in the whole cluster.");
  EXPECT_EQ(hint_for({"get", "nodes", "", "n1"}),
            "Grant Salvor's service account the verb 'get' on 'nodes' in the whole cluster.");
}

TEST(ApiError, TheMessageIsOneHarmlessLineWithoutSecrets) {
  const Status error = DecodeApiError(
      500, StatusBody(500, "InternalError", "line\none\x1b[31m password=hunter2 " + std::string(5000, 'x')),
      "", kRequest);
  const std::string message = MessageOf(error);
  EXPECT_EQ(message.find("hunter2"), std::string::npos);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_LT(message.size(), 1200U);
}

TEST(ApiError, WhatIsNoStatusIsNotQuoted) {
  for (const char* body :
       {"", "<html>password=hunter2</html>", "{\"kind\": \"Status\"", "[1]", "{\"kind\": 5}", "null"}) {
    const Status error = DecodeApiError(502, body, "", kRequest);
    EXPECT_EQ(MessageOf(error),
              "create backups.velero.io velero/b1: the API server answered with HTTP status 502");
    EXPECT_EQ(error.code(), Code::kUnavailable);
  }
}

TEST(ApiError, RetryAfterIsReadFromTheStatusThenTheHeader) {
  const auto after = [](const std::string& body, const std::string& header) {
    return ApiErrorOf(DecodeApiError(429, body, header, kRequest))->retry_after;
  };
  const std::string five = R"({"kind": "Status", "details": {"retryAfterSeconds": 5}})";
  EXPECT_EQ(after(five, "9"), absl::Seconds(5));
  EXPECT_EQ(after("", " 9 "), absl::Seconds(9));
  EXPECT_EQ(after("", "0"), absl::ZeroDuration());
  for (const char* header :
       {"", "soon", "-1", "99999999999999999999", "Thu, 26 Nov 2026 13:00:00 GMT", "7200"}) {
    EXPECT_EQ(after("", header), std::nullopt) << header;
  }
  for (const char* value : {"-5", "1e9", "\"5\"", "18446744073709551615", "7200", "null"}) {
    const std::string body =
        std::string(R"({"kind": "Status", "details": {"retryAfterSeconds": )") + value + "}}";
    EXPECT_EQ(after(body, ""), std::nullopt) << value;
  }
}

TEST(ApiError, WhatOnePlaysIsWhatOneReads) {
  const Status error = MakeApiError(429, "TooManyRequests", "later", kRequest, absl::Seconds(2));
  EXPECT_TRUE(IsTooManyRequests(error));
  EXPECT_EQ(ApiErrorOf(error)->retry_after, absl::Seconds(2));
  EXPECT_TRUE(IsTooManyRequests(WithContext(error, "further up")));
}

}  // namespace
}  // namespace salvor::kubernetes
