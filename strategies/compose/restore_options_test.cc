// A request's options reach each component of the restore, and what cannot be meant is named at its place.
#include "strategies/compose/restore_options.h"

#include <gmock/gmock.h>

#include "strategies/compose/compile.h"
#include "strategies/interface/strategy_testing.h"
#include "strategies/registry.h"

namespace salvor::strategies {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

v1::Component Named(v1::Component component, const std::string& name) {
  component.set_name(name);
  return component;
}

class RestoreOptionsTest : public testing::Test {
 protected:
  StatusOr<OptionsByComponent> Resolve(const std::string& asked,
                                       const std::vector<std::string>& chosen = {}) const {
    return ResolveRestoreOptions(BuiltInStrategies(), FromText<v1::CreateRestoreRequest>(asked), manifest_,
                                 chosen);
  }
  // "db: postgres { … }" each, on one line.
  std::vector<std::string> Resolved(const std::string& asked,
                                    const std::vector<std::string>& chosen = {}) const {
    const auto options = Resolve(asked, chosen);
    EXPECT_TRUE(options.ok()) << options.status();
    std::vector<std::string> lines;
    if (!options.ok()) return lines;
    for (const auto& [name, one] : *options) lines.push_back(name + ": " + one.ShortDebugString());
    return lines;
  }
  std::string Refused(const std::string& asked, const std::vector<std::string>& chosen = {}) const {
    return MessageOf(Resolve(asked, chosen).status());
  }
  // The databases that the restore of it makes, and the folder that it lays files below.
  std::vector<std::string> Places(const std::string& asked) const {
    std::map<std::string, v1::Component> to;
    for (const v1::Component& component : manifest_.components()) to[component.name()] = component;
    RestoreRequest request = ARestoreRequest(manifest_);
    request.asked = FromText<v1::CreateRestoreRequest>(asked);
    const auto plan = CompileRestore(BuiltInStrategies(), request, to, {});
    EXPECT_TRUE(plan.ok()) << plan.status();
    std::vector<std::string> places;
    if (!plan.ok()) return places;
    for (const v1::Step& step : plan->flow.steps()) {
      const v1::PostgresRestore& one = step.action().postgres_restore();
      if (step.action().has_postgres_restore())
        places.push_back(step.component() + " " + one.database().name() +
                         (one.keep_going() ? " goes on" : ""));
      if (step.action().has_disk_restore())
        places.push_back(step.component() + " " + step.action().disk_restore().target().root());
    }
    return places;
  }

  v1::Manifest manifest_ = AManifest({DatabaseComponent(), FilesComponent(), DummyChain()});
};

TEST_F(RestoreOptionsTest, NothingIsSaidOfAComponentUnlessItIsAsked) {
  EXPECT_THAT(Resolved(""), IsEmpty());
  EXPECT_THAT(Resolved(R"(backup: "b" to: "shop" components: "db" accept_disproven: true)"), IsEmpty());
}

TEST_F(RestoreOptionsTest, FieldsOfARequestOf0_1CountForEveryComponentOfTheirKind) {
  manifest_ =
      AManifest({DatabaseComponent(), Named(DatabaseComponent(), "db2"), FilesComponent(), DummyChain()});
  EXPECT_THAT(
      Resolved(R"(rename_databases { key: "shop" value: "copy" } disk_root: "/srv/x" keep_going: true)"),
      ElementsAre(R"(db: postgres { rename_databases { key: "shop" value: "copy" } keep_going: true })",
                  R"(db2: postgres { rename_databases { key: "shop" value: "copy" } keep_going: true })",
                  R"(files: disk { root: "/srv/x" })"));
}

TEST_F(RestoreOptionsTest, WhatIsSaidOfOneComponentIsLaidOverWhatIsSaidOfAll) {
  manifest_ = AManifest({DatabaseComponent(), Named(DatabaseComponent(), "db2"), FilesComponent(),
                         Named(FilesComponent(), "more")});
  EXPECT_THAT(Resolved(R"(rename_databases { key: "shop" value: "copy" } disk_root: "/srv/x"
                  options { key: "db2" value { postgres { rename_databases { key: "shop" value: "own" } } } }
                  options { key: "more" value { disk { root: "/srv/more" } } })"),
              ElementsAre(R"(db: postgres { rename_databases { key: "shop" value: "copy" } })",
                          R"(db2: postgres { rename_databases { key: "shop" value: "own" } })",
                          R"(files: disk { root: "/srv/x" })", R"(more: disk { root: "/srv/more" })"));
}

TEST_F(RestoreOptionsTest, AComponentWithoutWordsOfItsOwnKeepsThoseForAll) {
  EXPECT_THAT(Resolved(R"(disk_root: "/srv/x" keep_going: true
                          options { key: "files" value { disk {} } } options { key: "db" value { postgres {} } })"),
              ElementsAre("db: postgres { keep_going: true }", R"(files: disk { root: "/srv/x" })"));
}

TEST_F(RestoreOptionsTest, AComponentMayBeAllOrNothingWhereTheOthersKeepGoing) {
  manifest_ = AManifest({DatabaseComponent(), Named(DatabaseComponent(), "db2")});
  EXPECT_THAT(Resolved(R"(keep_going: true options { key: "db" value { postgres { keep_going: false } } })"),
              ElementsAre("db: postgres { keep_going: false }", "db2: postgres { keep_going: true }"));
}

TEST_F(RestoreOptionsTest, AFolderForAllFilesMustBeOfUse) {
  manifest_ = AManifest({DatabaseComponent()});
  EXPECT_THAT(Refused(R"(disk_root: "/srv/x")"), HasSubstr("has no files"));
}

TEST_F(RestoreOptionsTest, EachComponentIsRestoredAsItsOwnOptionsSay) {
  manifest_ = AManifest({DatabaseComponent(), FilesComponent(), Named(FilesComponent(), "more")});
  EXPECT_THAT(Places(R"(options { key: "db" value { postgres { rename_databases { key: "shop" value: "copy" }
                                                               keep_going: true } } }
                        options { key: "more" value { disk { root: "/srv/more" } } }
                        options { key: "files" value { disk { root: "/srv/files" } } })"),
              ElementsAre("db copy goes on", "db Shop goes on", "files /srv/files", "more /srv/more"));
}

TEST_F(RestoreOptionsTest, TwoComponentsOfOneServerAreNamedApart) {
  manifest_ = AManifest({DatabaseComponent(), Named(DatabaseComponent(), "db2")});
  EXPECT_THAT(Places(R"(options { key: "db2" value { postgres {
                  rename_databases { key: "shop" value: "shop2" }
                  rename_databases { key: "Shop" value: "Shop2" } } } })"),
              ElementsAre("db shop", "db Shop", "db2 shop2", "db2 Shop2"));
}

TEST_F(RestoreOptionsTest, FilesMeetWhereTheirFoldersPutThem) {
  manifest_ = AManifest({FilesComponent(), Named(FilesComponent(), "more")});
  std::map<std::string, v1::Component> to = {{"files", FilesComponent()}, {"more", FilesComponent()}};
  RestoreRequest request = ARestoreRequest(manifest_);
  const auto with_root = [&](const std::string& name, const std::string& root) {
    (*request.asked.mutable_options())[name].mutable_disk()->set_root(root);
    return MessageOf(CompileRestore(BuiltInStrategies(), request, to, {}).status());
  };
  EXPECT_THAT(with_root("files", "/"), HasSubstr("would both restore files to /srv/shop"));
  EXPECT_EQ(with_root("files", "/srv/copy/"), "");
  EXPECT_THAT(with_root("more", "/srv/copy"), HasSubstr("would both restore files to /srv/copy/srv/shop"));
  EXPECT_THAT(with_root("more", "/srv//copy/srv/shop/old"), HasSubstr("/srv/copy/srv/shop/old/srv/shop"));
}

TEST_F(RestoreOptionsTest, OptionsOfAComponentThatIsNotRestoredAreRefusedByItsName) {
  EXPECT_EQ(
      Refused(R"(options { key: "fiels" value { disk { root: "/srv/x" } } })"),
      "options.fiels: backup 'backup-shop-20261121-101500-4f2a' has no component 'fiels', it has db, files, "
      "nothing");
  EXPECT_EQ(Refused(R"(options { key: "files" value { disk { root: "/srv/x" } } })", {"db"}),
            "options.files: this component is not among those to restore");
  EXPECT_THAT(Resolved(R"(disk_root: "/srv/x")", {"db"}), IsEmpty())
      << "what is said for all may concern none";
}

TEST_F(RestoreOptionsTest, OptionsOfAnotherKindAreRefusedByItsName) {
  EXPECT_EQ(Refused(R"(options { key: "db" value { disk { root: "/srv/x" } } })"),
            "options.db: these are options of kind disk, and component 'db' is of kind postgres");
  EXPECT_EQ(Refused(R"(options { key: "nothing" value { postgres {} } })"),
            "options.nothing: these are options of kind postgres, and component 'nothing' is of kind dummy");
  EXPECT_EQ(
      Refused(R"(options { key: "db" value {
                         extension { type_url: "type.googleapis.com/salvor.v1.Metadata" } } })"),
      "options.db: these are options of kind salvor.v1.Metadata, and component 'db' is of kind postgres");
  EXPECT_EQ(Refused(R"(options { key: "db" value {} })"),
            "options.db: holds no options that this version knows");
}

TEST_F(RestoreOptionsTest, AllProblemsAreNamedAtOnceEachAtItsPlace) {
  const std::string refused = Refused(
      R"(rename_databases { key: "shpo" value: "x" } rename_databases { key: "Shop" value: "shop" }
         options { key: "files" value { disk { root: "../srv" } } }
         options { key: "db" value { postgres { rename_databases { key: "orders" value: "-x" } } } }
         options { key: "nothing" value { disk {} } } options { key: "stranger" value { disk {} } })");
  EXPECT_EQ(
      refused,
      "options.stranger: backup 'backup-shop-20261121-101500-4f2a' has no component 'stranger', it has db, "
      "files, nothing; "
      "renameDatabases: backup 'backup-shop-20261121-101500-4f2a' has no database 'shpo' to restore as 'x'; "
      "options.db.postgres.renameDatabases: component 'db' has no database 'orders' to restore as '-x'; "
      "options.db.postgres.renameDatabases: database name '-x' starts with '-'; "
      "options.db.postgres.renameDatabases: two databases would be restored as 'shop'; "
      "options.files.disk.root: path '../srv' must be absolute; "
      "options.nothing: these are options of kind disk, and component 'nothing' is of kind dummy");
}

TEST_F(RestoreOptionsTest, ARenameForAllThatNoComponentTakesIsNotLost) {
  manifest_ = AManifest({FilesComponent()});
  EXPECT_THAT(Refused(R"(rename_databases { key: "shop" value: "x" })"), HasSubstr("has no database 'shop'"));
  manifest_ = AManifest({DatabaseComponent(), FilesComponent()});
  EXPECT_THAT(Resolved(R"(rename_databases { key: "shop" value: "x" })", {"files"}), IsEmpty())
      << "one that is not restored has it";
}

TEST_F(RestoreOptionsTest, AnAnswerHasRoomForWhateverIsAsked) {
  std::string asked;
  const std::string hostile = "a\\n" + std::string(500, 'x');
  for (int i = 0; i < 1000; ++i)
    asked += "rename_databases { key: \"" + hostile + std::to_string(i) + "\" value: \"" + hostile + "\" } ";
  const std::string refused = Refused(asked);
  EXPECT_LT(refused.size(), 5000u);
  EXPECT_THAT(refused, AllOf(HasSubstr("and 985 more problems"), Not(HasSubstr("\n"))));
}

TEST_F(RestoreOptionsTest, ADrillHasNone) {
  RestoreRequest request = ARestoreRequest(manifest_, "drill-shop-1");
  const auto plain = CompileDrill(BuiltInStrategies(), request);
  request.asked = FromText<v1::CreateRestoreRequest>(
      R"(options { key: "db" value { postgres { keep_going: true } } } options { key: "x" value {} })");
  request.options = FromText<v1::RestoreOptions>(R"(disk { root: "/srv" })");
  const auto drill = CompileDrill(BuiltInStrategies(), request);
  ASSERT_TRUE(plain.ok() && drill.ok()) << plain.status() << drill.status();
  EXPECT_EQ(drill->flow.DebugString(), plain->flow.DebugString());
}

}  // namespace
}  // namespace salvor::strategies
