#include "strategies/volumes/volumes.h"

#include <gmock/gmock.h>

#include <set>

#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::IsEmpty;

BackupRequest Request(const std::string& backup) {
  BackupRequest request = ABackupRequest();
  request.backup = backup;
  request.environment = "cluster-a";
  request.cluster.emplace();
  return request;
}

std::set<std::string> NamesOf(const std::string& backup, const std::vector<std::string>& namespaces) {
  std::vector<ComponentVolumes> wanted;
  for (size_t i = 0; i < namespaces.size(); ++i)
    wanted.push_back({"c" + std::to_string(i), {{namespaces[i], "data", v1::VOLUME_METHOD_UNSPECIFIED}}});
  const auto fragment = KeepVolumes(wanted, AHeader(), Request(backup), {});
  EXPECT_TRUE(fragment.ok()) << fragment.status();
  std::set<std::string> names;
  for (const v1::Step& step : StepsFor(*fragment, v1::PURPOSE_CAPTURE))
    names.insert(step.action().velero_backup().name());
  return names;
}

TEST(Volumes, ABackupOfVelerosHasANameThatItsLabelsCanHold) {
  EXPECT_THAT(NamesOf("shop-1", {"shop"}), testing::ElementsAre("shop-1"));
  const std::string long_name(50, 'n'), longest_namespace(63, 'x');
  const std::set<std::string> names = NamesOf(long_name, {longest_namespace, longest_namespace.substr(1)});
  EXPECT_EQ(names.size(), 2u) << "each has its own, also where both are cut";
  for (const std::string& name : names) {
    EXPECT_EQ(name.rfind(long_name.substr(0, 39), 0), 0u) << name;
    EXPECT_EQ(name.size(), 56u) << name;
  }
  EXPECT_EQ(names, NamesOf(long_name, {longest_namespace, longest_namespace.substr(1)}))
      << "who tries again finds what is there";
}

// An attempt after one that Velero gave up adds "-2" and so on.
TEST(Volumes, NoNamespacesBackupHasTheNameOfALaterAttemptOfAnothers) {
  const std::set<std::string> names = NamesOf("b", {"web", "web-2", "web-9", "web-10", "web-1", "w2"});
  EXPECT_EQ(names.size(), 6u);
  for (const std::string& name : names) {
    for (int number = 2; number <= 9; ++number)
      EXPECT_EQ(names.count(name + "-" + std::to_string(number)), 0u) << name;
  }
  EXPECT_EQ(names.count("b-web"), 1u) << "only those are renamed that must be";
  EXPECT_EQ(names.count("b-web-10"), 1u);
  EXPECT_THAT(NamesOf("shop-2", {"shop"}), testing::ElementsAre("shop-2"));
}

TEST(Volumes, NobodyWantsAny) {
  const auto fragment = KeepVolumes({{"web", {}}}, AHeader(), Request("shop-1"), {"web.capture"});
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_THAT(fragment->steps, IsEmpty());
}

TEST(Volumes, AreKeptOnceWhatComesEarlierIsOverWhateverBecameOfIt) {
  const auto fragment = KeepVolumes({{"web", {{"shop", "data", v1::VOLUME_METHOD_SNAPSHOT}}}}, AHeader(),
                                    Request("shop-1"), {"db.dump.shop"});
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  const v1::Step backup = StepsFor(*fragment, v1::PURPOSE_CAPTURE)[0];
  ASSERT_EQ(backup.after_size(), 2);
  EXPECT_EQ(backup.after(0).step(), "volumes.preflight");
  EXPECT_EQ(backup.after(0).condition(), v1::Edge::CONDITION_SUCCEEDED);
  EXPECT_EQ(backup.after(1).step(), "db.dump.shop");
  EXPECT_EQ(backup.after(1).condition(), v1::Edge::CONDITION_FINISHED);
  ASSERT_EQ(backup.keys_size(), 1);
  EXPECT_EQ(backup.keys(0).name(), "velero:cluster-a");
  EXPECT_FALSE(backup.keys(0).exclusive());
}

TEST(Volumes, EveryMethodHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (int method = v1::VOLUME_METHOD_AUTO; method <= v1::VolumeMethod_MAX; ++method)
    words.insert(WordOf(static_cast<v1::VolumeMethod>(method)));
  EXPECT_EQ(words.size(), static_cast<size_t>(v1::VolumeMethod_MAX));
  EXPECT_EQ(WordOf(v1::VOLUME_METHOD_UNSPECIFIED), WordOf(v1::VOLUME_METHOD_AUTO));
  EXPECT_EQ(words.count(WordOf(static_cast<v1::VolumeMethod>(77))), 0u);
}

}  // namespace
}  // namespace salvor::strategies
