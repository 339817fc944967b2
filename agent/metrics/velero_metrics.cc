#include "agent/metrics/velero_metrics.h"

#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr char kUp[] = "salvor_velero_server_up";
constexpr char kVersion[] = "salvor_velero_server_info";
constexpr char kAvailable[] = "salvor_velero_storage_location_available";
constexpr char kWritable[] = "salvor_velero_storage_location_writable";
constexpr char kUnfinished[] = "salvor_velero_unfinished_backups";
constexpr char kStalled[] = "salvor_velero_stalled_backups";
constexpr char kLastLook[] = "salvor_velero_last_look_timestamp_seconds";
constexpr char kVolumes[] = "salvor_velero_volumes_total";
constexpr char kKeptBytes[] = "salvor_velero_kept_bytes_total";

// `namespace` as a label's name is what a scrape on a cluster calls that of the pod.
constexpr char kVelero[] = "velero_namespace";
constexpr char kLocation[] = "storage_location";

constexpr size_t kLongestVersion = 64;  // it is what somebody else's server says
constexpr absl::Duration kTrusted = absl::Hours(1);

}  // namespace

VeleroMetrics::VeleroMetrics(MetricRegistry& registry, const Clock& clock)
    : registry_(registry), clock_(clock) {
  registry.DeclareGauge(kUp, "Whether Velero's server answered at the last look: 1 or 0.", {kVelero});
  registry.DeclareGauge(kVersion, "Version that Velero's server answered with, as a label.",
                        {kVelero, "version"});
  registry.DeclareGauge(kAvailable,
                        "Whether Velero's storage location was Available at the last look: 1 or 0.",
                        {kVelero, kLocation});
  registry.DeclareGauge(
      kWritable, "Whether Velero may write into the storage location, as declared: 1, or 0 for read-only.",
      {kVelero, kLocation});
  registry.DeclareGauge(kUnfinished, "Velero's backups that were queued or running at the last look.",
                        {kVelero, "stage"});
  registry.DeclareGauge(
      kStalled, "Velero's backups that this agent waits for and of which nothing moves any more.", {kVelero});
  registry.DeclareGauge(kLastLook,
                        "When this agent last looked: at the server, the storage_locations, the queue.",
                        {kVelero, "subject"});
  registry.DeclareCounter(
      kVolumes,
      "Volumes of Velero's backups that this agent judged: covered, not_covered, or left_out on "
      "purpose.",
      {"application", "outcome"});
  registry.DeclareCounter(kKeptBytes, "Bytes of the covered volumes, before deduplication.", {"application"});
}

void VeleroMetrics::Show(const std::string& velero_namespace, const std::string& subject,
                         const std::map<Series, double>& found) {
  MutexLock lock(mutex_);
  Look& look = looks_[{velero_namespace, subject}];
  for (const Series& series : look.shown) {
    if (found.count(series) == 0) registry_.Remove(series.first, series.second);
  }
  look.shown.clear();
  look.at = clock_.Monotonic();
  for (const auto& [series, value] : found) {
    registry_.Set(series.first, series.second, value);
    look.shown.insert(series);
  }
  registry_.Set(kLastLook, {{kVelero, velero_namespace}, {"subject", subject}},
                absl::ToDoubleSeconds(clock_.Now() - absl::UnixEpoch()));
}

void VeleroMetrics::OnServer(const std::string& velero_namespace, const std::string& version) {
  std::map<Series, double> found = {{{kUp, {{kVelero, velero_namespace}}}, version.empty() ? 0.0 : 1.0}};
  if (!version.empty())
    found[{kVersion,
           {{kVelero, velero_namespace}, {"version", Elide(CleanText(version), kLongestVersion)}}}] = 1;
  Show(velero_namespace, "server", found);
}

void VeleroMetrics::OnLocations(const std::string& velero_namespace,
                                const std::vector<velero::StorageLocation>& locations) {
  std::map<Series, double> found;
  for (const velero::StorageLocation& location : locations) {
    const MetricLabels labels = {{kVelero, velero_namespace}, {kLocation, location.name}};
    found[{kAvailable, labels}] = location.phase == "Available" ? 1 : 0;
    found[{kWritable, labels}] = location.read_only ? 0 : 1;
  }
  Show(velero_namespace, "storage_locations", found);
}

void VeleroMetrics::OnQueue(const std::string& velero_namespace, const velero::Queue& queue) {
  std::map<Series, double> found;
  found[{kUnfinished, {{kVelero, velero_namespace}, {"stage", "queued"}}}] = queue.queued;
  found[{kUnfinished, {{kVelero, velero_namespace}, {"stage", "running"}}}] = queue.running;
  Show(velero_namespace, "queue", found);
}

void VeleroMetrics::OnStall(const std::string& velero_namespace, const std::string& backup, bool is_stalled) {
  MutexLock lock(mutex_);
  std::set<std::string>& stalled = stalled_[velero_namespace];
  if (is_stalled) {
    stalled.insert(backup);
  } else {
    stalled.erase(backup);
  }
  registry_.Set(kStalled, {{kVelero, velero_namespace}}, static_cast<double>(stalled.size()));
}

void VeleroMetrics::OnVolumes(const std::string& application, const velero::VolumeCount& count) {
  for (const auto& [outcome, number] : {std::pair("covered", count.covered),
                                        {"not_covered", count.not_covered},
                                        {"left_out", count.left_out}})
    registry_.Add(kVolumes, {{"application", application}, {"outcome", outcome}}, number);
  registry_.Add(kKeptBytes, {{"application", application}}, static_cast<double>(count.bytes));
}

void VeleroMetrics::Refresh() {
  MutexLock lock(mutex_);
  for (auto& [subject, look] : looks_) {
    if (clock_.Monotonic() - look.at <= kTrusted) continue;
    for (const Series& series : look.shown) registry_.Remove(series.first, series.second);
    look.shown.clear();
  }
}

}  // namespace salvor::agent
