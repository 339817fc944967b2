// URL paths and what else follows from a key alone.
#include <fmt/core.h>

#include <algorithm>

#include "agent/kubernetes/client/kubernetes.h"
#include "agent/kubernetes/client/query.h"

namespace salvor::kubernetes {

std::string ResourceType::Path(std::string_view name_space) const {
  const std::string place =
      is_namespaced && !name_space.empty() ? "/namespaces/" + EncodeSegment(name_space) : std::string();
  return ApiPath() + place + "/" + plural;
}

std::string ObjectKey::Path() const { return type.Path(name_space) + "/" + EncodeSegment(name); }

std::string ObjectKey::Text() const {
  return fmt::format("{} {}{}", type.FullName(), name_space.empty() ? "" : name_space + "/", name);
}

std::string TextAt(const Json& object, std::initializer_list<std::string_view> path) {
  const Json* at = &object;
  for (const std::string_view key : path) {
    if (!at->is_object()) return "";
    const auto found = at->find(std::string(key));
    if (found == at->end()) return "";
    at = &*found;
  }
  return at->is_string() ? at->get<std::string>() : std::string();
}

StatusOr<bool> IsServed(Kubernetes& kubernetes, const ResourceType& type, const Call& call) {
  ASSIGN_OR_RETURN(const auto served, kubernetes.Discover(type.group, type.version, call));
  return std::any_of(served.begin(), served.end(),
                     [&](const ServedResource& resource) { return resource.type.plural == type.plural; });
}

}  // namespace salvor::kubernetes
