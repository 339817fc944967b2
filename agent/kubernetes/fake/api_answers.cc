#include "agent/kubernetes/fake/api_answers.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "agent/kubernetes/client/http_requests.h"
#include "base/text.h"

namespace salvor::kubernetes {
namespace {

int Number(const std::string& text) { return text.empty() ? 0 : std::atoi(text.c_str()); }

WriteOptions WriteOptionsOf(const Parameters& parameters) {
  WriteOptions options;
  options.field_manager = parameters.Get("fieldManager");
  options.dry_run = parameters.Get("dryRun") == "All";
  return options;
}

// "" for a Status without the words of About in front.
std::string WithoutPrefix(const Status& error) {
  const std::string message = MessageOf(error);
  const size_t colon = message.find(": ");
  return ApiErrorOf(error) && colon != std::string::npos ? message.substr(colon + 2) : message;
}

}  // namespace

Json StatusObject(const Status& error) {
  const ApiError said = ApiErrorOf(error).value_or(ApiError{500, "InternalError", {}});
  Json status = {{"kind", "Status"},
                 {"apiVersion", "v1"},
                 {"metadata", Json::object()},
                 {"status", "Failure"},
                 {"reason", said.reason},
                 {"code", said.http_status},
                 {"message", WithoutPrefix(error)},
                 {"details", Json::object()}};
  if (said.retry_after) status["details"]["retryAfterSeconds"] = absl::ToInt64Seconds(*said.retry_after);
  return status;
}

ApiAnswer ApiAnswers::Answer(const ApiQuestion& question, const Call& call) {
  const Route& route = question.route;
  StatusOr<Json> json = Json();
  if (route.plural.empty()) {
    json = AnswerDiscovery(route, call);
  } else if (route.subresource == "log") {
    const StatusOr<std::string> text = AnswerLogs(question, call);
    if (text.ok()) return {200, *text, "text/plain"};
    json = text.status();
  } else if (const auto type = kubernetes_.TypeOf(route.group, route.version, route.plural)) {
    json = AnswerJson(question, *type, call);
  } else {
    json = MakeApiError(404, "NotFound", "the server could not find the requested resource", {});
  }
  if (json.ok()) return {question.method == "POST" ? 201 : 200, Dump(*json)};
  const Json status = StatusObject(json.status());
  return {status["code"].get<int>(), Dump(status)};
}

StatusOr<Json> ApiAnswers::AnswerJson(const ApiQuestion& question, const ResourceType& type,
                                      const Call& call) {
  const ObjectKey key{type, question.route.name_space, question.route.name};
  if (question.method == "GET")
    return key.name.empty() ? AnswerList(question, type, call) : kubernetes_.Get(key, call);
  const Json body = Json::parse(question.body, nullptr, /*allow_exceptions=*/false);
  if (body.is_discarded()) return MakeApiError(400, "BadRequest", "the body is no JSON", {});
  if (question.method == "POST") {
    return kubernetes_.Create(type, key.name_space, body, WriteOptionsOf(question.parameters), call);
  }
  if (question.method == "PATCH") return AnswerPatch(question, key, body, call);
  if (question.method == "DELETE") return AnswerDelete(key, body, call);
  return MakeApiError(405, "MethodNotAllowed", "the server does not allow this method", {});
}

StatusOr<Json> ApiAnswers::AnswerPatch(const ApiQuestion& question, const ObjectKey& key, const Json& body,
                                       const Call& call) {
  const WriteOptions options = WriteOptionsOf(question.parameters);
  if (question.content_type == "application/apply-patch+yaml") {
    return kubernetes_.Apply(key, body, {options, question.parameters.Get("force") == "true"}, call);
  }
  if (question.content_type == "application/merge-patch+json") {
    return kubernetes_.Patch(key, PatchKind::kMerge, body, options, call);
  }
  if (question.content_type == "application/json-patch+json") {
    return kubernetes_.Patch(key, PatchKind::kJson, body, options, call);
  }
  return MakeApiError(415, "UnsupportedMediaType", "the body of the request was in an unknown format", {});
}

StatusOr<Json> ApiAnswers::AnswerDelete(const ObjectKey& key, const Json& body, const Call& call) {
  DeleteOptions options;
  const std::string uid = TextAt(body, {"preconditions", "uid"});
  const std::string version = TextAt(body, {"preconditions", "resourceVersion"});
  const std::string propagation = TextAt(body, {"propagationPolicy"});
  if (!uid.empty()) options.uid = uid;
  if (!version.empty()) options.resource_version = version;
  if (propagation == "Orphan") options.propagation = Propagation::kOrphan;
  options.dry_run = body.contains("dryRun");
  RETURN_IF_ERROR(kubernetes_.Delete(key, options, call));
  return Json{{"kind", "Status"}, {"apiVersion", "v1"}, {"status", "Success"}};
}

StatusOr<Json> ApiAnswers::AnswerList(const ApiQuestion& question, const ResourceType& type,
                                      const Call& call) {
  Snapshot left;
  const std::string token = question.parameters.Get("continue");
  if (token.empty()) {
    ListOptions options;
    options.selection = {question.parameters.Get("labelSelector"), question.parameters.Get("fieldSelector")};
    const auto keep = [&left](Json item) {
      left.items.push_back(std::move(item));
      return OkStatus();
    };
    ASSIGN_OR_RETURN(left.version, kubernetes_.List(type, question.route.name_space, options, keep, call));
  } else {
    MutexLock lock(mutex_);
    if (!pages_.contains(token))
      return MakeApiError(410, "Expired", "The provided continue parameter is too old", {});
    left = pages_.at(token);
  }
  const size_t limit = std::max(1, Number(question.parameters.Get("limit")));
  const size_t count = std::min(limit, left.items.size());
  Json list = {{"kind", kubernetes_.KindOf(type) + "List"},
               {"apiVersion", type.ApiVersion()},
               {"items", Json::array()}};
  list["metadata"]["resourceVersion"] = left.version;
  for (size_t at = 0; at < count; ++at) {
    Json& item = list["items"].emplace_back(left.items[at]);
    item.erase("kind");  // as real servers do
    item.erase("apiVersion");
  }
  left.items.erase(left.items.begin(), left.items.begin() + static_cast<std::ptrdiff_t>(count));
  if (left.items.empty()) return list;
  MutexLock lock(mutex_);
  const std::string next = fmt::format("page-{}", ++tokens_);
  pages_[next] = std::move(left);
  list["metadata"]["continue"] = next;
  return list;
}

StatusOr<std::string> ApiAnswers::AnswerLogs(const ApiQuestion& question, const Call& call) {
  LogOptions options;
  options.container = question.parameters.Get("container");
  if (question.parameters.Has("tailLines")) options.tail_lines = Number(question.parameters.Get("tailLines"));
  if (question.parameters.Has("limitBytes"))
    options.limit_bytes = Number(question.parameters.Get("limitBytes"));
  std::vector<std::string> lines;
  const auto keep = [&lines](std::string_view line) {
    lines.emplace_back(line);
    return OkStatus();
  };
  RETURN_IF_ERROR(kubernetes_.Logs(question.route.name_space, question.route.name, options, keep, call));
  return Join(lines, "\n");
}

StatusOr<Json> ApiAnswers::AnswerDiscovery(const Route& route, const Call& call) {
  ASSIGN_OR_RETURN(const auto served, kubernetes_.Discover(route.group, route.version, call));
  if (served.empty())
    return MakeApiError(404, "NotFound", "the server could not find the requested resource", {});
  Json list = {{"kind", "APIResourceList"}, {"apiVersion", "v1"}, {"resources", Json::array()}};
  for (const ServedResource& one : served) {
    list["resources"].push_back({{"name", one.type.plural},
                                 {"namespaced", one.type.is_namespaced},
                                 {"kind", one.kind},
                                 {"verbs", one.verbs}});
  }
  return list;
}

}  // namespace salvor::kubernetes
