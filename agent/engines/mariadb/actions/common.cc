#include "agent/engines/mariadb/actions/common.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <set>

#include "agent/engines/mariadb/scratch_engine.h"
#include "agent/scratch/scratch_places.h"
#include "base/text.h"

namespace salvor::agent {

StatusOr<ResolvedMariadbTarget> ResolveMariadbTarget(const v1::MariadbTarget& target,
                                                     ActionContext& context) {
  ResolvedMariadbTarget resolved;
  if (target.has_connection()) {
    resolved.connection = target.connection();
    return resolved;
  }
  if (target.scratch().empty()) return InvalidArgument("no target is named");
  if (context.scratch == nullptr) return FailedPrecondition("this agent has no place for drills");
  ASSIGN_OR_RETURN(const ScratchState state, context.scratch->EnsureRunning(target.scratch()));
  resolved.connection = MariadbConnectionTo(state);
  resolved.scratch = true;
  return resolved;
}

StatusOr<std::unique_ptr<MariadbSession>> OpenMariadb(const v1::MariadbConnection& where,
                                                      ActionContext& context) {
  MariadbSessionOptions options;
  options.stop = context.stop;
  options.deadline = context.deadline;
  auto opened = MariadbSession::Open(where, options);
  if (opened.ok()) return opened;
  return WithHint(WithContext(opened.status(), "connecting to " + Describe(where)),
                  "Check the connection's socket or host, user and password file on the agent's host.");
}

Status CheckMariadbDatabase(const std::string& name) {
  static const std::set<std::string> own = {"mysql", "information_schema", "performance_schema", "sys"};
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (own.count(lower) > 0) return InvalidArgument("database '{}' is the server's own", name);
  const bool readable =
      std::none_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (name.empty() || name.size() > 64 * 4 || name.front() == '-' || !readable)
    return InvalidArgument("'{}' is no name of a database that can be dumped", CleanText(Elide(name, 80)));
  return OkStatus();
}

std::vector<std::string> DatabaseNames(const v1::MariadbDetails& details) {
  std::vector<std::string> names;
  for (const v1::MariadbDatabase& database : details.databases()) names.push_back(database.name());
  return names;
}

StatusOr<std::string> MariadbDetailsToJson(const v1::MariadbDetails& details) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(details, &json, options).ok())
    return Internal("the details of the dump cannot be written as JSON");
  return json;
}

StatusOr<v1::MariadbDetails> LoadMariadbDetails(const ActionContext& context,
                                                const v1::ResticLocation& location,
                                                const v1::Artifact& artifact) {
  ASSIGN_OR_RETURN_IN(const std::string text, context.Repository(location).LoadText(artifact),
                      "reading what is expected of the databases");
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  v1::MariadbDetails details;
  if (!google::protobuf::util::JsonStringToMessage(text, &details, options).ok() || details.format() != 1)
    return DataLoss("what is expected of the databases is no text that this version can read");
  return details;
}

void MariadbProblems::Add(const std::string& message, const std::string& hint) {
  messages_.push_back(message);
  if (!hint.empty() && std::find(hints_.begin(), hints_.end(), hint) == hints_.end()) hints_.push_back(hint);
}

Status MariadbProblems::AsRefusal() const {
  if (Empty()) return OkStatus();
  const Status refusal = FailedPrecondition("{}", Join(messages_, "; "));
  return hints_.empty() ? refusal : WithHint(refusal, Join(hints_, " "));
}

}  // namespace salvor::agent
