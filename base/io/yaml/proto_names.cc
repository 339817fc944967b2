#include "base/io/yaml/proto_names.h"

#include <fmt/core.h>

#include <algorithm>

namespace salvor {
namespace {

bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char ToLower(char c) { return IsUpper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

// "OnExhausted" -> "ON_EXHAUSTED_"
std::string PrefixOf(const std::string& type_name) {
  std::string prefix;
  for (size_t i = 0; i < type_name.size(); ++i) {
    if (i > 0 && IsUpper(type_name[i])) prefix += '_';
    prefix += ToUpper(type_name[i]);
  }
  return prefix + '_';
}

// Letters and digits only, in lower case: what people mean by a name, however they write it.
std::string Skeleton(std::string_view word) {
  std::string skeleton;
  for (const char c : word) {
    if (c != '_' && c != '-' && c != ' ') skeleton += ToLower(c);
  }
  return skeleton;
}

// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min(
          {cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string EnumText(const google::protobuf::EnumValueDescriptor& value) {
  std::string name = value.name();
  const std::string prefix = PrefixOf(value.type()->name());
  if (name.rfind(prefix, 0) == 0) name.erase(0, prefix.size());
  std::string text;
  bool first_of_word = true;
  for (const char c : name) {
    if (c == '_') {
      first_of_word = true;
    } else {
      text += first_of_word ? c : ToLower(c);
      first_of_word = false;
    }
  }
  return text;
}

std::string EnumText(const google::protobuf::EnumDescriptor& type, int number) {
  const google::protobuf::EnumValueDescriptor* value = type.FindValueByNumber(number);
  if (value == nullptr) return std::to_string(number);
  return IsUnspecified(*value) ? "" : EnumText(*value);
}

bool IsUnspecified(const google::protobuf::EnumValueDescriptor& value) {
  static constexpr std::string_view kSuffix = "_UNSPECIFIED";
  const std::string& name = value.name();
  return value.number() == 0 && name.size() > kSuffix.size() &&
         std::string_view(name).substr(name.size() - kSuffix.size()) == kSuffix;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& choices) {
  const std::string wanted = Skeleton(word.substr(0, 64));
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(1, wanted.size() / 3) + 1;
  for (const std::string& choice : choices) {
    const size_t distance = EditDistance(wanted, Skeleton(choice));
    if (distance < best_distance && distance < choice.size()) {
      best_distance = distance;
      best = &choice;
    }
  }
  return best == nullptr ? "" : fmt::format("; did you mean '{}'?", *best);
}

}  // namespace salvor
