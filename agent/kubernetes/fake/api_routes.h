// The paths of an API server, as its other end reads them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace salvor::kubernetes {

struct Route {
  std::string group;
  std::string version;
  std::string name_space;
  std::string plural;       // "": the group itself
  std::string name;         // "": the collection
  std::string subresource;  // "log", "exec"
};

std::string DecodeUrl(std::string_view text);

std::optional<Route> ReadRoute(std::string_view path);

// The parameters of a query, in order.
class Parameters {
 public:
  explicit Parameters(std::string_view query);
  std::string Get(std::string_view key) const;  // "" where it is not there
  bool Has(std::string_view key) const;
  std::vector<std::string> All(std::string_view key) const;

 private:
  std::vector<std::pair<std::string, std::string>> parameters_;
};

}  // namespace salvor::kubernetes
