#include "agent/kubernetes/velero/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/kubernetes/velero/archive_testing.h"

namespace salvor::velero {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::set<std::string> kServices = {"services"};

// "services/web", in the archive's order; or why it can't be read.
std::vector<std::string> Read(const std::string& tar, const std::set<std::string>& resources = kServices) {
  const auto objects = ReadArchive(tar, "shop", resources);
  if (!objects.ok()) return {objects.status().ToString()};
  std::vector<std::string> names;
  for (const KeptObject& one : *objects) names.push_back(one.resource + "/" + one.name);
  return names;
}

Json Named(const std::string& name) { return {{"metadata", {{"name", name}}}}; }

TEST(Archive, HasEachObjectOfTheResourcesOnce) {
  const std::string tar = ArchiveOf({{"services", Named("web")},
                                     {"services", Named("db")},
                                     {"cronjobs.batch", Named("tick")},
                                     {"secrets", Named("password")}});
  EXPECT_THAT(Read(tar), ElementsAre("services/web", "services/db"));
  EXPECT_THAT(Read(tar, {"cronjobs.batch", "services"}),
              ElementsAre("services/web", "services/db", "cronjobs.batch/tick"));
  const auto objects = ReadArchive(tar, "shop", kServices);
  ASSERT_TRUE(objects.ok());
  EXPECT_EQ(TextAt(objects->front().object, {"metadata", "name"}), "web");
}

TEST(Archive, PassesOverWhatIsElsewhereUnread) {
  const auto entry = [](const std::string& name) { return TarEntry(name, "no json"); };
  EXPECT_THAT(
      Read(entry("resources/services/namespaces/other/web.json") +
           entry("resources/services/cluster/web.json") + entry("resources/services/namespaces/shop/web") +
           entry("resources/secrets/namespaces/shop/web.json") + entry("services/namespaces/shop/web.json") +
           entry("resources/services/a/b/namespaces/shop/web.json") +
           TarEntry("resources/services/namespaces/shop/web.json", "", '5') + TarEnd()),
      IsEmpty());
}

TEST(Archive, ReadsNamesThatAreTooLongForTheOldHeader) {
  const std::string long_name(120, 'a'), folder = "resources/services/namespaces/shop/";
  const std::string path = folder + long_name + ".json";
  std::string record = " path=" + path + "\n";
  record = std::to_string(record.size() + 3) + record;
  ASSERT_EQ(record.size(), std::stoul(record));
  EXPECT_THAT(Read(TarEntry("././@PaxHeader", record, 'x') + TarEntry("cut", "{}") + TarEnd()),
              ElementsAre("services/" + long_name));
  EXPECT_THAT(
      Read(TarEntry("././@LongLink", path + std::string(1, '\0'), 'L') + TarEntry("cut", "{}") + TarEnd()),
      ElementsAre("services/" + long_name));
  EXPECT_THAT(Read(TarEntry("namespaces/shop/web.json", "{}", '0', "./resources/services") + TarEnd()),
              ElementsAre("services/web"));
}

TEST(Archive, RefusesWhatIsNoneOrIsCutShort) {
  const std::string tar = ArchiveOf({{"services", Named("web")}});
  for (size_t size = 0; size + 1024 < tar.size(); size += 256)
    EXPECT_THAT(Read(tar.substr(0, size)), ElementsAre(HasSubstr("cut short"))) << size;
  EXPECT_THAT(Read(std::string(2048, 'x')), ElementsAre(HasSubstr("it is no archive")));
  std::string bad_size = tar;
  bad_size[124] = 'x';
  EXPECT_THAT(Read(bad_size), ElementsAre(HasSubstr("it is no archive")));
  std::string huge = tar;
  huge.replace(124, 11, "77777777777");
  EXPECT_THAT(Read(huge), ElementsAre(HasSubstr("cut short")));
  for (const char* content : {"no json", "[]", "\"web\""}) {
    EXPECT_THAT(Read(TarEntry("resources/services/namespaces/shop/web.json", content) + TarEnd()),
                ElementsAre(HasSubstr("services web in the archive is no object")))
        << content;
  }
}

TEST(Archive, AnExtendedHeaderThatMakesNoSenseSaysNothing) {
  for (const std::string record : {"", "x", "5", "9999 path=a\n", "3 a", "0 path=a\n", "12 pa"}) {
    EXPECT_THAT(Read(TarEntry("x", record, 'x') +
                     TarEntry("resources/services/namespaces/shop/web.json", "{}") + TarEnd()),
                ElementsAre("services/web"))
        << record;
  }
}

}  // namespace
}  // namespace salvor::velero
