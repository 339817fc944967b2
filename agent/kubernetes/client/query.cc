#include "agent/kubernetes/client/query.h"

#include <algorithm>

namespace salvor::kubernetes {
namespace {

bool IsUnreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string_view PropagationText(Propagation propagation) {
  switch (propagation) {
    case Propagation::kForeground:
      return "Foreground";
    case Propagation::kOrphan:
      return "Orphan";
    case Propagation::kBackground:
      break;
  }
  return "Background";
}

void AddSelection(Query& query, const Selection& selection) {
  query.AddUnlessEmpty("labelSelector", selection.labels).AddUnlessEmpty("fieldSelector", selection.fields);
}

}  // namespace

std::string EncodeSegment(std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (IsUnreserved(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kDigits[byte >> 4];
    encoded += kDigits[byte & 15];
  }
  return encoded;
}

Query& Query::Add(std::string_view key, std::string_view value) {
  text_ += text_.empty() ? '?' : '&';
  text_ += EncodeSegment(key);
  text_ += '=';
  text_ += EncodeSegment(value);
  return *this;
}

Query& Query::AddUnlessEmpty(std::string_view key, std::string_view value) {
  return value.empty() ? *this : Add(key, value);
}

Status CheckPathName(std::string_view what, std::string_view name) {
  if (name.empty()) return InvalidArgument("the {} is missing", what);
  if (name == "." || name == ".." || name.find_first_of("/%") != std::string_view::npos) {
    return InvalidArgument("'{}' cannot be a {}", name, what);
  }
  return OkStatus();
}

Status CheckKey(const ObjectKey& key) {
  if (key.type.is_namespaced) RETURN_IF_ERROR(CheckPathName("namespace", key.name_space));
  return CheckPathName("name", key.name);
}

Status CheckNamespace(const ResourceType& type, const std::string& name_space) {
  return type.is_namespaced && !name_space.empty() ? CheckPathName("namespace", name_space) : OkStatus();
}

Query ListQuery(const ListOptions& options, std::string_view continue_token) {
  Query query;
  AddSelection(query, options.selection);
  query.Add("limit", std::to_string(options.page_size));
  query.AddUnlessEmpty("continue", continue_token);
  if (continue_token.empty()) {  // a further page reads the state of the first
    query.AddUnlessEmpty("resourceVersion", options.resource_version);
    query.AddUnlessEmpty("resourceVersionMatch", options.resource_version_match);
  }
  return query;
}

Query WatchQuery(const Selection& selection, std::string_view resource_version, int64_t timeout_s) {
  Query query;
  query.Add("watch", "1").Add("allowWatchBookmarks", "true").Add("resourceVersion", resource_version);
  query.Add("timeoutSeconds", std::to_string(timeout_s));
  AddSelection(query, selection);
  return query;
}

Query WriteQuery(const WriteOptions& options) {
  Query query;
  query.AddUnlessEmpty("fieldManager", options.field_manager).Add("fieldValidation", "Strict");
  if (options.dry_run) query.Add("dryRun", "All");
  return query;
}

Query LogQuery(const LogOptions& options) {
  Query query;
  query.AddUnlessEmpty("container", options.container);
  if (options.tail_lines) query.Add("tailLines", std::to_string(*options.tail_lines));
  if (options.since) {
    const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(*options.since, absl::Seconds(1)));
    query.Add("sinceSeconds", std::to_string(std::max<int64_t>(1, seconds)));
  }
  if (options.limit_bytes) query.Add("limitBytes", std::to_string(*options.limit_bytes));
  if (options.follow) query.Add("follow", "true");
  if (options.previous) query.Add("previous", "true");
  return query;
}

Query ExecQuery(const ExecCommand& command) {
  Query query;
  query.AddUnlessEmpty("container", command.container);
  for (const std::string& argument : command.argv) query.Add("command", argument);
  if (command.stdin_fd >= 0) query.Add("stdin", "true");
  query.Add("stdout", "true").Add("stderr", "true");
  return query;
}

Json DeleteBody(const DeleteOptions& options) {
  Json body = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  body["propagationPolicy"] = PropagationText(options.propagation);
  if (options.uid) body["preconditions"]["uid"] = *options.uid;
  if (options.resource_version) body["preconditions"]["resourceVersion"] = *options.resource_version;
  if (options.dry_run) body["dryRun"] = Json::array({"All"});
  return body;
}

}  // namespace salvor::kubernetes
