#include "agent/kubernetes/client/http_requests.h"

#include <algorithm>
#include <utility>

#include "agent/kubernetes/client/query.h"

namespace salvor::kubernetes {
namespace {

constexpr char kJsonType[] = "application/json";

HttpRequest Writing(ApiRequest what, std::string method, std::string path, std::string content_type,
                    const Json& body) {
  HttpRequest request;
  request.what = std::move(what);
  request.method = std::move(method);
  request.path = std::move(path);
  request.content_type = std::move(content_type);
  request.body = Dump(body);
  return request;
}

HttpRequest NotRepeatable(HttpRequest request) {
  request.is_repeatable = false;
  return request;
}

// The number at the start of a text: minor versions are "34" or "34+".
int LeadingNumber(const std::string& text) {
  int number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || number > 100'000) break;
    number = number * 10 + (c - '0');
  }
  return number;
}

}  // namespace

ApiRequest About(std::string verb, const ObjectKey& key) {
  return {std::move(verb), key.type.FullName(), key.name_space, key.name};
}

ApiRequest About(std::string verb, const ResourceType& type, const std::string& name_space) {
  return {std::move(verb), type.FullName(), name_space, ""};
}

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

HttpRequest CreateRequest(const ResourceType& type, const std::string& name_space, const Json& object,
                          const WriteOptions& options) {
  ApiRequest what = About("create", type, name_space);
  what.name = TextAt(object, {"metadata", "name"});
  return NotRepeatable(Writing(std::move(what), "POST", type.Path(name_space) + WriteQuery(options).Text(),
                               kJsonType, object));
}

HttpRequest ApplyRequest(const ObjectKey& key, const Json& object, const ApplyOptions& options) {
  Query query = WriteQuery(options.write);
  query.Add("force", options.force ? "true" : "false");
  return Writing(About("patch", key), "PATCH", key.Path() + query.Text(), "application/apply-patch+yaml",
                 object);
}

HttpRequest PatchRequest(const ObjectKey& key, PatchKind kind, const Json& patch,
                         const WriteOptions& options) {
  const char* type =
      kind == PatchKind::kMerge ? "application/merge-patch+json" : "application/json-patch+json";
  return NotRepeatable(
      Writing(About("patch", key), "PATCH", key.Path() + WriteQuery(options).Text(), type, patch));
}

HttpRequest DeleteRequest(const ObjectKey& key, const DeleteOptions& options) {
  HttpRequest request = Writing(About("delete", key), "DELETE", key.Path(), kJsonType, DeleteBody(options));
  // Without a precondition a second request may meet another object of that name.
  return options.uid || options.resource_version ? request : NotRepeatable(std::move(request));
}

StatusOr<ServerVersion> ReadServerVersion(const Json& answer) {
  ServerVersion version;
  version.major = LeadingNumber(TextAt(answer, {"major"}));
  version.minor = LeadingNumber(TextAt(answer, {"minor"}));
  version.git_version = TextAt(answer, {"gitVersion"});
  if (version.major == 0) return Internal("the API server does not say its version");
  return version;
}

std::vector<ServedResource> ReadServedResources(const Json& answer, const std::string& group,
                                                const std::string& version) {
  std::vector<ServedResource> served;
  const Json resources = answer.is_object() ? answer.value("resources", Json::array()) : Json::array();
  for (const Json& resource : resources) {
    const std::string plural = TextAt(resource, {"name"});
    if (plural.empty() || plural.find('/') != std::string::npos) continue;  // "pods/exec" and its like
    ServedResource& one = served.emplace_back();
    const Json namespaced = resource.value("namespaced", Json(false));
    one.type = ResourceType{group, version, plural, namespaced.is_boolean() && namespaced.get<bool>()};
    one.kind = TextAt(resource, {"kind"});
    const Json verbs = resource.value("verbs", Json::array());
    for (const Json& verb : verbs) {
      if (verb.is_string()) one.verbs.push_back(verb.get<std::string>());
    }
  }
  return served;
}

StatusOr<ListPage> ReadListPage(Json answer, const ResourceType& type) {
  if (!answer.is_object() || !answer.contains("items")) {
    return Internal("the list of {} holds no items", type.FullName());
  }
  ListPage page;
  page.resource_version = TextAt(answer, {"metadata", "resourceVersion"});
  page.continue_token = TextAt(answer, {"metadata", "continue"});
  std::string kind = TextAt(answer, {"kind"});  // "PodList"
  if (kind.ends_with("List")) kind.resize(kind.size() - 4);
  if (!answer["items"].is_array()) return page;  // null: none
  for (Json& item : answer["items"]) {
    if (!item.is_object()) continue;
    if (!item.contains("kind")) item["kind"] = kind;
    if (!item.contains("apiVersion")) item["apiVersion"] = type.ApiVersion();
    page.items.push_back(std::move(item));
  }
  return page;
}

}  // namespace salvor::kubernetes
