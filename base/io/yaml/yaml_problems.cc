// Problems of declared objects get their places, and those that merely follow from others are told apart.
#include <fmt/format.h>

#include <algorithm>

#include "base/io/yaml/yaml_objects.h"

namespace salvor {
namespace {

bool IsWithin(std::string_view field, std::string_view outer) {
  return field == outer || (field.size() > outer.size() && field.substr(0, outer.size()) == outer &&
                            (field[outer.size()] == '.' || field[outer.size()] == '['));
}

std::string_view ParentOf(std::string_view field) {
  const size_t end = field.find_last_of(".[");
  return field.substr(0, end == std::string_view::npos ? 0 : end);
}

bool MayFollow(const v1::Problem& problem, const std::string& unread) {
  const std::string& field = problem.field();
  if (unread.empty() || unread == "kind" || unread == "spec") return field != "metadata.name";
  if (IsWithin(field, unread) || IsWithin(unread, field)) return true;
  // A field that is missing may stand there under a wrong name.
  const bool missing =
      problem.message().rfind("is missing", 0) == 0 || problem.message().rfind("needs ", 0) == 0;
  return missing && ParentOf(field) == ParentOf(unread);
}

}  // namespace

std::string YamlProblem::ToString() const {
  const std::string where = fmt::format("{}:{}:{}: ", file, at.line, at.column);
  return field.empty() ? where + message : fmt::format("{}{}: {}", where, field, message);
}

SourcePosition FieldPositions::Find(std::string_view field) const {
  while (true) {
    if (const auto found = positions_.find(field); found != positions_.end()) return found->second;
    if (field.empty()) return {};
    const size_t end = field.find_last_of(".[");
    field = field.substr(0, end == std::string_view::npos ? 0 : end);
  }
}

YamlProblem LocateProblem(const std::vector<ParsedObject>& objects, const v1::Problem& problem) {
  YamlProblem located;
  located.field = problem.field();
  located.message = problem.message();
  if (problem.object() >= 0 && static_cast<size_t>(problem.object()) < objects.size()) {
    const ParsedObject& object = objects[static_cast<size_t>(problem.object())];
    located.file = object.file;
    located.at = object.positions.Find(problem.field());
  }
  return located;
}

std::vector<v1::Problem> WithoutConsequences(const std::vector<ParsedObject>& objects,
                                             const std::vector<YamlProblem>& unread,
                                             const std::vector<v1::Problem>& problems) {
  const bool names_are_missing = std::any_of(unread.begin(), unread.end(), [](const YamlProblem& problem) {
    return problem.field.empty() || problem.field == "kind" || IsWithin(problem.field, "metadata");
  });
  std::vector<v1::Problem> kept;
  for (const v1::Problem& problem : problems) {
    if (names_are_missing && problem.message().rfind("there is no ", 0) == 0) continue;
    const bool placed = problem.object() >= 0 && static_cast<size_t>(problem.object()) < objects.size();
    const bool follows =
        placed && std::any_of(objects[static_cast<size_t>(problem.object())].unread.begin(),
                              objects[static_cast<size_t>(problem.object())].unread.end(),
                              [&problem](const std::string& field) { return MayFollow(problem, field); });
    if (!follows) kept.push_back(problem);
  }
  return kept;
}

}  // namespace salvor
