#include "base/io/yaml/render.h"

#include <gmock/gmock.h>

#include "base/io/yaml/proto_names.h"
#include "proto/time.h"
#include "salvor/v1/action.pb.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/run.pb.h"

namespace salvor {
namespace {

v1::Artifact Dump() {
  v1::Artifact artifact;
  artifact.set_component("db");
  artifact.set_kind(v1::Artifact::KIND_POSTGRES_DUMP);
  artifact.set_bytes(1181116006);
  artifact.set_sha256(std::string("\x00\xff", 2));
  *artifact.mutable_consistent_at() = ToProto(absl::FromUnixSeconds(1795256100));
  artifact.mutable_coverage();
  return artifact;
}

TEST(RenderYaml, WritesTimesEnumsAndBytesForPeople) {
  EXPECT_EQ(RenderYaml(Dump()), R"(component: db
kind: PostgresDump
bytes: 1181116006
sha256: "00ff"
consistentAt: "2026-11-21T10:15:00Z"
coverage: {}
)");
}

TEST(RenderYaml, WritesNestedListsAndDurations) {
  v1::Flow flow;
  v1::Step* step = flow.add_steps();
  step->set_id("db.dump");
  step->add_after()->set_step("db.preflight");
  step->add_after();
  *step->mutable_retry()->mutable_initial() = ToProto(absl::Milliseconds(1500));
  step->mutable_retry()->set_factor(1.5);
  flow.add_steps()->mutable_action()->mutable_noop();
  EXPECT_EQ(RenderYaml(flow), R"(steps:
- id: db.dump
  after:
  - step: db.preflight
  - {}
  retry:
    initial: "1.5s"
    factor: 1.5
- action:
    noop: {}
)");
  EXPECT_EQ(RenderYaml(v1::Flow()), "{}\n");
}

TEST(RenderJson, HasTheNamesAndValuesOfTheYaml) {
  EXPECT_EQ(RenderJson(Dump(), false),
            R"({"component":"db","kind":"PostgresDump","bytes":1181116006,"sha256":"00ff",)"
            R"("consistentAt":"2026-11-21T10:15:00Z","coverage":{}})");
  EXPECT_THAT(RenderJson(Dump(), true), testing::HasSubstr("\n \"component\": \"db\",\n"));
  v1::Flow flow;
  *flow.add_steps()->mutable_retry()->mutable_initial() = ToProto(absl::Milliseconds(90500));
  flow.mutable_steps(0)->mutable_retry()->set_factor(1.5);
  EXPECT_EQ(RenderJson(flow, false), R"({"steps":[{"retry":{"initial":"1m30.5s","factor":1.5}}]})");
  EXPECT_EQ(RenderJson(v1::Flow(), false), "{}");
}

TEST(RenderJson, SortsMapsAndSurvivesTextThatIsNotUtf8) {
  v1::ApplicationChecks checks;
  for (const char* name : {"b", "a", "c"}) (*checks.mutable_database_names())[name] = "x";
  checks.set_component("\xff!");
  EXPECT_EQ(RenderJson(checks, false),
            "{\"component\":\"\xef\xbf\xbd!\",\"databaseNames\":{\"a\":\"x\",\"b\":\"x\",\"c\":\"x\"}}");
}

TEST(RenderLists, WrapWhateverTheyHoldInItemsAndNothingToo) {
  const v1::Artifact dump = Dump();
  EXPECT_EQ(RenderJsonList({}, false), R"({"items":[]})");
  EXPECT_EQ(RenderYamlList({}), "items: []\n");
  EXPECT_EQ(RenderJsonList({&dump}, false), "{\"items\":[" + RenderJson(dump, false) + "]}");
  const v1::Artifact empty;
  EXPECT_EQ(RenderYamlList({&dump, &empty}), R"(items:
- component: db
  kind: PostgresDump
  bytes: 1181116006
  sha256: "00ff"
  consistentAt: "2026-11-21T10:15:00Z"
  coverage: {}
- {}
)");
}

TEST(QuoteYaml, QuotesWhateverAReaderCouldTakeForSomethingElse) {
  for (const char* plain : {"shop", "/srv/shop data", "s3:https://x/y", "a-b_c.d", "SELECT count(*)"}) {
    const std::string text = plain;
    EXPECT_EQ(QuoteYaml(text), text == "SELECT count(*)" ? "\"SELECT count(*)\"" : text);
  }
  for (const char* quoted :
       {"", "null", "Yes", "12", "1e3", "-a", "a: b", "a #b", "a ", " a", "~", "é", "*a", "a:"}) {
    EXPECT_EQ(QuoteYaml(quoted), "\"" + std::string(quoted) + "\"");
  }
  EXPECT_EQ(QuoteYaml("a\"b\\c\x01"), R"("a\"b\\c\x01")");
}

TEST(EnumText, LeavesThePrefixOut) {
  EXPECT_EQ(EnumText(v1::STEP_PHASE_SUCCEEDED), "Succeeded");
  EXPECT_EQ(EnumText(v1::RetryPolicy::ON_EXHAUSTED_PAUSE), "Pause");
  EXPECT_EQ(EnumText(v1::Artifact::KIND_TREE_DETAILS), "TreeDetails");
  EXPECT_EQ(EnumText(v1::RUN_PHASE_UNSPECIFIED), "");
  EXPECT_EQ(EnumText(static_cast<v1::RunPhase>(99)), "99");
}

TEST(DidYouMean, SuggestsOnlyWhatIsClose) {
  const std::vector<std::string> choices = {"passwordFile", "repository", "options"};
  EXPECT_EQ(DidYouMean("password_file", choices), "; did you mean 'passwordFile'?");
  EXPECT_EQ(DidYouMean("repositroy", choices), "; did you mean 'repository'?");
  EXPECT_EQ(DidYouMean("bucket", choices), "");
  EXPECT_EQ(DidYouMean("", choices), "");
}

}  // namespace
}  // namespace salvor
