#include "agent/kubernetes/fake/api_routes.h"

#include <algorithm>

#include "base/text.h"

namespace salvor::kubernetes {

std::string DecodeUrl(std::string_view text) { return PercentDecode(text).value_or(std::string(text)); }

std::optional<Route> ReadRoute(std::string_view path) {
  std::vector<std::string> parts = Split(path, '/');
  if (parts.size() < 3 || !parts[0].empty()) return std::nullopt;
  std::transform(parts.begin(), parts.end(), parts.begin(), DecodeUrl);
  Route route;
  size_t at = 2;
  if (parts[1] == "apis") route.group = parts[at++];
  if (at >= parts.size() || (parts[1] != "apis" && parts[1] != "api")) return std::nullopt;
  route.version = parts[at++];
  if (at + 2 < parts.size() && parts[at] == "namespaces") {
    route.name_space = parts[at + 1];
    at += 2;
  }
  std::string* const rest[] = {&route.plural, &route.name, &route.subresource};
  for (std::string* part : rest) {
    if (at < parts.size()) *part = parts[at++];
  }
  if (at < parts.size()) return std::nullopt;
  return route;
}

Parameters::Parameters(std::string_view query) {
  for (const std::string& part : Split(query, '&')) {
    const size_t sign = part.find('=');
    const std::string value = sign == std::string::npos ? "" : part.substr(sign + 1);
    parameters_.emplace_back(DecodeUrl(part.substr(0, sign)), DecodeUrl(value));
  }
}

std::string Parameters::Get(std::string_view key) const {
  const auto values = All(key);
  return values.empty() ? "" : values.front();
}

bool Parameters::Has(std::string_view key) const { return !All(key).empty(); }

std::vector<std::string> Parameters::All(std::string_view key) const {
  std::vector<std::string> values;
  for (const auto& [name, value] : parameters_) {
    if (name == key) values.push_back(value);
  }
  return values;
}

}  // namespace salvor::kubernetes
