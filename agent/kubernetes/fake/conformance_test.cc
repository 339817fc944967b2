// The suite that every Kubernetes passes: objects.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "agent/kubernetes/fake/conformance_testing.h"

namespace salvor::kubernetes {
namespace {

using Texts = std::vector<std::string>;

class Objects : public Conformance {};
INSTANTIATE_TEST_SUITE_P(On, Objects, Targets(), NameOf);

TEST_P(Objects, AreCreatedReadAndDeleted) {
  const Json made = Make(ConfigMap("a", {{"x", "1"}}));
  EXPECT_NE(TextAt(made, {"metadata", "uid"}), "");
  EXPECT_EQ(Read("a"), made);
  EXPECT_EQ(TextAt(made, {"kind"}), "ConfigMap");
  EXPECT_TRUE(kubernetes().Delete(Key("a"), {}, Soon()).ok());
  EXPECT_TRUE(kubernetes::IsNotFound(kubernetes().Get(Key("a"), Soon()).status()));
  EXPECT_TRUE(kubernetes::IsNotFound(kubernetes().Delete(Key("a"), {}, Soon())));
}

TEST_P(Objects, OfOneNameAreMadeOnce) {
  Make(ConfigMap("a"));
  const auto second = kubernetes().Create(kConfigMaps, name_space_, ConfigMap("a"), {}, Soon());
  EXPECT_TRUE(kubernetes::IsAlreadyExists(second.status())) << second.status();
}

TEST_P(Objects, MayBeNamedByTheServer) {
  Json object = ConfigMap("");
  object["metadata"].erase("name");
  object["metadata"]["generateName"] = "salvor-";
  const std::string first = TextAt(Make(object), {"metadata", "name"});
  const std::string second = TextAt(Make(object), {"metadata", "name"});
  EXPECT_TRUE(first.starts_with("salvor-") && first.size() == 12) << first;
  EXPECT_NE(first, second);
}

TEST_P(Objects, ThatCannotBeAreRefused) {
  const auto create = [this](const std::string& name_space, const Json& object) {
    return kubernetes().Create(kConfigMaps, name_space, object, {}, Soon()).status();
  };
  EXPECT_TRUE(kubernetes::IsNotFound(create(name_space_ + "-none", ConfigMap("a"))));
  EXPECT_TRUE(IsInvalid(create(name_space_, ConfigMap("No Name"))));
  EXPECT_TRUE(IsInvalid(
      create(name_space_, {{"apiVersion", "v1"}, {"kind", "Secret"}, {"metadata", {{"name", "a"}}}})));
  EXPECT_FALSE(create("", ConfigMap("a")).ok());
  EXPECT_FALSE(kubernetes().Get(Key("../secrets/a"), Soon()).ok());
}

TEST_P(Objects, ANamespaceIsNoWayToAnotherPath) {
  const auto no_item = [](const Json&) { return OkStatus(); };
  const auto no_event = [](const Event&) { return false; };
  const auto no_line = [](std::string_view) { return OkStatus(); };
  const std::string version = VersionNow();
  for (const char* name_space : {"..", ".", "a/b", "../secrets", "%2e%2e"}) {
    EXPECT_EQ(kubernetes().List(kConfigMaps, name_space, {}, no_item, Soon()).status().code(),
              absl::StatusCode::kInvalidArgument)
        << name_space;
    EXPECT_EQ(
        kubernetes().Watch(kConfigMaps, name_space, {.resource_version = version}, no_event, Soon()).code(),
        absl::StatusCode::kInvalidArgument)
        << name_space;
    EXPECT_EQ(kubernetes().Logs(name_space, "pod", {}, no_line, Soon()).code(),
              absl::StatusCode::kInvalidArgument)
        << name_space;
    EXPECT_EQ(kubernetes().Exec({name_space, "pod", "main", {"true"}}, Soon()).status().code(),
              absl::StatusCode::kInvalidArgument)
        << name_space;
  }
}

TEST_P(Objects, AreListedPageByPage) {
  for (const char* name : {"a", "b", "c", "d", "e"}) Make(ConfigMap(name, {}, {{"salvor.dev/test", name}}));
  ListOptions options;
  options.selection.labels = "salvor.dev/test";
  options.page_size = 2;
  std::string version;
  EXPECT_EQ(Names(options, &version), (Texts{"a", "b", "c", "d", "e"}));
  EXPECT_NE(version, "");
}

TEST_P(Objects, AreSelected) {
  Make(ConfigMap("a", {}, {{"app", "shop"}, {"tier", "web"}}));
  Make(ConfigMap("b", {}, {{"app", "shop"}}));
  Make(ConfigMap("c", {}, {{"app", "other"}}));
  const auto by_labels = [this](const std::string& labels) {
    ListOptions options;
    options.selection.labels = labels;
    Texts names = Names(options);
    names.erase(std::remove(names.begin(), names.end(), "kube-root-ca.crt"), names.end());  // a controller's
    return names;
  };
  EXPECT_EQ(by_labels("app=shop"), (Texts{"a", "b"}));
  EXPECT_EQ(by_labels("app==shop,tier!=web"), Texts{"b"});
  EXPECT_EQ(by_labels("tier"), Texts{"a"});
  EXPECT_EQ(by_labels("app,!tier"), (Texts{"b", "c"}));
  EXPECT_EQ(by_labels("app in (other, none)"), Texts{"c"});
  EXPECT_EQ(by_labels("app notin (other),app"), (Texts{"a", "b"}));
  ListOptions by_name;
  by_name.selection.fields = "metadata.name=b";
  EXPECT_EQ(Names(by_name), Texts{"b"});
}

TEST_P(Objects, SelectorsThatNobodyCanReadAreRefused) {
  for (const Selection& selection :
       {Selection{"app in shop", ""}, Selection{"", "data.x=1"}, Selection{"", "metadata.name"}}) {
    ListOptions options;
    options.selection = selection;
    const auto none = [](const Json&) { return OkStatus(); };
    EXPECT_TRUE(IsInvalid(kubernetes().List(kConfigMaps, name_space_, options, none, Soon()).status()))
        << selection.labels << selection.fields;
  }
}

TEST_P(Objects, AListEndsWithTheErrorOfItsReader) {
  Make(ConfigMap("a"));
  Make(ConfigMap("b"));
  int calls = 0;
  const auto refuse = [&calls](const Json&) {
    ++calls;
    return DataLoss("not this one");
  };
  EXPECT_EQ(kubernetes().List(kConfigMaps, name_space_, {}, refuse, Soon()).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(calls, 1);
}

TEST_P(Objects, AreChangedByMergePatches) {
  const Json made = Make(ConfigMap("a", {{"x", "1"}, {"y", "2"}}));
  const auto patch = [this](const Json& with) {
    return kubernetes().Patch(Key("a"), PatchKind::kMerge, with, {}, Soon());
  };
  const auto changed = patch({{"data", {{"x", "9"}, {"y", nullptr}}}});
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ((*changed)["data"].dump(), R"({"x":"9"})");
  EXPECT_NE(TextAt(*changed, {"metadata", "resourceVersion"}), TextAt(made, {"metadata", "resourceVersion"}));
  const auto same = patch({{"data", {{"x", "9"}}}});
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(TextAt(*same, {"metadata", "resourceVersion"}),
            TextAt(*changed, {"metadata", "resourceVersion"}));
  Json stale = {{"data", {{"x", "0"}}}};
  stale["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"];
  EXPECT_TRUE(IsConflict(patch(stale).status()));
  EXPECT_TRUE(
      kubernetes::IsNotFound(kubernetes().Patch(Key("none"), PatchKind::kMerge, stale, {}, Soon()).status()));
}

TEST_P(Objects, AreChangedByJsonPatchesAsAWholeOrNotAtAll) {
  Make(ConfigMap("a", {{"x", "1"}}));
  const auto patch = [this](const Json& with) {
    return kubernetes().Patch(Key("a"), PatchKind::kJson, with, {}, Soon());
  };
  const Json add = {{"op", "add"}, {"path", "/data/y"}, {"value", "2"}};
  const Json good = {{"op", "test"}, {"path", "/data/x"}, {"value", "1"}};
  const Json bad = {{"op", "test"}, {"path", "/data/x"}, {"value", "7"}};
  EXPECT_TRUE(IsInvalid(patch(Json::array({add, bad})).status()));
  EXPECT_EQ(Read("a")["data"].dump(), R"({"x":"1"})");
  EXPECT_TRUE(patch(Json::array({good, add})).ok());
  EXPECT_EQ(Read("a")["data"].dump(), R"({"x":"1","y":"2"})");
}

TEST_P(Objects, AreAppliedByManagersThatRespectEachOther) {
  const auto apply = [this](const std::string& manager, const Json& data, bool force) {
    return kubernetes().Apply(Key("a"), ConfigMap("a", data),
                              {.write = {.field_manager = manager}, .force = force}, Soon());
  };
  ASSERT_TRUE(apply("first", {{"x", "1"}, {"y", "2"}}, false).ok());
  ASSERT_TRUE(apply("first", {{"x", "1"}}, false).ok());
  EXPECT_EQ(Read("a")["data"].dump(), R"({"x":"1"})");
  const auto beside = apply("second", {{"z", "3"}}, false);
  EXPECT_TRUE(beside.ok()) << beside.status();
  const auto conflict = apply("second", {{"x", "7"}, {"z", "3"}}, false);
  EXPECT_TRUE(IsConflict(conflict.status())) << conflict.status();
  EXPECT_NE(MessageOf(conflict.status()).find("first"), std::string::npos) << conflict.status();
  EXPECT_EQ(Read("a")["data"].dump(), R"({"x":"1","z":"3"})");
  EXPECT_TRUE(apply("second", {{"x", "7"}, {"z", "3"}}, true).ok());
  EXPECT_EQ(Read("a")["data"].dump(), R"({"x":"7","z":"3"})");
}

TEST_P(Objects, AMapWithoutEntriesBelongsToWhoeverAppliedItFirst) {
  Json empty = ConfigMap("a", {{"x", "1"}});
  empty["metadata"]["labels"] = Json::object();
  const auto apply = [&](const std::string& manager) {
    return kubernetes().Apply(Key("a"), empty, {.write = {.field_manager = manager}}, Soon());
  };
  ASSERT_TRUE(apply("first").ok());
  ASSERT_TRUE(apply("first").ok());
  EXPECT_FALSE(Read("a")["metadata"].contains("labels"));
  const auto conflict = apply("second");
  EXPECT_TRUE(IsConflict(conflict.status())) << conflict.status();
  EXPECT_NE(MessageOf(conflict.status()).find(".metadata.labels"), std::string::npos) << conflict.status();
}

TEST_P(Objects, AreOnlyRehearsedInADryRun) {
  const WriteOptions dry{.dry_run = true};
  EXPECT_TRUE(kubernetes().Create(kConfigMaps, name_space_, ConfigMap("a"), dry, Soon()).ok());
  EXPECT_TRUE(kubernetes().Apply(Key("a"), ConfigMap("a"), {.write = dry}, Soon()).ok());
  EXPECT_TRUE(kubernetes::IsNotFound(kubernetes().Get(Key("a"), Soon()).status()));
  Make(ConfigMap("b", {{"x", "1"}}));
  const auto patched = kubernetes().Patch(Key("b"), PatchKind::kMerge, {{"data", {{"x", "2"}}}}, dry, Soon());
  ASSERT_TRUE(patched.ok()) << patched.status();
  EXPECT_EQ((*patched)["data"]["x"], "2");
  EXPECT_TRUE(kubernetes().Delete(Key("b"), {.dry_run = true}, Soon()).ok());
  EXPECT_EQ(Read("b")["data"]["x"], "1");
}

TEST_P(Objects, AreDeletedOnlyAsWhatTheyWere) {
  const Json made = Make(ConfigMap("a"));
  const std::string version = TextAt(made, {"metadata", "resourceVersion"});
  EXPECT_TRUE(
      IsConflict(kubernetes().Delete(Key("a"), {.uid = "00000000-0000-4000-8000-ffffffffffff"}, Soon())));
  EXPECT_TRUE(kubernetes().Patch(Key("a"), PatchKind::kMerge, {{"data", {{"x", "1"}}}}, {}, Soon()).ok());
  EXPECT_TRUE(IsConflict(kubernetes().Delete(Key("a"), {.resource_version = version}, Soon())));
  EXPECT_TRUE(kubernetes().Delete(Key("a"), {.uid = TextAt(made, {"metadata", "uid"})}, Soon()).ok());
  EXPECT_TRUE(WaitUntilGone(kubernetes(), Key("a"), "", Soon()).ok());
}

TEST_P(Objects, StayUntilTheirFinalizersAreGone) {
  Json object = ConfigMap("a");
  object["metadata"]["finalizers"] = {"salvor.dev/test"};
  Make(object);
  EXPECT_TRUE(kubernetes().Delete(Key("a"), {}, Soon()).ok());
  EXPECT_NE(TextAt(Read("a"), {"metadata", "deletionTimestamp"}), "");
  const Json release = {{"metadata", {{"finalizers", nullptr}}}};
  EXPECT_TRUE(kubernetes().Patch(Key("a"), PatchKind::kMerge, release, {}, Soon()).ok());
  EXPECT_TRUE(WaitUntilGone(kubernetes(), Key("a"), "", Soon()).ok());
}

TEST_P(Objects, FollowTheirOwnersUnlessOrphaned) {
  for (const Propagation propagation : {Propagation::kBackground, Propagation::kOrphan}) {
    const bool is_orphan = propagation == Propagation::kOrphan;
    const std::string prefix = is_orphan ? "orphan-" : "";
    const Json owner = Make(ConfigMap(prefix + "owner"));
    Json dependent = ConfigMap(prefix + "dependent");
    dependent["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "v1"},
                                                             {"kind", "ConfigMap"},
                                                             {"name", prefix + "owner"},
                                                             {"uid", owner["metadata"]["uid"]}}});
    Make(dependent);
    EXPECT_TRUE(kubernetes().Delete(Key(prefix + "owner"), {.propagation = propagation}, Soon()).ok());
    EXPECT_TRUE(WaitUntilGone(kubernetes(), Key(prefix + "owner"), "", Soon()).ok());
    if (is_orphan) {
      EXPECT_FALSE(Read("orphan-dependent")["metadata"].contains("ownerReferences"));
    } else {
      EXPECT_TRUE(WaitUntilGone(kubernetes(), Key("dependent"), "", Soon()).ok());
    }
  }
}

TEST_P(Objects, GoWithTheirNamespace) {
  Make(ConfigMap("a"));
  EXPECT_TRUE(kubernetes().Delete({kNamespaces, "", name_space_}, {}, Soon()).ok());
  EXPECT_TRUE(WaitUntilGone(kubernetes(), {kNamespaces, "", name_space_}, "", Soon()).ok());
  EXPECT_TRUE(kubernetes::IsNotFound(kubernetes().Get(Key("a"), Soon()).status()));
}

TEST_P(Objects, AreServedInTheVersionsThatTheServerNames) {
  const auto version = kubernetes().Version(Soon());
  ASSERT_TRUE(version.ok()) << version.status();
  EXPECT_EQ(version->major, 1);
  EXPECT_GE(version->minor, 30);
  EXPECT_TRUE(IsServed(kubernetes(), kConfigMaps, Soon()).value());
  EXPECT_TRUE(IsServed(kubernetes(), {"apps", "v1", "deployments"}, Soon()).value());
  EXPECT_FALSE(IsServed(kubernetes(), {"", "v1", "backups"}, Soon()).value());
  EXPECT_FALSE(IsServed(kubernetes(), {"none.salvor.dev", "v1", "backups"}, Soon()).value());
  const auto missing = kubernetes().Get({{"none.salvor.dev", "v1", "backups"}, name_space_, "a"}, Soon());
  EXPECT_TRUE(kubernetes::IsNotFound(missing.status())) << missing.status();
}

}  // namespace
}  // namespace salvor::kubernetes
