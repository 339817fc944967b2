// What an account may do, by what SHOW GRANTS says. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace salvor::agent {

// Whether these grants have the privilege ("TRIGGER") for the whole database; for all of the server when it is empty.
// Grants on single tables do not count.
bool HasPrivilege(const std::vector<std::string>& grants, std::string_view privilege,
                  std::string_view database);

// Whether a database's name is meant by the pattern of a grant, where % and _ stand for others unless a backslash is
// before them.
bool MatchesGrantPattern(std::string_view pattern, std::string_view name);

// Whether a grant is on a table or a routine of a database that is not among these: it can't be given where that is not.
bool IsOfOtherDatabase(std::string_view grant, const std::vector<std::string>& databases);

}  // namespace salvor::agent
