#include "agent/metrics/velero_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/io/metrics/reference_testing.h"

namespace salvor::agent {
namespace {

using testing::AllOf;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::Not;

velero::StorageLocation Location(const std::string& name, const std::string& phase, bool read_only = false) {
  velero::StorageLocation location;
  location.name = name;
  location.phase = phase;
  location.read_only = read_only;
  return location;
}

class VeleroMetricsTest : public testing::Test {
 protected:
  // What a scrape gets.
  std::string Text() {
    metrics_.Refresh();
    return registry_.Text();
  }

  MetricRegistry registry_;
  FakeClock clock_{absl::FromUnixSeconds(1000)};
  VeleroMetrics metrics_{registry_, clock_};
};

TEST_F(VeleroMetricsTest, ShowNothingThatNobodyLookedAt) { EXPECT_THAT(Text(), Not(HasSubstr("\nsalvor_"))); }

TEST_F(VeleroMetricsTest, TellHowTheServerIsAndWhenItWasAsked) {
  metrics_.OnServer("velero", "v1.18.2");
  EXPECT_THAT(
      Text(),
      AllOf(
          HasSubstr("\nsalvor_velero_server_up{velero_namespace=\"velero\"} 1\n"),
          HasSubstr("\nsalvor_velero_server_info{velero_namespace=\"velero\",version=\"v1.18.2\"} 1\n"),
          HasSubstr("_last_look_timestamp_seconds{subject=\"server\",velero_namespace=\"velero\"} 1000\n")));
  clock_.Advance(absl::Seconds(60));
  metrics_.OnServer("velero", "");
  EXPECT_THAT(Text(), AllOf(HasSubstr("\nsalvor_velero_server_up{velero_namespace=\"velero\"} 0\n"),
                            Not(HasSubstr("version=\"v1.18.2\"")), HasSubstr("\"velero\"} 1060\n")));
  metrics_.OnServer("velero", "v1.19.0");
  EXPECT_THAT(Text(), AllOf(HasSubstr("version=\"v1.19.0\"} 1\n"),
                            HasSubstr("server_up{velero_namespace=\"velero\"} 1\n")));
}

TEST_F(VeleroMetricsTest, ShowNoVersionWithoutEnd) {
  metrics_.OnServer("velero", std::string(100000, 'v') + "\n# TYPE forged counter");
  EXPECT_LT(Text().size(), 2000u);
  EXPECT_THAT(Text(), Not(HasSubstr("\n# TYPE forged")));
}

TEST_F(VeleroMetricsTest, ForgetALocationThatIsGone) {
  metrics_.OnLocations("velero", {Location("default", "Available"), Location("old", "Unavailable", true)});
  metrics_.OnLocations("other", {Location("old", "Available")});
  const std::string text = Text();
  for (const char* line : {"_available{storage_location=\"default\",velero_namespace=\"velero\"} 1\n",
                           "_writable{storage_location=\"default\",velero_namespace=\"velero\"} 1\n",
                           "_available{storage_location=\"old\",velero_namespace=\"velero\"} 0\n",
                           "_writable{storage_location=\"old\",velero_namespace=\"velero\"} 0\n"})
    EXPECT_THAT(text, HasSubstr(line));
  metrics_.OnLocations("velero", {Location("default", "")});
  EXPECT_THAT(Text(),
              AllOf(HasSubstr("_available{storage_location=\"default\",velero_namespace=\"velero\"} 0\n"),
                    Not(HasSubstr("storage_location=\"old\",velero_namespace=\"velero\"")),
                    HasSubstr("storage_location=\"old\",velero_namespace=\"other\"")));
}

TEST_F(VeleroMetricsTest, DoNotShowAnOldLookAsTrueAndKeepItsTime) {
  metrics_.OnServer("velero", "v1.18.2");
  metrics_.OnLocations("velero", {Location("default", "Available")});
  metrics_.OnQueue("velero", {.queued = 2, .running = 1});
  clock_.Advance(absl::Hours(1));
  metrics_.OnServer("velero", "v1.18.2");
  EXPECT_THAT(
      Text(),
      HasSubstr("salvor_velero_unfinished_backups{stage=\"queued\",velero_namespace=\"velero\"} 2\n"));
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(Text(), AllOf(HasSubstr("salvor_velero_server_up{"),
                            Not(HasSubstr("salvor_velero_unfinished_backups{")),
                            Not(HasSubstr("salvor_velero_storage_location_available{")),
                            HasSubstr("{subject=\"queue\",velero_namespace=\"velero\"} 1000\n"),
                            HasSubstr("{subject=\"server\",velero_namespace=\"velero\"} 4600\n")));
  metrics_.OnQueue("velero", {.queued = 0, .running = 1});
  EXPECT_THAT(
      Text(),
      HasSubstr("salvor_velero_unfinished_backups{stage=\"queued\",velero_namespace=\"velero\"} 0\n"));
}

TEST_F(VeleroMetricsTest, AreOldByTheClockThatNobodySets) {
  metrics_.OnServer("velero", "v1.18.2");
  clock_.Set(absl::FromUnixSeconds(1000000));
  EXPECT_THAT(Text(), HasSubstr("salvor_velero_server_up{"));
  clock_.Set(absl::FromUnixSeconds(0));
  clock_.Advance(absl::Hours(2));
  EXPECT_THAT(Text(), Not(HasSubstr("salvor_velero_server_up{")));
}

TEST_F(VeleroMetricsTest, CountEachStalledBackupOnceAndUntilItMoves) {
  metrics_.OnStall("velero", "a", true);
  metrics_.OnStall("velero", "a", true);
  metrics_.OnStall("velero", "b", true);
  EXPECT_THAT(Text(), HasSubstr("salvor_velero_stalled_backups{velero_namespace=\"velero\"} 2\n"));
  metrics_.OnStall("velero", "a", false);
  metrics_.OnStall("velero", "c", false);
  clock_.Advance(absl::Hours(9));
  EXPECT_THAT(Text(), HasSubstr("salvor_velero_stalled_backups{velero_namespace=\"velero\"} 1\n"))
      << "that is looked at all the time";
}

TEST_F(VeleroMetricsTest, CountVolumesByWhatBecameOfThem) {
  metrics_.OnVolumes("shop", {.covered = 2, .not_covered = 0, .left_out = 1, .bytes = 100});
  EXPECT_THAT(Text(), HasSubstr("_volumes_total{application=\"shop\",outcome=\"not_covered\"} 0\n"))
      << "else the first one would not be an increase";
  metrics_.OnVolumes("shop", {.covered = 1, .not_covered = 1, .left_out = 1, .bytes = 50});
  const std::string text = Text();
  for (const char* line : {"_volumes_total{application=\"shop\",outcome=\"covered\"} 3\n",
                           "_volumes_total{application=\"shop\",outcome=\"not_covered\"} 1\n",
                           "_volumes_total{application=\"shop\",outcome=\"left_out\"} 2\n",
                           "salvor_velero_kept_bytes_total{application=\"shop\"} 150\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST_F(VeleroMetricsTest, AreThoseOfTheReference) {
  EXPECT_THAT(ReferenceRowsIn("salvor-agent as an executor"), ElementsAreArray(ReferenceRowsOf(registry_)));
}

}  // namespace
}  // namespace salvor::agent
