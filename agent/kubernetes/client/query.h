// The pieces of a URL. Pure.
#pragma once

#include <string>
#include <string_view>

#include "agent/kubernetes/client/kubernetes.h"
#include "base/status.h"

namespace salvor::kubernetes {

// The text as one segment of a path, or as one value of a query: everything but letters, digits and "-._~" as %XX.
std::string EncodeSegment(std::string_view text);

// "?a=1&b=x%3Dy", in the order of the calls; "" without a parameter.
class Query {
 public:
  Query& Add(std::string_view key, std::string_view value);
  Query& AddUnlessEmpty(std::string_view key, std::string_view value);
  std::string Text() const { return text_; }

 private:
  std::string text_;
};

// A name or namespace that may stand in a path: not empty, and neither "." nor ".." nor with a slash, which a URL would
// take for something else. The API server judges the rest.
Status CheckPathName(std::string_view what, std::string_view name);
Status CheckKey(const ObjectKey& key);
// A namespace to list or watch; "" is all of them.
Status CheckNamespace(const ResourceType& type, const std::string& name_space);

Query ListQuery(const ListOptions& options, std::string_view continue_token);
Query WatchQuery(const Selection& selection, std::string_view resource_version, int64_t timeout_s);
Query WriteQuery(const WriteOptions& options);  // with fieldValidation=Strict
Query LogQuery(const LogOptions& options);
Query ExecQuery(const ExecCommand& command);

// The body of a Delete.
Json DeleteBody(const DeleteOptions& options);

}  // namespace salvor::kubernetes
