#include "agent/kubernetes/velero/volume_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/kubernetes/velero/velero_objects_testing.h"

namespace salvor::velero {
namespace {

using testing::HasSubstr;

constexpr auto kFiles = v1::VOLUME_METHOD_FILE_SYSTEM;
constexpr auto kSnapshot = v1::VOLUME_METHOD_SNAPSHOT;
constexpr auto kMoved = v1::VOLUME_METHOD_SNAPSHOT_MOVED;

// What Velero 1.18 does with a volume by such a policy: the first rule of which all conditions fit. `claim` is null for
// a volume without one.
std::string ActionFor(const std::string& policy, const Claim* claim) {
  const Json parsed = Json::parse(policy);
  for (const Json& rule : parsed["volumePolicies"]) {
    const Json& conditions = rule["conditions"];
    bool fits = true;
    for (const auto& [key, value] : TextMapAt(conditions, {"pvcLabels"}))
      fits = fits && claim != nullptr && claim->labels.count(key) > 0 && claim->labels.at(key) == value;
    for (const std::string& one : TextsAt(conditions, {"storageClass"}))
      fits = fits && claim != nullptr && claim->storage_class == one;
    if (const std::string driver = TextAt(conditions, {"csi", "driver"}); !driver.empty())
      fits = fits && claim != nullptr && claim->driver == driver;
    for (const auto& [key, value] : TextMapAt(conditions, {"csi", "volumeAttributes"}))
      fits =
          fits && claim != nullptr && claim->attributes.count(key) > 0 && claim->attributes.at(key) == value;
    if (At(conditions, {"nfs"}).is_object()) {
      fits = fits && claim != nullptr && claim->nfs_server == TextAt(conditions, {"nfs", "server"}) &&
             claim->nfs_path == TextAt(conditions, {"nfs", "path"});
    }
    if (const std::string capacity = TextAt(conditions, {"capacity"}); capacity != "0,")
      fits = fits && claim != nullptr && capacity == claim->capacity + "," + claim->capacity;
    if (fits) return TextAt(rule, {"action", "type"});
  }
  return "none";
}

// As "name=action", in the order of the claims.
std::string Routes(const std::vector<v1::VeleroVolume>& planned, const std::vector<Claim>& claims) {
  const auto policy = MakeVolumePolicy(planned, claims);
  if (!policy.ok()) return MessageOf(policy.status());
  std::string routes;
  for (const Claim& claim : claims) routes += claim.name + "=" + ActionFor(*policy, &claim) + " ";
  return routes + "rest=" + ActionFor(*policy, nullptr);
}

TEST(VolumePolicy, RoutesEachClaimAsPlannedAndSkipsTheRest) {
  const std::vector<Claim> claims = {BoundClaim("db", {{"app", "db"}}),
                                     BoundClaim("uploads", {{"app", "web"}}),
                                     BoundClaim("cache", {{"app", "cache"}}), BoundClaim("bare")};
  EXPECT_EQ(Routes({Planned("db", kMoved, "its dump is kept"), Planned("uploads", kFiles),
                    Planned("cache", kMoved)},
                   claims),
            "db=skip uploads=fs-backup cache=snapshot bare=skip rest=skip");
}

TEST(VolumePolicy, OfAClaimWithoutLabelsTakesNoOther) {
  const std::vector<Claim> claims = {BoundClaim("bare"), BoundClaim("other", {{"app", "web"}}),
                                     BoundClaim("large", {}, "2Gi")};
  EXPECT_EQ(Routes({Planned("bare", kFiles)}, claims), "bare=fs-backup other=skip large=skip rest=skip");
}

TEST(VolumePolicy, LooksAtMoreLabelsFirstWhateverTheOrderOfTheClaims) {
  std::vector<Claim> claims = {BoundClaim("a", {{"app", "db"}}),
                               BoundClaim("b", {{"app", "db"}, {"role", "wal"}}),
                               BoundClaim("c", {{"app", "db"}, {"role", "wal"}, {"tier", "1"}})};
  const std::vector<v1::VeleroVolume> planned = {Planned("a", kFiles), Planned("b", kSnapshot),
                                                 Planned("c", kFiles)};
  EXPECT_EQ(Routes(planned, claims), "a=fs-backup b=snapshot c=fs-backup rest=skip");
  std::reverse(claims.begin(), claims.end());
  EXPECT_EQ(Routes(planned, claims), "c=fs-backup b=snapshot a=fs-backup rest=skip");
}

TEST(VolumePolicy, TellsClaimsOfTheSameLabelsApartByCapacityAndDriver) {
  const Labels labels = {{"app", "db"}};
  std::vector<Claim> claims = {BoundClaim("small", labels, "1Gi"), BoundClaim("large", labels, "5Gi")};
  claims.push_back(ReadClaim(ClaimObject("other", labels), VolumeObject("other", "csi.other.dev")));
  EXPECT_EQ(
      Routes({Planned("small", kFiles), Planned("large", kSnapshot), Planned("other", kSnapshot)}, claims),
      "small=fs-backup large=snapshot other=snapshot rest=skip");
}

TEST(VolumePolicy, TellsClaimsApartByWhatTheirDriverHasOfThem) {
  Claim plain = BoundClaim("plain"), share = BoundClaim("share"), other = BoundClaim("other");
  share.attributes = {{"share", "a"}};
  other.attributes = {{"share", "a"}, {"tier", "slow"}};
  std::vector<Claim> claims = {plain, share, other};
  const std::vector<v1::VeleroVolume> planned = {Planned("plain", kFiles), Planned("share", kSnapshot),
                                                 Planned("other", kFiles)};
  EXPECT_EQ(Routes(planned, claims), "plain=fs-backup share=snapshot other=fs-backup rest=skip");
  std::reverse(claims.begin(), claims.end());
  EXPECT_EQ(Routes(planned, claims), "other=fs-backup share=snapshot plain=fs-backup rest=skip");
}

TEST(VolumePolicy, TellsNfsSharesApart) {
  const auto nfs = [](const std::string& name, const std::string& path) {
    Claim claim = BoundClaim(name);
    claim.driver = "";
    claim.source = "nfs";
    claim.nfs_server = "10.0.0.1";
    claim.nfs_path = path;
    return claim;
  };
  EXPECT_EQ(Routes({Planned("a", kFiles)}, {nfs("a", "/srv/a"), nfs("b", "/srv/b")}),
            "a=fs-backup b=skip rest=skip");
}

TEST(VolumePolicy, ComparesCapacitiesAsQuantities) {
  const auto refused = [](const std::string& one, const std::string& other) {
    return !MakeVolumePolicy({Planned("a", kFiles), Planned("b", kSnapshot)},
                             {BoundClaim("a", {}, one), BoundClaim("b", {}, other)})
                .ok();
  };
  EXPECT_TRUE(refused("1Gi", "1073741824"));
  EXPECT_TRUE(refused("1Gi", "1024Mi"));
  EXPECT_TRUE(refused("1.5Gi", "1536Mi"));
  EXPECT_TRUE(refused("1.50G", "1500M"));
  EXPECT_TRUE(refused("2e9", "2e9"));
  EXPECT_FALSE(refused("1Gi", "1G"));
  EXPECT_FALSE(refused("1Gi", "1073741825"));
  for (const char* odd :
       {".", "1.2.3", "99999999999999999999", "9999999999Pi", "0.3", "Gi", "-1Gi", "1 Gi"}) {
    EXPECT_TRUE(refused(odd, odd)) << odd;
    EXPECT_FALSE(refused(odd, "1Gi")) << odd;
  }
}

TEST(VolumePolicy, AClaimWithoutAVolumeStandsInNobodysWay) {
  const Labels labels = {{"app", "db"}};
  const Claim pending = ReadClaim(ClaimObject("pending", labels, "Pending"), Json());
  const std::vector<Claim> claims = {pending, BoundClaim("db", labels)};
  const auto policy = MakeVolumePolicy({Planned("db", kFiles)}, claims);
  ASSERT_TRUE(policy.ok()) << policy.status();
  EXPECT_EQ(ActionFor(*policy, &claims[1]), "fs-backup");
  EXPECT_EQ(MessageOf(MakeVolumePolicy({Planned("pending", kFiles)}, claims).status()),
            "the claim shop/pending has no volume");
}

TEST(VolumePolicy, RefusesTwoWaysForWhatItCannotTellApart) {
  const std::vector<Claim> claims = {BoundClaim("a"), BoundClaim("b")};
  const auto policy = MakeVolumePolicy({Planned("a", kFiles), Planned("b", kSnapshot)}, claims);
  EXPECT_EQ(policy.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(MessageOf(policy.status()), HasSubstr("shop/a and shop/b are to be kept in different ways"));
  EXPECT_THAT(HintOf(policy.status()), HasSubstr("a label of its own"));
  EXPECT_EQ(Routes({Planned("a", kFiles), Planned("b", kFiles)}, claims),
            "a=fs-backup b=fs-backup rest=skip");
}

TEST(VolumePolicy, KeepsRatherTooMuchThanTooLittleOfWhatItCannotTellApart) {
  std::vector<Claim> claims = {BoundClaim("a"), BoundClaim("b")};
  const std::vector<v1::VeleroVolume> planned = {Planned("a", kFiles), Planned("b", kFiles, "a cache")};
  EXPECT_EQ(Routes(planned, claims), "a=fs-backup b=fs-backup rest=skip");
  std::reverse(claims.begin(), claims.end());
  EXPECT_EQ(Routes(planned, claims), "b=fs-backup a=fs-backup rest=skip");
}

TEST(VolumePolicy, MovesTheDataOfAllSnapshotsOrOfNone) {
  const std::vector<Claim> claims = {BoundClaim("a", {{"x", "1"}}), BoundClaim("b", {{"x", "2"}})};
  const auto policy = MakeVolumePolicy({Planned("a", kMoved), Planned("b", kSnapshot)}, claims);
  EXPECT_THAT(MessageOf(policy.status()),
              HasSubstr("the snapshot of shop/a is to be moved, that of shop/b is to stay"));
  EXPECT_TRUE(MakeVolumePolicy({Planned("a", kMoved), Planned("b", kSnapshot, "a cache")}, claims).ok());
}

TEST(VolumePolicy, OfWhatWasNotDecidedOrIsNotThereIsNone) {
  const std::vector<Claim> claims = {BoundClaim("a")};
  EXPECT_EQ(MakeVolumePolicy({Planned("a", v1::VOLUME_METHOD_AUTO)}, claims).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MessageOf(MakeVolumePolicy({Planned("gone", kFiles)}, claims).status()),
            "there is no claim shop/gone");
  EXPECT_TRUE(MakeVolumePolicy({Planned("gone", kFiles, "a cache")}, claims).ok());
}

}  // namespace
}  // namespace salvor::velero
