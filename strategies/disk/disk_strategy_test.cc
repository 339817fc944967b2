#include "strategies/disk/disk_strategy.h"

#include <gmock/gmock.h>

#include "strategies/interface/strategy_testing.h"

namespace salvor::strategies {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Problems(const std::string& text) {
  return ProblemLines(DiskStrategy().Validate(FromText<v1::Component>(text)));
}

TEST(DiskStrategy, RefusesPathsThatAreNoneOrMeetEachOther) {
  EXPECT_THAT(Problems(R"(name: "f" disk {})"),
              ElementsAre("disk.paths: needs at least one path, or claims on Kubernetes (incomplete)"));
  EXPECT_THAT(Problems(R"(name: "f" disk { paths: "srv" paths: "/srv/" paths: "/a/../b" paths: "/x\000y" })"),
              ElementsAre("disk.paths[0]: path 'srv' must be absolute",
                          "disk.paths[1]: must not end with '/' or contain '//'",
                          "disk.paths[2]: path '/a/../b' must not contain '..'",
                          "disk.paths[3]: path contains a NUL byte"));
  EXPECT_THAT(Problems(R"(name: "f" disk { paths: "/srv/a" paths: "/srv" paths: "/srv" paths: "/srvx" })"),
              ElementsAre("disk.paths[0]: lies within '/srv', which is there already",
                          "disk.paths[2]: lies within '/srv', which is there already"));
  EXPECT_THAT(Problems(R"(name: "f" disk { paths: "/" })"), IsEmpty());
}

TEST(DiskStrategy, RefusesPatternsThatAreNotOneLine) {
  EXPECT_THAT(
      Problems(R"(name: "f" disk { paths: "/srv" exclude: " " exclude: "a\nb" exclude: "*.tmp" })"),
      ElementsAre("disk.exclude[0]: is empty", "disk.exclude[1]: must be one line without NUL bytes"));
}

TEST(DiskStrategy, HasNoDatabaseToAsk) {
  EXPECT_THAT(
      Problems(R"(name: "f" disk { paths: "/srv" }
                          checks { name: "a" sql { database: "shop" query: "SELECT 1" } }
                          checks { name: "b" command { argv: "/usr/bin/test" } })"),
      ElementsAre(
          "checks[0].sql: is nothing that a component of this kind can be asked; use command or http"));
}

TEST(DiskStrategy, RestoresBelowTheirOwnPlaceUnlessToldAnother) {
  const v1::Manifest manifest = AManifest({FilesComponent()});
  RestoreRequest request = ARestoreRequest(manifest);
  const auto root = [&] {
    const auto fragment = DiskStrategy().Restore(FilesComponent(), request);
    EXPECT_TRUE(fragment.ok()) << fragment.status();
    return StepsFor(*fragment, v1::PURPOSE_RESTORE)[0].action().disk_restore().target().root();
  };
  EXPECT_EQ(root(), "/");
  request.options.mutable_disk()->set_root("/srv/elsewhere");
  EXPECT_EQ(root(), "/srv/elsewhere");
}

// "/a -> /b" of each path; the error's text when the restore is refused.
std::vector<std::string> DestinationsTo(const std::string& target, const std::string& disk_root = "") {
  const v1::Manifest manifest = AManifest({FilesComponent()});
  RestoreRequest request = ARestoreRequest(manifest);
  if (!disk_root.empty()) request.options.mutable_disk()->set_root(disk_root);
  request.to = FromText<v1::Component>(target);
  const auto fragment = DiskStrategy().Restore(FilesComponent(), request);
  if (!fragment.ok()) return {MessageOf(fragment.status()), HintOf(fragment.status())};
  std::vector<std::string> pairs;
  const v1::Step restore = StepsFor(*fragment, v1::PURPOSE_RESTORE)[0];
  for (const auto& one : restore.action().disk_restore().destinations())
    pairs.push_back(one.path() + " -> " + one.destination());
  // Whatever looks at the target looks at the same places.
  const auto restored = StepsFor(*fragment, v1::PURPOSE_RESTORE)[0].action().disk_restore();
  const auto checked = StepsFor(*fragment, v1::PURPOSE_GUARD)[0].action().disk_target_check();
  const auto verified = StepsFor(*fragment, v1::PURPOSE_VERIFY)[0].action().disk_verify();
  EXPECT_EQ(checked.destinations_size(), restored.destinations_size());
  for (int i = 0; i < restored.destinations_size(); ++i) {
    EXPECT_EQ(checked.destinations(i).destination(), restored.destinations(i).destination());
    EXPECT_EQ(verified.destinations(i).destination(), restored.destinations(i).destination());
    EXPECT_EQ(fragment->effects[static_cast<size_t>(i)].subject(),
              "files " + restored.destinations(i).destination());
  }
  return pairs;
}

TEST(DiskStrategy, LaysFilesWhereTheTargetDeclaresThem) {
  EXPECT_THAT(DestinationsTo(R"(name: "files" disk { paths: "/srv/copy" paths: "/etc/copy" })"),
              ElementsAre("/srv/shop -> /srv/copy", "/etc/shop -> /etc/copy"));
  EXPECT_THAT(DestinationsTo(R"(name: "files" disk { paths: "/srv/shop" paths: "/etc/copy" })"),
              ElementsAre("/srv/shop -> /srv/shop", "/etc/shop -> /etc/copy"));
  // The same paths in another order are the same paths.
  EXPECT_THAT(DestinationsTo(R"(name: "files" disk { paths: "/etc/shop" paths: "/srv/shop" })"),
              ElementsAre("/srv/shop -> /srv/shop", "/etc/shop -> /etc/shop"));
  // A folder that was asked for has the paths of the backup below it.
  EXPECT_THAT(DestinationsTo(R"(name: "files" disk { paths: "/srv/copy" })", "/restored"),
              ElementsAre("/srv/shop -> /srv/shop", "/etc/shop -> /etc/shop"));
}

TEST(DiskStrategy, RefusesATargetWhosePathsCannotBePaired) {
  const std::string hint =
      "Declare in component 'files' of the target one path for each of these, in this order: /srv/shop, "
      "/etc/shop. Or restore below a folder with --disk-root.";
  EXPECT_THAT(
      DestinationsTo(R"(name: "files" disk { paths: "/srv/copy" })"),
      ElementsAre("the backup has 2 paths and the target declares 1: which goes where cannot be told", hint));
  EXPECT_THAT(DestinationsTo(R"(name: "files" disk { paths: "/data/copy" paths: "/srv/shop" })"),
              ElementsAre("path /srv/shop stands at another position in the target than in the backup: which "
                          "goes where cannot be told",
                          hint));
}

TEST(DiskStrategy, RefusesMountPointsThatHaveNothingToDoWithThePaths) {
  EXPECT_THAT(Problems(R"(name: "f" disk { paths: "/srv/a" mount_points: "/srv" mount_points: "/srv/a"
                                           mount_points: "/srv/a/b" })"),
              IsEmpty());
  EXPECT_THAT(Problems(R"(name: "f" disk { paths: "/srv/a" mount_points: "/srv/b" mount_points: "srv"
                                           mount_points: "/srv/" })"),
              ElementsAre("disk.mountPoints[0]: is neither one of disk.paths nor above or below one",
                          "disk.mountPoints[1]: path 'srv' must be absolute",
                          "disk.mountPoints[1]: is neither one of disk.paths nor above or below one",
                          "disk.mountPoints[2]: must not end with '/' or contain '//'"));
}

TEST(DiskStrategy, RunsTheChecksOnThePathsThatWereRestored) {
  v1::Component files = FilesComponent();
  *files.add_checks() = FromText<v1::ApplicationCheck>(R"(name: "b" command { argv: "/usr/bin/test" })");
  const v1::Manifest manifest = AManifest({files});
  RestoreRequest request = ARestoreRequest(manifest, "drill-shop-1");
  request.drill = true;
  const auto fragment = DiskStrategy().Restore(files, request);
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  const v1::ApplicationChecks checks =
      StepsFor(*fragment, v1::PURPOSE_CHECK)[0].action().application_checks();
  EXPECT_TRUE(checks.drill());
  EXPECT_EQ(checks.disk().scratch(), "drill-shop-1");
  EXPECT_THAT(checks.paths(), ElementsAre("/srv/shop", "/etc/shop"));
  ASSERT_EQ(fragment->scratch.size(), 1u);
  EXPECT_EQ(fragment->scratch[0].bytes, 4096);
  EXPECT_FALSE(fragment->scratch[0].start.scratch_start().postgres()) << "files need no server";
}

TEST(DiskStrategy, WantsItsClaimsKeptAndKeepsNothingOfThemItself) {
  const auto fragment = DiskStrategy().Backup(
      FromText<v1::Component>(
          R"(name: "f" namespace: "shop" disk { claims: "a" claims: "b" method: VOLUME_METHOD_FILE_SYSTEM })"),
      ABackupRequest());
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  EXPECT_THAT(fragment->steps, IsEmpty());
  EXPECT_THAT(fragment->artifacts, IsEmpty());
  ASSERT_EQ(fragment->volumes.size(), 2u);
  EXPECT_EQ(fragment->volumes[1].in_namespace, "shop");
  EXPECT_EQ(fragment->volumes[1].claim, "b");
  EXPECT_EQ(fragment->volumes[1].method, v1::VOLUME_METHOD_FILE_SYSTEM);
  const auto on_host = DiskStrategy().Backup(FilesComponent(), ABackupRequest());
  ASSERT_TRUE(on_host.ok()) << on_host.status();
  EXPECT_THAT(on_host->volumes, IsEmpty());
}

TEST(DiskStrategy, MissesATreeWithoutItsDetails) {
  v1::Manifest manifest = AManifest({FilesComponent()});
  Lose(v1::Artifact::KIND_TREE_DETAILS, "", "files", "files", &manifest);
  const auto fragment = DiskStrategy().Restore(FilesComponent(), ARestoreRequest(manifest));
  ASSERT_TRUE(fragment.ok()) << fragment.status();
  ASSERT_EQ(fragment->missing.size(), 1u);
  EXPECT_EQ(fragment->missing[0].why(), "pg_dump: connection refused");
  EXPECT_TRUE(fragment->steps.empty());
}

}  // namespace
}  // namespace salvor::strategies
