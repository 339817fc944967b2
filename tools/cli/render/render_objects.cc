#include "tools/cli/render/render_objects.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "base/io/yaml/proto_names.h"
#include "base/io/yaml/render.h"
#include "base/io/yaml/yaml_objects.h"
#include "base/text.h"
#include "proto/kind.h"
#include "tools/cli/terminal/table.h"
#include "tools/cli/terminal/text_layout.h"
#include "tools/cli/words/words.h"

namespace salvor::cli {
namespace {

constexpr const char* kKinds[] = {"Environment", "Location", "Driver", "Application"};

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// "db (postgres), uploads (disk)".
std::string ComponentsText(const google::protobuf::RepeatedPtrField<v1::Component>& components) {
  std::vector<std::string> parts;
  for (const v1::Component& component : components) {
    const std::string strategy = StrategyWord(component);
    parts.push_back(component.name() + (strategy.empty() ? "" : " (" + strategy + ")"));
  }
  return Join(parts, ", ");
}

Table MixedTable(const std::vector<v1::Object>& objects) {
  Table table({{.title = "KIND"}, {.title = "NAME"}, {.title = "GENERATION", .align = Align::kRight}});
  for (const v1::Object& object : objects) {
    table.Add({KindOf(object), object.metadata().name(), std::to_string(object.metadata().generation())});
  }
  return table;
}

std::vector<Table::Column> ColumnsOf(v1::Object::SpecCase kind) {
  const Table::Column name{.title = "NAME"};
  switch (kind) {
    case v1::Object::kEnvironment:
      return {name, {.title = "RUNTIME"}, {.title = "LOCATION"}};
    case v1::Object::kLocation:
      return {name, {.title = "REPOSITORY"}};
    case v1::Object::kDriver:
      return {name, {.title = "COMPONENTS"}};
    default:
      return {name,
              {.title = "ENVIRONMENT"},
              {.title = "DRIVER"},
              {.title = "LOCATION"},
              {.title = "COMPONENTS"}};
  }
}

std::vector<Table::Cell> RowOf(const v1::Object& object) {
  std::vector<Table::Cell> row = {object.metadata().name()};
  switch (object.spec_case()) {
    case v1::Object::kEnvironment:
      row.emplace_back(Word(object.environment().runtime()));
      row.emplace_back(object.environment().location());
      break;
    case v1::Object::kLocation:
      row.emplace_back(object.location().restic().repository());
      break;
    case v1::Object::kDriver:
      row.emplace_back(ComponentsText(object.driver().components()));
      break;
    default:
      row.emplace_back(object.application().environment());
      row.emplace_back(object.application().driver());
      row.emplace_back(object.application().location());
      row.emplace_back(ComponentsText(object.application().components()));
  }
  return row;
}

}  // namespace

StatusOr<std::string> KindNamed(const std::string& word) {
  const std::string lower = Lower(word);
  if (lower == "all") return std::string();
  for (const char* kind : kKinds) {
    if (lower == Lower(kind) || lower == Lower(kind) + "s") return std::string(kind);
  }
  for (const char* noun : {"run", "backup", "agent"}) {
    if (lower != noun && lower != noun + std::string("s")) continue;
    return WithHint(InvalidArgument("{} are not declared objects", noun + std::string("s")),
                    fmt::format("Use `salvor {} list`.", noun));
  }
  std::vector<std::string> kinds = {"all"};
  for (const char* kind : kKinds) kinds.push_back(Lower(kind));
  return WithHint(InvalidArgument("there is no kind '{}'{}", CleanText(word), DidYouMean(lower, kinds)),
                  "Kinds are environment, location, driver and application, or all.");
}

std::string RenderObjectTable(const std::vector<v1::Object>& objects, const Style& style) {
  const bool one_kind =
      !objects.empty() && std::all_of(objects.begin(), objects.end(), [&](const auto& object) {
        return object.spec_case() == objects.front().spec_case();
      });
  if (!one_kind) return MixedTable(objects).Render(style);
  std::vector<Table::Column> columns = ColumnsOf(objects.front().spec_case());
  if (style.wide) columns.push_back({.title = "GENERATION", .align = Align::kRight});
  Table table(columns);
  for (const v1::Object& object : objects) {
    std::vector<Table::Cell> row = RowOf(object);
    if (style.wide) row.emplace_back(std::to_string(object.metadata().generation()));
    table.Add(std::move(row));
  }
  return table.Render(style);
}

std::string RenderObjectJson(const v1::Object& object) {
  std::string spec = "{}";
  const auto* field = object.GetReflection()->GetOneofFieldDescriptor(
      object, object.GetDescriptor()->FindOneofByName("spec"));
  if (field != nullptr) {
    spec = RenderJson(object.GetReflection()->GetMessage(object, field), false);
  }
  return fmt::format("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",\"metadata\":{},\"spec\":{}}}", kApiVersion,
                     KindOf(object), RenderJson(object.metadata(), false), spec);
}

namespace {

// "disk=ssd,rack=7", by name.
std::string LabelsOf(const v1::AgentStatus& agent) {
  std::vector<std::string> labels;
  for (const auto& [key, value] :
       std::map<std::string, std::string>(agent.labels().begin(), agent.labels().end()))
    labels.push_back(CleanText(fmt::format("{}={}", key, value)));
  return Join(labels, ",");
}

}  // namespace

std::string RenderAgentTable(const v1::ListAgentsResponse& agents, const Style& style) {
  std::vector<Table::Column> columns = {{.title = "NAME"},
                                        {.title = "ENVIRONMENT"},
                                        {.title = "KIND"},
                                        {.title = "STATE"},
                                        {.title = "RUNNING", .align = Align::kRight},
                                        {.title = "LAST SEEN"}};
  if (style.wide) {
    columns.push_back({.title = "VERSION"});
    columns.push_back({.title = "HOST"});
    columns.push_back({.title = "LABELS"});
  }
  Table table(columns);
  for (const v1::AgentStatus& agent : agents.agents()) {
    std::vector<Table::Cell> row = {
        agent.name(),
        agent.environment(),
        Word(agent.kind()),
        agent.connected() ? Table::Cell("connected", Tone::kGood) : Table::Cell("offline", Tone::kBad),
        std::to_string(agent.running()),
        When(style, agent.has_last_seen_at(), agent.last_seen_at())};
    if (style.wide) {
      row.emplace_back(agent.version());
      row.emplace_back(agent.host());
      row.emplace_back(LabelsOf(agent));
    }
    table.Add(std::move(row));
  }
  return table.Render(style);
}

namespace {

void AddWhoAndWhen(std::vector<Table::Column>& columns) {
  columns.push_back({.title = "CREATED BY"});
  columns.push_back({.title = "REVOKED"});
  columns.push_back({.title = "REVOKED BY"});
}

// The cells that follow what the token is for.
void AddState(const v1::Token& token, const Style& style, std::vector<Table::Cell>& row) {
  row.push_back(token.has_revoked_at() ? Table::Cell("revoked", Tone::kDim)
                                       : Table::Cell("valid", Tone::kGood));
  row.emplace_back(When(style, token.has_created_at(), token.created_at()));
  if (!style.wide) return;
  row.emplace_back(token.created_by());
  row.emplace_back(When(style, token.has_revoked_at(), token.revoked_at()));
  row.emplace_back(token.revoked_by());
}

}  // namespace

std::string RenderUserTokenTable(const v1::ListTokensResponse& tokens, const Style& style) {
  std::vector<Table::Column> columns = {
      {.title = "NAME"}, {.title = "CLASS"}, {.title = "STATE"}, {.title = "CREATED"}};
  if (style.wide) AddWhoAndWhen(columns);
  Table table(columns);
  for (const v1::Token& token : tokens.tokens()) {
    std::vector<Table::Cell> row = {token.name(), Word(token.token_class())};
    AddState(token, style, row);
    table.Add(std::move(row));
  }
  return table.Render(style);
}

std::string RenderTokenTable(const v1::ListTokensResponse& tokens, const Style& style) {
  std::vector<Table::Column> columns = {{.title = "NAME"},
                                        {.title = "ENVIRONMENT"},
                                        {.title = "AGENT"},
                                        {.title = "STATE"},
                                        {.title = "CREATED"}};
  if (style.wide) AddWhoAndWhen(columns);
  Table table(columns);
  for (const v1::Token& token : tokens.tokens()) {
    std::vector<Table::Cell> row = {token.name(), token.environment(), token.agent()};
    AddState(token, style, row);
    table.Add(std::move(row));
  }
  return table.Render(style);
}

}  // namespace salvor::cli
