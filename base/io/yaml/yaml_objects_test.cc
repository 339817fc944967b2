#include "base/io/yaml/yaml_objects.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>

#include <random>

#include "base/io/yaml/render.h"

namespace salvor {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kShop[] = R"(# A whole stack.
apiVersion: salvor.dev/v1
kind: Environment
metadata: {name: host-a}
spec:
  runtime: Host
  location: vault
---
apiVersion: salvor.dev/v1
kind: Application
metadata:
  name: shop
  labels:
    team: 42
spec:
  environment: host-a
  components:
    - name: db
      postgres:
        connection: {socketDirectory: /run/postgresql, port: 5433, user: backup}
        databases: [shop, "2024"]
        capture: Stream
        expectations:
          level: Count
      checks:
        - name: forbidden
          permission: {database: shop, role: web, statement: "DELETE FROM audit", expect: Denied}
    - name: files
      disk:
        paths: [/srv/shop]
        exclude: ~
)";

std::vector<std::string> Lines(const ParsedFile& file) {
  std::vector<std::string> lines;
  for (const YamlProblem& problem : file.problems) lines.push_back(problem.ToString());
  return lines;
}

TEST(ParseObjects, ReadsEveryDocumentOfAFile) {
  const ParsedFile file = ParseObjects(kShop, "shop.yaml");
  ASSERT_THAT(Lines(file), IsEmpty());
  ASSERT_THAT(file.objects, SizeIs(2));
  EXPECT_EQ(file.objects[0].object.environment().runtime(), v1::RUNTIME_HOST);
  const v1::Object& shop = file.objects[1].object;
  EXPECT_EQ(shop.metadata().labels().at("team"), "42");
  const v1::Component& db = shop.application().components(0);
  EXPECT_EQ(db.postgres().connection().port(), 5433);
  EXPECT_THAT(db.postgres().databases(), ElementsAre("shop", "2024"));
  EXPECT_EQ(db.postgres().capture(), v1::CAPTURE_STREAM);
  EXPECT_EQ(db.postgres().expectations().level(), v1::PostgresExpectations::LEVEL_COUNT);
  EXPECT_EQ(db.checks(0).permission().expect(), v1::PermissionCheck::VERDICT_DENIED);
  EXPECT_THAT(shop.application().components(1).disk().exclude(), IsEmpty());
}

TEST(ParseObjects, FindsNothingInAFileOfCommentsAndEmptyDocuments) {
  const ParsedFile file = ParseObjects("# nothing\n---\n---\n# still nothing\n", "empty.yaml");
  EXPECT_THAT(file.objects, IsEmpty());
  EXPECT_THAT(file.problems, IsEmpty());
}

TEST(ParseObjects, ReportsTenMistakesAtOnceEachWhereItStands) {
  const ParsedFile file = ParseObjects(R"(apiVersion: salvor.dev/v2
kind: Applicaton
metadata:
  name: shop
  generation: 7
spec: {}
---
apiVersion: salvor.dev/v1
kind: Application
metadata:
  name: shop
  name: shop2
spec:
  enviroment: host-a
  components:
    - name: db
      postgres:
        connection: {port: many, password_file: /x}
        databases: shop
        capture: stream
      disk:
        paths: [/srv, ~]
)",
                                       "app.yaml");
  ASSERT_THAT(file.objects, SizeIs(2));
  EXPECT_EQ(file.objects[0].unread.size() + file.objects[1].unread.size(), file.problems.size());
  EXPECT_THAT(file.objects[1].object.application().components(0).disk().paths(), IsEmpty())
      << "it cannot stand beside postgres";
  EXPECT_THAT(
      Lines(file),
      ElementsAre(
          "app.yaml:1:13: apiVersion: must be salvor.dev/v1, found 'salvor.dev/v2'",
          "app.yaml:2:7: kind: must be one of Environment, Location, Driver, Application, found "
          "'Applicaton'; did you mean 'Application'?",
          "app.yaml:5:3: metadata.generation: is counted by the control plane and cannot be declared",
          "app.yaml:12:3: metadata.name: is given twice, first in line 11",
          "app.yaml:14:3: spec.enviroment: unknown field; did you mean 'environment'?",
          "app.yaml:18:28: spec.components[0].postgres.connection.port: expected an integer of 32 bits, "
          "found 'many'",
          "app.yaml:18:34: spec.components[0].postgres.connection.password_file: unknown field; did you mean "
          "'passfile'?",
          "app.yaml:19:20: spec.components[0].postgres.databases: expected a list, found 'shop'",
          "app.yaml:20:18: spec.components[0].postgres.capture: expected one of Stream, Volume, found "
          "'stream'; did you mean 'Stream'?",
          "app.yaml:21:7: spec.components[0].disk: cannot stand beside postgres: one strategy at most"));
}

TEST(ParseObjects, RefusesWhatIsNotMeantAsWhatItIs) {
  const auto problem_of = [](const std::string& spec) {
    const ParsedFile file = ParseObjects(
        "apiVersion: salvor.dev/v1\nkind: Application\nmetadata: {name: a}\nspec:\n" + spec, "f");
    return file.problems.empty() ? "" : file.problems[0].ToString();
  };
  EXPECT_EQ(problem_of("  components: [~]\n"), "f:5:16: spec.components[0]: is empty");
  EXPECT_EQ(problem_of("  components: [{dummy: {steps: \"3\"}}]\n"),
            "f:5:32: spec.components[0].dummy.steps: expected an integer of 32 bits, found quoted text");
  EXPECT_EQ(problem_of("  components: [{dummy: {steps: 3000000000}}]\n"),
            "f:5:32: spec.components[0].dummy.steps: expected an integer of 32 bits, found '3000000000'");
  EXPECT_EQ(problem_of("  components: [{dummy: {steps: 0x10}}]\n"),
            "f:5:32: spec.components[0].dummy.steps: expected an integer of 32 bits, found '0x10'");
  EXPECT_EQ(problem_of("  driver: [a]\n"), "f:5:11: spec.driver: expected text, found a list");
  EXPECT_EQ(problem_of("  [a, b]: c\n"), "f:5:3: spec: a field's name must be text, found a list");
  EXPECT_EQ(problem_of("  driver: !!binary aGk=\n"),
            "f:5:11: tag 'tag:yaml.org,2002:binary' is not supported");
  EXPECT_EQ(problem_of("  components: [{name: a, disk: {paths: [/srv}}]\n"),
            "f:5:45: not valid YAML: illegal flow end");
  EXPECT_EQ(problem_of("  driver: \xff\n"), "f:5:11: the text is not UTF-8");
  EXPECT_EQ(problem_of("  {}\nstatus: {}\n"), "f:6:1: status: is written by Salvor and cannot be declared");
  EXPECT_EQ(problem_of("  <<: {driver: x}\n").substr(0, 38), "f:5:3: spec: merge keys (<<) are not s");
}

constexpr char kLocationHead[] = "apiVersion: salvor.dev/v1\nkind: Location\nmetadata: {name: main}\n";

TEST(ParseObjects, SaysThatATabIndentsALine) {
  for (const char* spec : {"spec:\n\trestic:\n\t\trepository: /x\n", "spec:\n\trestic: {repository: [}\n"}) {
    EXPECT_THAT(Lines(ParseObjects(std::string(kLocationHead) + spec, "f")),
                ElementsAre("f:5:1: not valid YAML: the line is indented with a tab; use spaces"))
        << spec;
  }
  EXPECT_THAT(
      Lines(ParseObjects(
          std::string(kLocationHead) + "spec:\n  restic:\n    repository:\t/x\n    passwordFile: /y\n", "f")),
      IsEmpty())
      << "elsewhere a tab is a space";
}

TEST(ParseObjects, SaysThatASecretIsNotDeclaredAndNeverShowsIt) {
  for (const char* name : {"password", "restic_password", "passwd"}) {
    const std::string text =
        std::string(kLocationHead) + "spec:\n  restic:\n    repository: /x\n    " + name + ": hunter2\n";
    EXPECT_THAT(Lines(ParseObjects(text, "f")),
                ElementsAre(std::string("f:7:5: spec.restic.") + name +
                            ": secrets are never declared; passwordFile names the file that holds it"));
  }
  const std::string key = std::string(kLocationHead) + "spec:\n  restic:\n    secretAccessKey: hunter2\n";
  EXPECT_THAT(
      Lines(ParseObjects(key, "f")),
      ElementsAre("f:6:5: spec.restic.secretAccessKey: secrets are never declared; environmentFile names "
                  "the file that holds it"));
  const std::string misspelt = std::string(kLocationHead) + "spec:\n  restic:\n    passwordfil: /x\n";
  EXPECT_THAT(Lines(ParseObjects(misspelt, "f")), SizeIs(1));
}

TEST(ParseObjects, TakesCharactersBeyondTheBasicPlaneWhereTextMayStand) {
  const ParsedFile file =
      ParseObjects(std::string(kLocationHead) +
                       "spec:\n  restic:\n    repository: /srv/\xf0\x9f\x8e\x89  # \xf0\x9f\x8e\x89\n",
                   "f");
  ASSERT_THAT(Lines(file), IsEmpty());
  EXPECT_EQ(file.objects[0].object.location().restic().repository(), "/srv/\xf0\x9f\x8e\x89");
}

TEST(ParseObjects, NamesWhatEveryObjectNeeds) {
  EXPECT_THAT(Lines(ParseObjects("a: 1", "f")),
              ElementsAre("f:1:1: a: unknown field", "f:1:1: apiVersion: is missing; write salvor.dev/v1",
                          "f:1:1: metadata: is missing; every object has a metadata.name",
                          "f:1:1: kind: is missing; write one of Environment, Location, Driver, Application",
                          "f:1:1: spec: is missing"));
  EXPECT_THAT(
      Lines(ParseObjects("just text", "f")),
      ElementsAre("f:1:1: expected an object with apiVersion, kind, metadata and spec, found 'just text'"));
  EXPECT_THAT(Lines(ParseObjects(
                  "apiVersion: salvor.dev/v1\nkind: Driver\nmetadata: {labels: {a: b}}\nspec: {}", "f")),
              ElementsAre("f:3:1: metadata.name: is missing"));
}

TEST(ParseObjects, KeepsTheDocumentsBeforeASyntaxErrorInItsReport) {
  const ParsedFile file = ParseObjects("apiVersion: salvor.dev/v1\nkind: Nothing\n---\n[open", "f");
  ASSERT_THAT(file.problems, SizeIs(4));
  EXPECT_EQ(file.problems[2].field, "kind");
  EXPECT_EQ(file.problems[3].ToString(), "f:4:6: not valid YAML: end of sequence flow not found");
}

TEST(ParseObjects, RefusesAFileThatEndsInTheMiddle) {
  const auto last_problem = [](const std::string& text) {
    return ParseObjects(text, "f").problems.back().ToString();
  };
  EXPECT_EQ(last_problem("a: \"open\nb: c\n"), "f:3:1: not valid YAML: a quote is opened and never closed");
  EXPECT_EQ(last_problem("a: 'open"), "f:1:9: not valid YAML: a quote is opened and never closed");
  EXPECT_EQ(last_problem("a: {b: [1, 2"), "f:1:13: not valid YAML: end of sequence flow not found");
  const std::string text = kShop;
  for (size_t size = text.find("permission: {") + 13; size < text.find("Denied}"); ++size) {
    EXPECT_THAT(ParseObjects(text.substr(0, size), "f").problems, testing::Not(IsEmpty())) << size;
  }
}

TEST(ParseObjects, LetsAnAliasStandForAWholeValue) {
  const ParsedFile file = ParseObjects(R"(apiVersion: salvor.dev/v1
kind: Driver
metadata: {name: d}
spec:
  components:
    - name: a
      disk: &disk {paths: [/srv]}
    - name: b
      disk: *disk
)",
                                       "f");
  ASSERT_THAT(Lines(file), IsEmpty());
  EXPECT_THAT(file.objects[0].object.driver().components(1).disk().paths(), ElementsAre("/srv"));
}

TEST(ParseObjects, StopsAtTextsThatStandForEndlessOnes) {
  std::string bomb = "apiVersion: salvor.dev/v1\nkind: Driver\nmetadata: {name: d}\nspec:\n  components:\n";
  bomb += "    - &c {name: a, disk: {paths: &p [";
  for (int i = 0; i < 1000; ++i) bomb += "/srv,";
  bomb += "]}}\n";
  for (int i = 0; i < 1000; ++i) bomb += "    - *c\n";
  const ParsedFile expanded = ParseObjects(bomb, "f");
  ASSERT_THAT(expanded.problems, SizeIs(1));
  EXPECT_EQ(expanded.problems[0].message, "aliases expand to more than 100000 nodes");

  const ParsedFile circle = ParseObjects("apiVersion: &a [*a]", "f");
  ASSERT_THAT(circle.problems, SizeIs(1));
  EXPECT_EQ(circle.problems[0].message, "an alias must not contain itself");

  std::string many = "- x\n";
  while (many.size() < 600'000) many += many;
  EXPECT_EQ(ParseObjects(many, "f").problems[0].message, "more than 100000 YAML nodes");
  while (many.size() <= kMaxYamlBytes) many += many;
  EXPECT_THAT(ParseObjects(many, "f").problems[0].message, testing::HasSubstr("bytes, more than 4194304"));

  EXPECT_THAT(ParseObjects(std::string(200'000, '['), "f").problems, SizeIs(1));
  EXPECT_THAT(ParseObjects(std::string(200'000, '{'), "f").problems, SizeIs(1));
}

TEST(WithoutConsequences, OnlyWhatCouldBeReadIsJudged) {
  const auto judged = [](const std::string& unread, const std::string& field, const std::string& message) {
    std::vector<ParsedObject> objects(1);
    objects[0].unread = {unread};
    v1::Problem problem;
    problem.set_field(field);
    problem.set_message(message);
    return !WithoutConsequences(objects, {}, {problem}).empty();
  };
  EXPECT_TRUE(judged("spec.environmnt", "spec.environment", "there is no Environment 'x'"));
  EXPECT_FALSE(judged("spec.environmnt", "spec.environment", "is missing: the name of an Environment"));
  EXPECT_FALSE(
      judged("spec.components[0].disk.paths", "spec.components[0].disk.paths", "needs at least one path"));
  EXPECT_FALSE(judged("spec.components[0].disk.paths[1]", "spec.components[0].disk", "needs a path"));
  EXPECT_FALSE(judged("spec.components", "spec.components[3].name", "is missing"));
  EXPECT_TRUE(judged("spec.components[1].disk", "spec.components[10].disk", "is missing"));
  EXPECT_TRUE(judged("kind", "metadata.name", "must be lower case"));
  EXPECT_FALSE(judged("kind", "spec", "is missing"));
}

TEST(WithoutConsequences, WhatAnotherObjectIsCalledMayBeWhatCouldNotBeRead) {
  v1::Problem problem;
  problem.set_field("spec.environment");
  problem.set_message("there is no Environment 'x'");
  const std::vector<ParsedObject> objects(1);
  YamlProblem unread;
  unread.field = "metadata.name";
  EXPECT_TRUE(WithoutConsequences(objects, {unread}, {problem}).empty());
  unread.field = "spec.runtime";
  EXPECT_EQ(WithoutConsequences(objects, {unread}, {problem}).size(), 1u);
}

TEST(ParseObjects, AnEmptyItemKeepsItsPlaceInTheList) {
  const ParsedFile file = ParseObjects(
      "apiVersion: salvor.dev/v1\nkind: Application\nmetadata: {name: a}\n"
      "spec: {environment: e, components: [~, {name: b}]}\n",
      "f");
  ASSERT_THAT(file.objects, SizeIs(1));
  ASSERT_EQ(file.objects[0].object.application().components_size(), 2);
  EXPECT_EQ(file.objects[0].object.application().components(1).name(), "b");
}

TEST(LocateProblem, FindsTheFieldOrTheNearestOneAroundIt) {
  const ParsedFile file = ParseObjects(kShop, "shop.yaml");
  const auto locate = [&](int object, const std::string& field) {
    v1::Problem problem;
    problem.set_object(object);
    problem.set_field(field);
    problem.set_message("m");
    return LocateProblem(file.objects, problem).ToString();
  };
  EXPECT_EQ(locate(0, "spec.location"), "shop.yaml:7:3: spec.location: m");
  EXPECT_EQ(locate(1, "spec.components[0].postgres.databases[1]"),
            "shop.yaml:21:27: spec.components[0].postgres.databases[1]: m");
  EXPECT_EQ(locate(1, "spec.components[0].postgres.lockWaitTimeout"),
            "shop.yaml:19:7: spec.components[0].postgres.lockWaitTimeout: m");
  EXPECT_EQ(locate(1, "spec.components[1].checks[2].sql.query"),
            "shop.yaml:28:7: spec.components[1].checks[2].sql.query: m");
  EXPECT_EQ(locate(1, "spec.driver"), "shop.yaml:15:1: spec.driver: m");
  EXPECT_EQ(locate(1, ""), "shop.yaml:9:1: m");
}

TEST(LocateProblem, FindsAShareWithAndWithoutItsSign) {
  const ParsedFile file = ParseObjects(
      "apiVersion: salvor.dev/v1\nkind: Application\nmetadata: {name: a}\n"
      "spec:\n  environment: e\n  components:\n  - name: b\n    doubtBelow: 10%\n  - name: c\n    doubtBelow: 0\n",
      "f");
  EXPECT_THAT(file.problems, IsEmpty());
  ASSERT_THAT(file.objects, SizeIs(1));
  EXPECT_EQ(file.objects[0].object.application().components(0).doubt_below(), "10%");
  EXPECT_EQ(file.objects[0].object.application().components(1).doubt_below(), "0");
  v1::Problem problem;
  problem.set_field("spec.components[1].doubtBelow");
  problem.set_message("m");
  EXPECT_EQ(LocateProblem(file.objects, problem).ToString(), "f:10:5: spec.components[1].doubtBelow: m");
}

TEST(RenderObjectYaml, ReadsAsAPersonWouldWriteIt) {
  v1::Object object = ParseObjects(kShop, "f").objects[1].object;
  object.mutable_metadata()->set_generation(3);
  object.mutable_application()->mutable_components(0)->mutable_checks(0)->mutable_permission()->set_statement(
      "DELETE FROM audit\nWHERE id = 1");
  EXPECT_EQ(RenderObjectYaml(object), R"(apiVersion: salvor.dev/v1
kind: Application
metadata:
  name: shop
  labels:
    team: "42"
spec:
  environment: host-a
  components:
  - name: db
    postgres:
      connection:
        socketDirectory: /run/postgresql
        port: 5433
        user: backup
      databases:
      - shop
      - "2024"
      capture: Stream
      expectations:
        level: Count
    checks:
    - name: forbidden
      permission:
        database: shop
        role: web
        statement: |-
          DELETE FROM audit
          WHERE id = 1
        expect: Denied
  - name: files
    disk:
      paths:
      - /srv/shop
)");
}

// Random objects with strings chosen to be troublesome.
class ObjectMaker {
 public:
  explicit ObjectMaker(uint32_t seed) : random_(seed) {}

  v1::Object Make() {
    v1::Object object;
    object.mutable_metadata()->set_name("n" + std::to_string(Below(1000)));
    for (int i = Below(3); i > 0; --i) (*object.mutable_metadata()->mutable_labels())[Text()] = Text();
    const auto* specs = v1::Object::descriptor()->FindOneofByName("spec");
    const FieldDescriptor* field = specs->field(Below(specs->field_count()));
    Fill(object.GetReflection()->MutableMessage(&object, field));
    return object;
  }

  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

 private:
  std::string Text() {
    static const std::vector<std::string> kPieces = {
        "shop",   "true", "~",   "null", "0",  "-1.5e3", "2026-11-21", "- ",     ": ",
        " #",     "#",    "'",   "\"",   "\\", "\n",     "\n\n",       "\t",     "\r",
        " ",      "%",    "&a",  "*a",   "!b", "|",      ">",          "[x]",    "{}",
        ",",      "?",    "---", "...",  "é",  "日本",   "\x01",       "\x7f",   "\u2028",
        "\u0085", "@",    "`",   "=",    "<<", "a: b",   "x #y",       "\u00a0", ":"};
    std::string text;
    for (int i = Below(5); i > 0; --i)
      text += kPieces[static_cast<size_t>(Below(static_cast<int>(kPieces.size())))];
    return text;
  }

  void Fill(Message* message) {
    if (auto* extension = dynamic_cast<google::protobuf::Any*>(message)) {
      v1::DiskComponent inside;
      Fill(&inside);
      extension->PackFrom(inside);
      return;
    }
    const auto* type = message->GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (Below(3) == 0) continue;
      // Reflection adds a key to a map that has it already, so a map gets one at most.
      for (int n = field->is_map() ? Below(2) : field->is_repeated() ? Below(4) : 1; n > 0; --n)
        FillField(message, field);
    }
  }

  void FillField(Message* message, const FieldDescriptor* field) {
    const auto* r = message->GetReflection();
    const bool many = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        Fill(many ? r->AddMessage(message, field) : r->MutableMessage(message, field));
        break;
      case FieldDescriptor::CPPTYPE_STRING:
        many ? r->AddString(message, field, Text()) : r->SetString(message, field, Text());
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        r->SetInt32(message, field, static_cast<int32_t>(random_()));
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        r->SetEnumValue(message, field, Below(field->enum_type()->value_count()));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        r->SetBool(message, field, Below(2) == 1);
        break;
      default:
        FAIL() << "objects have a new kind of field: " << field->full_name();
    }
  }

  std::mt19937 random_;
};

TEST(ParseObjects, ReadsTheMessageThatAnExtensionNames) {
  const std::string head =
      "apiVersion: salvor.dev/v1\nkind: Driver\nmetadata: {name: d}\nspec:\n  components:\n";
  const auto read = [&head](const std::string& extension) {
    return ParseObjects(head + "  - {name: c, extension: " + extension + "}\n", "f");
  };
  const ParsedFile file = read(R"({"@type": salvor.v1.DiskComponent, paths: [/srv]})");
  ASSERT_THAT(Lines(file), IsEmpty());
  v1::DiskComponent inside;
  ASSERT_TRUE(file.objects[0].object.driver().components(0).extension().UnpackTo(&inside));
  EXPECT_EQ(inside.paths(0), "/srv");
  EXPECT_THAT(
      Lines(read(R"({"@type": salvor.v1.Train})")),
      testing::ElementsAre(testing::HasSubstr("'salvor.v1.Train' is no kind that this program knows")));
  EXPECT_THAT(Lines(read("{paths: [/srv]}")), testing::ElementsAre(testing::HasSubstr("is missing")));
  EXPECT_THAT(Lines(read(R"({"@type": salvor.v1.DiskComponent, path: [/srv]})")),
              testing::ElementsAre(testing::HasSubstr("did you mean 'paths'?")));
}

std::string Difference(const v1::Object& is, const v1::Object& should_be) {
  std::string text;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&text);
  differencer.Compare(should_be, is);
  return text;
}

TEST(RenderObjectYaml, IsReadBackAsTheSameObject) {
  for (uint32_t seed = 0; seed < 3000; ++seed) {
    const v1::Object object = ObjectMaker(seed).Make();
    const std::string yaml = RenderObjectYaml(object);
    const ParsedFile file = ParseObjects(yaml, "f");
    ASSERT_THAT(Lines(file), IsEmpty()) << "seed " << seed << "\n" << yaml;
    ASSERT_THAT(file.objects, SizeIs(1));
    ASSERT_TRUE(MessageDifferencer::Equals(file.objects[0].object, object))
        << "seed " << seed << "\n"
        << Difference(file.objects[0].object, object) << yaml;
  }
}

TEST(ParseObjects, SurvivesRandomDamageAndPlacesEveryProblemInsideTheText) {
  for (uint32_t seed = 0; seed < 4000; ++seed) {
    ObjectMaker maker(seed);
    std::string text = seed % 2 == 0 ? kShop : RenderObjectYaml(maker.Make());
    for (int i = 1 + maker.Below(6); i > 0 && !text.empty(); --i) {
      static constexpr std::string_view kBytes = "[]{}:,-#&*!|>'\"%@`?~ \n\t\\0a\xc3\xff";
      const auto at = static_cast<size_t>(maker.Below(static_cast<int>(text.size())));
      const char byte = kBytes[static_cast<size_t>(maker.Below(static_cast<int>(kBytes.size())))];
      switch (maker.Below(4)) {
        case 0:
          text[at] = byte;
          break;
        case 1:
          text.insert(at, 1, byte);
          break;
        case 2:
          text.erase(at, 1 + static_cast<size_t>(maker.Below(20)));
          break;
        default:
          text += text.substr(at, 40);
          break;
      }
    }
    const auto lines = static_cast<int>(std::count(text.begin(), text.end(), '\n')) + 1;
    const ParsedFile file = ParseObjects(text, "f");
    for (const YamlProblem& problem : file.problems) {
      ASSERT_GE(problem.at.line, 1) << problem.ToString() << "\n" << text;
      ASSERT_LE(problem.at.line, lines) << problem.ToString() << "\n" << text;
      ASSERT_GE(problem.at.column, 1) << problem.ToString() << "\n" << text;
      ASSERT_FALSE(problem.message.empty());
    }
  }
}

}  // namespace
}  // namespace salvor
