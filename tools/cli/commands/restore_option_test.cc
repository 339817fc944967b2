#include "tools/cli/commands/restore_option.h"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace salvor::cli {
namespace {

using ::testing::HasSubstr;

// The options of the request that these make; the error's text when one is refused.
std::string Options(const std::vector<std::string>& texts, const std::string& component) {
  v1::CreateRestoreRequest request;
  for (const std::string& text : texts) {
    if (const Status added = AddRestoreOption(text, request); !added.ok()) return MessageOf(added);
  }
  const auto found = request.options().find(component);
  return found == request.options().end() ? "none" : found->second.ShortDebugString();
}

TEST(RestoreOption, EachIsOfItsComponent) {
  const std::vector<std::string> texts = {
      "files.disk.root=/srv/a=b", "more.disk.root=/srv/more", "db.postgres.renameDatabases.shop=shop_copy",
      "db.postgres.renameDatabases.v1.2=new", "db.postgres.keepGoing=true"};
  EXPECT_EQ(Options(texts, "files"), R"(disk { root: "/srv/a=b" })");
  EXPECT_EQ(Options(texts, "more"), R"(disk { root: "/srv/more" })");
  EXPECT_EQ(Options(texts, "db"), R"(postgres { rename_databases { key: "shop" value: "shop_copy" } )"
                                  R"(rename_databases { key: "v1.2" value: "new" } keep_going: true })");
  EXPECT_EQ(Options(texts, "other"), "none");
}

TEST(RestoreOption, SaysWhatMayStandInThePlaceOfWhatCannot) {
  const auto refused = [](const std::string& text) { return Options({text}, "files"); };
  for (const char* text :
       {"", "=", "files", "files=x", "files.disk=x", "files.disk.root", "files.disk.root=", "..="})
    EXPECT_THAT(refused(text), HasSubstr("--option wants COMPONENT.KIND.OPTION=VALUE")) << text;
  EXPECT_THAT(refused("FILES.disk.root=/x"), HasSubstr("--option: "));
  EXPECT_EQ(refused("files.disc.root=/x"),
            "--option files.disc.root=/x: 'disc' is none of postgres, disk; did you mean 'disk'?");
  EXPECT_EQ(refused("files.disk.rot=/x"),
            "--option files.disk.rot=/x: 'rot' is none of root, namespace; did you mean 'root'?");
  EXPECT_THAT(refused("car.extension.file=/x"), HasSubstr("'extension' is none of postgres, disk"));
  EXPECT_THAT(refused("files.disk.root.more=/x"), HasSubstr("root has no parts"));
  EXPECT_THAT(refused("files.disk.root.=/x"), HasSubstr("root has no parts"));
  EXPECT_THAT(refused("db.postgres.renameDatabases=x"),
              HasSubstr("wants a name, as in renameDatabases.NAME=VALUE"));
  EXPECT_THAT(refused("db.postgres.keepGoing=yes"), HasSubstr("wants true or false"));
}

TEST(RestoreOption, NothingIsSaidTwice) {
  EXPECT_THAT(Options({"files.disk.root=/a", "files.disk.root=/b"}, "files"), HasSubstr("given twice"));
  EXPECT_THAT(Options({"db.postgres.keepGoing=false", "db.postgres.keepGoing=true"}, "db"),
              HasSubstr("given twice"));
  EXPECT_THAT(Options({"db.postgres.renameDatabases.a=b", "db.postgres.renameDatabases.a=c"}, "db"),
              HasSubstr("'a' is named twice"));
  EXPECT_THAT(Options({"db.postgres.keepGoing=true", "db.disk.root=/x"}, "db"),
              HasSubstr("'db' has options of kind postgres already"));
}

}  // namespace
}  // namespace salvor::cli
