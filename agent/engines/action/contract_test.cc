// Holds the schema that authors of programs read to what the agent does.
#include "agent/engines/action/contract.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/io/files.h"

namespace salvor::agent {
namespace {

using nlohmann::json;

json Schema() {
  const auto text = ReadFile(SALVOR_ACTION_SCHEMA);
  EXPECT_TRUE(text.ok()) << text.status();
  return json::parse(text.value_or("{}"));
}

// The schema's part of an event, as the table of the agent would write it.
json ShapeOf(const EventKind& kind) {
  json properties = {{"event", {{"const", kind.name}}}};
  std::vector<std::string> required = {"event"};
  for (const EventField& field : kind.fields) {
    json shape;
    if (field.type == EventField::kNumber) {
      shape = {{"type", "integer"}, {"minimum", 0}};
    } else if (!field.one_of.empty()) {
      shape = {{"enum", field.one_of}};
    } else {
      shape = {{"type", "string"}, {"maxLength", field.longest}};
    }
    properties[field.name] = shape;
    if (field.required) required.push_back(field.name);
  }
  std::vector<std::string> verbs;
  for (const ActionVerb verb : kind.verbs) verbs.emplace_back(NameOf(verb));
  return {{"type", "object"},
          {"additionalProperties", false},
          {"required", required},
          {"properties", properties},
          {"x-verbs", verbs}};
}

json WithoutWords(json shape) {
  shape.erase("description");
  for (auto& [name, property] : shape["properties"].items()) property.erase("description");
  return shape;
}

TEST(ActionContract, TheSchemasEventsAreTheAgents) {
  const json schema = Schema();
  std::set<std::string> known;
  for (const EventKind& kind : EventKinds()) {
    known.insert(kind.name);
    ASSERT_TRUE(schema["$defs"]["events"].contains(kind.name)) << kind.name;
    EXPECT_EQ(WithoutWords(schema["$defs"]["events"][kind.name]), ShapeOf(kind)) << kind.name;
  }
  for (const auto& [name, shape] : schema["$defs"]["events"].items())
    EXPECT_EQ(known.count(name), 1u) << name;
}

TEST(ActionContract, TheSchemasRequestIsTheAgents) {
  ActionRequest request;
  request.artifacts.push_back({"a", false, "/a", 1, "00"});
  const json written = json::parse(ToJson(request)), schema = Schema();
  const json& asked = schema["$defs"]["request"];
  std::set<std::string> keys, properties, artifact;
  for (const auto& [key, value] : written.items()) keys.insert(key);
  for (const auto& [key, value] : asked["properties"].items()) properties.insert(key);
  EXPECT_EQ(keys, properties);
  EXPECT_EQ(asked["required"].size(), properties.size()) << "all of them are always there";
  for (const auto& [key, value] : asked["properties"]["artifacts"]["items"]["properties"].items())
    artifact.insert(key);
  for (const auto& [key, value] : written["artifacts"][0].items()) EXPECT_EQ(artifact.count(key), 1u) << key;
  EXPECT_EQ(asked["properties"]["contract"]["const"], kActionContract);
}

TEST(ActionContract, TheSchemasLimitsAreTheAgents) {
  const json limits = Schema()["x-limits"];
  EXPECT_EQ(limits["events"], kMostEvents);
  EXPECT_EQ(limits["events_bytes"], kMostEventBytes);
  EXPECT_EQ(limits["artifacts"], kMostArtifacts);
  EXPECT_EQ(limits["streams"], kMostStreams);
  EXPECT_EQ(limits["of_each_event"], kMostExpectations);
  const json descriptors = Schema()["x-descriptors"];
  EXPECT_EQ(descriptors["events"], kEventsDescriptor);
  EXPECT_EQ(descriptors["program"], kProgramDescriptor);
  EXPECT_EQ(descriptors["first_stream"], kFirstStreamDescriptor);
  const json codes = Schema()["x-exit-codes"];
  EXPECT_EQ(codes["damaged"], kExitDamaged);
  EXPECT_EQ(codes["temporary"], kExitTemporary);
}

}  // namespace
}  // namespace salvor::agent
