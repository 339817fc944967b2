#include "agent/engines/action/contract.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kLongestName = 200, kLongestValue = 4096, kLongestSentence = 1000;

EventField Text(const std::string& name, size_t longest, bool required = true) {
  return {name, EventField::kText, required, longest, {}};
}
EventField Number(const std::string& name, bool required = true) {
  return {name, EventField::kNumber, required, 0, {}};
}
EventField OneOf(const std::string& name, std::vector<std::string> values) {
  return {name, EventField::kText, true, 20, std::move(values)};
}

std::vector<EventKind> MakeKinds() {
  using Verb = ActionVerb;
  const std::vector<Verb> all = {Verb::kPlan, Verb::kBackup, Verb::kRestore, Verb::kVerify};
  return {
      {"artifact",
       {Verb::kPlan, Verb::kBackup},
       {Text("name", 40), OneOf("kind", {"stream", "file"}), Text("path", 200, false), Number("bytes", false),
        Text("sha256", 64, false)}},
      {"expect", {Verb::kBackup}, {Text("name", kLongestName), Text("value", kLongestValue)}},
      {"observe", {Verb::kVerify}, {Text("name", kLongestName), Text("value", kLongestValue)}},
      {"check",
       {Verb::kVerify},
       {Text("name", kLongestName), OneOf("verdict", {"passed", "failed", "unverifiable"}),
        Text("detail", kLongestSentence, false)}},
      {"progress",
       all,
       {Number("bytes_done", false), Number("bytes_total", false), Text("message", kLongestSentence, false)}},
      {"warning", all, {Text("message", kLongestSentence)}},
      {"conflict", {Verb::kPlan}, {Text("message", kLongestSentence)}},
      {"error", all, {Text("message", kLongestSentence), Text("hint", kLongestSentence, false)}},
      {"done", all, {}},
  };
}

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
}

}  // namespace

std::string_view NameOf(ActionVerb verb) {
  switch (verb) {
    case ActionVerb::kPlan:
      return "plan";
    case ActionVerb::kBackup:
      return "backup";
    case ActionVerb::kRestore:
      return "restore";
    case ActionVerb::kVerify:
      break;
  }
  return "verify";
}

const std::vector<EventKind>& EventKinds() {
  static const auto* const kinds = new std::vector<EventKind>(MakeKinds());
  return *kinds;
}

std::string ToJson(const ActionRequest& request) {
  nlohmann::json json = {{"contract", kActionContract},
                         {"verb", std::string(NameOf(request.verb))},
                         {"operation", request.operation},
                         {"run", request.run},
                         {"component", request.component},
                         {"attempt", request.attempt},
                         {"drill", request.drill},
                         {"settings", request.settings},
                         {"secrets", request.secrets},
                         {"work", request.work},
                         {"streams", request.streams},
                         {"artifacts", nlohmann::json::array()},
                         {"deadline_seconds", request.deadline_s}};
  for (const ActionArtifact& one : request.artifacts) {
    json["artifacts"].push_back(
        {{"name", one.name}, {"path", one.path}, {"bytes", one.bytes}, {"sha256", one.sha256}});
  }
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Status CheckArtifactName(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 40 && name.front() != '.' && name.front() != '-' &&
                    std::all_of(name.begin(), name.end(), IsNameCharacter);
  if (!good)
    return InvalidArgument("'{}' is no name of an artifact: a-z, 0-9, '.' and '-', at most 40 characters",
                           CleanText(Elide(name, 80)));
  if (name == "record")
    return InvalidArgument("an artifact cannot be called 'record', which is Salvor's own");
  return OkStatus();
}

Status CheckWorkPath(std::string_view path) {
  bool good = !path.empty() && path.size() <= 200 && path.find('\0') == std::string_view::npos;
  for (const std::string& part : Split(path, '/'))
    good = good && !part.empty() && part != "." && part != "..";
  if (good) return OkStatus();
  return InvalidArgument("'{}' is no path below the work folder", CleanText(Elide(path, 80)));
}

}  // namespace salvor::agent
