// Declared objects, agents and what was wrong with a declaration as text. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/control_service.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

// "Application" for "application", "Applications", …; "" for "all"; nothing known: an error with a hint.
StatusOr<std::string> KindNamed(const std::string& word);

// Columns by kind when all objects are of one, else kind and name.
std::string RenderObjectTable(const std::vector<v1::Object>& objects, const Style& style);

// {"apiVersion": …, "kind": …, "metadata": …, "spec": …}
std::string RenderObjectJson(const v1::Object& object);

std::string RenderAgentTable(const v1::ListAgentsResponse& agents, const Style& style);
std::string RenderUserTokenTable(const v1::ListTokensResponse& tokens, const Style& style);
std::string RenderTokenTable(const v1::ListTokensResponse& tokens, const Style& style);

}  // namespace salvor::cli
