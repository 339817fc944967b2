#include "agent/kubernetes/fake/selectors.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace salvor::kubernetes {
namespace {

// At commas, but not inside of "(a,b)".
std::vector<std::string> Requirements(const std::string& selector) {
  std::vector<std::string> parts;
  std::string part;
  int depth = 0;
  for (const char c : selector) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c != ',' || depth > 0) {
      part += c;
      continue;
    }
    parts.push_back(std::exchange(part, ""));
  }
  if (!part.empty()) parts.push_back(part);
  return parts;
}

const Json* LabelOf(const Json& object, const std::string& key) {
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return nullptr;
  const auto labels = metadata->find("labels");
  if (labels == metadata->end() || !labels->is_object()) return nullptr;
  const auto label = labels->find(key);
  return label == labels->end() ? nullptr : &*label;
}

bool IsOneOf(const Json* label, const std::string& values) {
  if (label == nullptr || !label->is_string()) return false;
  const std::vector<std::string> choices = Split(values, ',');
  return std::any_of(choices.begin(), choices.end(),
                     [&](const std::string& choice) { return Trim(choice) == label->get<std::string>(); });
}

// "key in (a,b)", "key notin (a,b)"
StatusOr<bool> MatchesSet(const std::string& requirement, const Json& object) {
  const size_t open = requirement.find('(');
  const size_t close = requirement.find(')');
  const std::vector<std::string> words = Split(Trim(std::string_view(requirement).substr(0, open)), ' ');
  const bool is_sound =
      words.size() == 2 && (words[1] == "in" || words[1] == "notin") && close == requirement.size() - 1;
  if (!is_sound) return InvalidArgument("unable to parse requirement: {}", requirement);
  const bool is_in = IsOneOf(LabelOf(object, words[0]), requirement.substr(open + 1, close - open - 1));
  return (words[1] == "in") == is_in;
}

struct Equation {
  std::string key;
  bool is_equal;
  std::string value;
};

std::optional<Equation> ReadEquation(const std::string& requirement) {
  const size_t sign = requirement.find('=');
  if (sign == std::string::npos || sign == 0) return std::nullopt;
  const bool is_not = requirement[sign - 1] == '!';
  const size_t value = requirement.find_first_not_of('=', sign);
  return Equation{std::string(Trim(requirement.substr(0, is_not ? sign - 1 : sign))), !is_not,
                  value == std::string::npos ? "" : std::string(Trim(requirement.substr(value)))};
}

StatusOr<bool> MatchesLabel(const std::string& requirement, const Json& object) {
  if (requirement.find('(') != std::string::npos) return MatchesSet(requirement, object);
  if (const auto equation = ReadEquation(requirement)) {
    const Json* label = LabelOf(object, equation->key);
    return (label != nullptr && *label == equation->value) == equation->is_equal;
  }
  if (requirement.find(' ') != std::string::npos) {
    return InvalidArgument("unable to parse requirement: {}", requirement);
  }
  if (requirement.starts_with('!'))
    return LabelOf(object, std::string(Trim(requirement.substr(1)))) == nullptr;
  return LabelOf(object, requirement) != nullptr;
}

bool MaySelectBy(const std::string& kind, const std::string& field) {
  if (field == "metadata.name" || field == "metadata.namespace") return true;
  return (kind == "Pod" && (field == "status.phase" || field == "spec.nodeName")) ||
         (kind == "Secret" && field == "type") || (kind == "Namespace" && field == "status.phase") ||
         (kind == "Event" && field.starts_with("involvedObject."));
}

StatusOr<bool> MatchesField(const std::string& requirement, const std::string& kind, const Json& object) {
  const auto equation = ReadEquation(requirement);
  if (!equation) return InvalidArgument("invalid field selector: {}", requirement);
  if (!MaySelectBy(kind, equation->key))
    return InvalidArgument("field label not supported: {}", equation->key);
  const std::vector<std::string> path = Split(equation->key, '.');
  const std::string value = path.size() == 1 ? TextAt(object, {path[0]}) : TextAt(object, {path[0], path[1]});
  return (value == equation->value) == equation->is_equal;
}

}  // namespace

StatusOr<bool> IsSelected(const Selection& selection, const std::string& kind, const Json& object) {
  bool is_selected = true;
  for (const std::string& requirement : Requirements(selection.labels)) {
    ASSIGN_OR_RETURN(const bool matches, MatchesLabel(std::string(Trim(requirement)), object));
    is_selected = is_selected && matches;
  }
  for (const std::string& requirement : Requirements(selection.fields)) {
    ASSIGN_OR_RETURN(const bool matches, MatchesField(std::string(Trim(requirement)), kind, object));
    is_selected = is_selected && matches;
  }
  return is_selected;
}

}  // namespace salvor::kubernetes
