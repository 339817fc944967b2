// Requests as the API server takes them, for those that are one question and one answer. Pure.
#pragma once

#include <string>

#include "agent/kubernetes/client/http_session.h"
#include "agent/kubernetes/client/kubernetes.h"

namespace salvor::kubernetes {

ApiRequest About(std::string verb, const ObjectKey& key);
ApiRequest About(std::string verb, const ResourceType& type, const std::string& name_space);

HttpRequest CreateRequest(const ResourceType& type, const std::string& name_space, const Json& object,
                          const WriteOptions& options);
HttpRequest ApplyRequest(const ObjectKey& key, const Json& object, const ApplyOptions& options);
HttpRequest PatchRequest(const ObjectKey& key, PatchKind kind, const Json& patch,
                         const WriteOptions& options);
HttpRequest DeleteRequest(const ObjectKey& key, const DeleteOptions& options);

// The text of JSON whatever bytes its strings hold.
std::string Dump(const Json& json);

// The answer of /version, and of /api/v1 or /apis/GROUP/VERSION.
StatusOr<ServerVersion> ReadServerVersion(const Json& answer);
std::vector<ServedResource> ReadServedResources(const Json& answer, const std::string& group,
                                                const std::string& version);

// One page of a list.
struct ListPage {
  std::vector<Json> items;  // each with apiVersion and kind
  std::string resource_version;
  std::string continue_token;
};
StatusOr<ListPage> ReadListPage(Json answer, const ResourceType& type);

}  // namespace salvor::kubernetes
