#include "agent/engines/mariadb/grants.h"

#include "base/text.h"

namespace salvor::agent {
namespace {

// The part behind " ON " and before " TO ", outside of backticks; "" where it is no such grant.
std::string ScopeOf(std::string_view grant, std::string_view* privileges) {
  if (grant.substr(0, 6) != "GRANT ") return "";
  bool quoted = false;
  size_t on = std::string_view::npos;
  for (size_t i = 6; i < grant.size(); ++i) {
    if (grant[i] == '`') quoted = !quoted;
    if (quoted) continue;
    if (on == std::string_view::npos && grant.substr(i, 4) == " ON ") on = i;
    if (on != std::string_view::npos && grant.substr(i, 4) == " TO ") {
      *privileges = grant.substr(6, on - 6);
      return std::string(grant.substr(on + 4, i - on - 4));
    }
  }
  return "";
}

bool Lists(std::string_view privileges, std::string_view wanted) {
  for (const std::string& one : Split(privileges, ',')) {
    const std::string_view name = Trim(one);
    if (name == wanted || name == "ALL PRIVILEGES" || name == "ALL") return true;
  }
  return false;
}

// The name in the first pair of backticks; what is not in backticks as it is.
std::string FirstName(std::string_view scope) {
  if (scope.empty() || scope.front() != '`') return std::string(scope.substr(0, scope.find('.')));
  std::string name;
  for (size_t i = 1; i < scope.size(); ++i) {
    if (scope[i] == '`') {
      if (i + 1 >= scope.size() || scope[i + 1] != '`') break;
      ++i;
    }
    name += scope[i];
  }
  return name;
}

}  // namespace

bool MatchesGrantPattern(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern.front() == '%')
    return MatchesGrantPattern(pattern.substr(1), name) ||
           (!name.empty() && MatchesGrantPattern(pattern, name.substr(1)));
  if (name.empty()) return false;
  if (pattern.front() == '_') return MatchesGrantPattern(pattern.substr(1), name.substr(1));
  if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
  return pattern.front() == name.front() && MatchesGrantPattern(pattern.substr(1), name.substr(1));
}

bool IsOfOtherDatabase(std::string_view grant, const std::vector<std::string>& databases) {
  std::string_view privileges;
  std::string scope = ScopeOf(grant, &privileges);
  if (scope.empty() || scope.substr(scope.size() - 1) == "*" || scope.find('.') == std::string::npos)
    return false;
  for (const char* routine : {"PROCEDURE ", "FUNCTION ", "PACKAGE BODY ", "PACKAGE "}) {
    if (scope.rfind(routine, 0) == 0) scope.erase(0, std::string_view(routine).size());
  }
  const std::string name = FirstName(scope);
  for (const std::string& database : databases) {
    if (database == name) return false;
  }
  return true;
}

bool HasPrivilege(const std::vector<std::string>& grants, std::string_view privilege,
                  std::string_view database) {
  for (const std::string& grant : grants) {
    std::string_view privileges;
    const std::string scope = ScopeOf(grant, &privileges);
    if (scope.size() < 3 || scope.substr(scope.size() - 2) != ".*" || !Lists(privileges, privilege)) continue;
    if (scope == "*.*") return true;
    if (!database.empty() && MatchesGrantPattern(FirstName(scope), database)) return true;
  }
  return false;
}

}  // namespace salvor::agent
