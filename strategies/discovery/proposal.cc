#include "strategies/discovery/proposal.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/names.h"
#include "base/text.h"
#include "strategies/discovery/databases.h"
#include "strategies/interface/steps.h"

namespace salvor::strategies {
namespace {

constexpr size_t kLongestShown = 60;
constexpr char kClaimVolume[] = "persistentVolumeClaim";
constexpr char kEphemeralVolume[] = "ephemeral";
constexpr char kExcludeLabel[] = "velero.io/exclude-from-backup";

std::string TitleOf(const v1::DiscoveredWorkload& workload) {
  return Shown(workload.kind()) + " " + Shown(workload.name());
}

// "a", "a and b", "a, b and c", "a, b and 3 more".
std::string Listed(const std::vector<std::string>& texts) {
  constexpr size_t kMostNamed = 4;
  if (texts.size() > kMostNamed) {
    return fmt::format("{} and {} more", Join({texts.begin(), texts.begin() + kMostNamed - 1}, ", "),
                       texts.size() - kMostNamed + 1);
  }
  if (texts.size() < 2) return Join(texts, "");
  return Join({texts.begin(), texts.end() - 1}, ", ") + " and " + texts.back();
}

template <typename List>
bool Has(const List& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// Volumes that hold no data of the application's own: what they show is an object of the cluster, or made anew.
bool HoldsNoData(const std::string& kind) {
  static const std::set<std::string> kinds = {"configMap", "secret", "projected", "downwardAPI", "image", ""};
  return kinds.count(kind) > 0;
}

// A container that looks like a database, and of what.
struct FoundDatabase {
  const v1::DiscoveredContainer* container = nullptr;
  DatabaseGuess guess;

  // "PostgreSQL, by the image postgres:16 of container db"
  std::string Text() const {
    return guess.by_image ? fmt::format("{}, by the image {} of container {}", guess.engine,
                                        Shown(container->image()), Shown(container->name()))
                          : fmt::format("{}, by the port {} of container {}", guess.engine, guess.port,
                                        Shown(container->name()));
  }
};

class Proposer {
 public:
  Proposer(const v1::Discovery& facts, Proposal* proposal) : facts_(facts), proposal_(*proposal) {
    for (const v1::DiscoveredService& service : facts.services()) {
      for (const std::string& workload : service.workloads())
        service_ports_[workload].insert(service.ports().begin(), service.ports().end());
    }
    for (const v1::DiscoveredWorkload& workload : facts.workloads()) FindDatabases(workload);
  }

  void Propose() {
    Caution();
    std::vector<const v1::DiscoveredClaim*> kept;
    std::vector<std::string> names;
    for (const v1::DiscoveredClaim& claim : facts_.claims()) {
      if (Has(ephemeral_claims_, claim.name())) continue;  // named with the volume that it is of
      if (!IsKept(claim)) continue;
      kept.push_back(&claim);
      names.push_back(claim.name());
    }
    const std::vector<std::string> slugs = NamesOf(names);
    for (size_t i = 0; i < kept.size(); ++i) AddComponent(*kept[i], slugs[i]);
    for (const v1::DiscoveredWorkload& workload : facts_.workloads()) NameWhatIsNotKept(workload);
    if (facts_.left_out() > 0) {
      NotKept(fmt::format(
          "{} more things are in this namespace, too many to list: a claim that is named as not mounted may be "
          "mounted by one of them.",
          facts_.left_out()));
    }
  }

 private:
  void NotKept(std::string sentence) { proposal_.not_kept.push_back(std::move(sentence)); }

  // Names of components, each different, at most as long as one may be.
  static std::vector<std::string> NamesOf(const std::vector<std::string>& claims) {
    constexpr size_t kRoomForANumber = 4;
    std::vector<std::string> shortened;
    for (const std::string& claim : claims) {
      std::string slug = Slug(claim);
      slug.resize(std::min(slug.size(), kMaxComponentNameLength - kRoomForANumber));
      shortened.push_back(std::move(slug));
    }
    return UniqueSlugs(shortened);
  }

  void FindDatabases(const v1::DiscoveredWorkload& workload) {
    std::vector<int> ports;
    const auto served = service_ports_.find(workload.kind() + "/" + workload.name());
    // Which of several containers a Service means is not known.
    if (served != service_ports_.end() && workload.containers_size() == 1)
      ports.assign(served->second.begin(), served->second.end());
    for (const v1::DiscoveredContainer& container : workload.containers()) {
      DatabaseGuess guess = GuessDatabase(container, ports);
      if (!guess.engine.empty()) databases_[&workload].push_back({&container, std::move(guess)});
    }
    for (const v1::DiscoveredVolume& volume : workload.volumes()) {
      if (volume.kind() != kEphemeralVolume) continue;
      ephemeral_claims_.insert(volume.claims().begin(), volume.claims().end());
      ephemeral_claims_.insert(volume.idle_claims().begin(), volume.idle_claims().end());
    }
  }

  void Caution() {
    if (facts_.excluded()) {
      proposal_.cautions.push_back(fmt::format(
          "The namespace is labelled {}, so Velero leaves it out, and a backup is refused.", kExcludeLabel));
    }
  }

  // Who has the claim mounted in a pod that runs; or, with `idle`, who names it and has not.
  std::vector<std::string> UsersOf(const v1::DiscoveredClaim& claim, bool idle) const {
    std::vector<std::string> users;
    for (const v1::DiscoveredWorkload& workload : facts_.workloads()) {
      for (const v1::DiscoveredVolume& volume : workload.volumes()) {
        if (volume.kind() != kClaimVolume ||
            !Has(idle ? volume.idle_claims() : volume.claims(), claim.name()))
          continue;
        const std::string title = TitleOf(workload);
        if (!Has(users, title)) users.push_back(title);
      }
    }
    return users;
  }

  // Whether it is proposed; else it is named, with the reason.
  bool IsKept(const v1::DiscoveredClaim& claim) {
    const std::string reason = WhyNot(claim);
    if (!reason.empty()) NotKept(fmt::format("Claim {}: {}", Shown(claim.name()), reason));
    return reason.empty();
  }

  std::string WhyNot(const v1::DiscoveredClaim& claim) const {
    const bool by_files = claim.method() == v1::VOLUME_METHOD_FILE_SYSTEM;
    if (!CheckDottedName(claim.name(), "a claim").ok()) return "its name is none that can be declared.";
    if (claim.excluded()) return fmt::format("it is labelled {}, so Velero leaves it out.", kExcludeLabel);
    if (claim.phase() != "Bound")
      return fmt::format("it is {} and has no data.", claim.phase().empty() ? "new" : Shown(claim.phase()));
    if (by_files && claim.source() == "hostPath")
      return "its volume is a folder of its node (hostPath), which Velero does not copy.";
    if (by_files && claim.block())
      return "its volume is a raw device, which has no files to copy, and nothing makes snapshots of it.";
    if (!UsersOf(claim, false).empty()) return "";
    return WhyUnmounted(claim) +
           (by_files ? " Velero would leave its files out."
                     : " A component with the claim and method SnapshotMoved would keep it, if it matters.");
  }

  std::string WhyUnmounted(const v1::DiscoveredClaim& claim) const {
    const std::vector<std::string> idle = UsersOf(claim, true);
    if (!idle.empty()) {
      return fmt::format("no running pod has it mounted, but {} name{} it.", Listed(idle),
                         idle.size() == 1 ? "s" : "");
    }
    for (const v1::DiscoveredWorkload& workload : facts_.workloads()) {
      for (const std::string& claim_template : workload.claim_templates()) {
        if (claim.name().rfind(fmt::format("{}-{}-", claim_template, workload.name()), 0) == 0)
          return fmt::format("no running pod has it mounted; {} made it for a pod that is not there.",
                             TitleOf(workload));
      }
    }
    return "no pod has it mounted, and whose it is is not known.";
  }

  void AddComponent(const v1::DiscoveredClaim& claim, const std::string& name) {
    ProposedComponent& proposed = proposal_.components.emplace_back();
    proposed.component.set_name(name);
    v1::DiskComponent& disk = *proposed.component.mutable_disk();
    disk.add_claims(claim.name());
    if (claim.method() == v1::VOLUME_METHOD_FILE_SYSTEM || claim.method() == v1::VOLUME_METHOD_SNAPSHOT_MOVED)
      disk.set_method(claim.method());
    proposed.reasons.push_back(fmt::format("Mounted by {}{}.", Listed(UsersOf(claim, false)),
                                           claim.capacity().empty() ? "" : "; " + Shown(claim.capacity())));
    proposed.reasons.push_back(WhyThisMethod(claim));
    for (const FoundDatabase& database : DatabasesOn(claim)) {
      proposed.reasons.push_back(fmt::format(
          "A database: {}. Its claim is kept only as a volume: {}", database.Text(),
          claim.method() == v1::VOLUME_METHOD_SNAPSHOT_MOVED
              ? "the snapshot is what a power cut would leave of it, and no dump is made."
              : "by FileSystem that is no backup of a database that runs, for its files change while they are "
                "copied."));
    }
  }

  static std::string WhyThisMethod(const v1::DiscoveredClaim& claim) {
    if (claim.method() == v1::VOLUME_METHOD_SNAPSHOT_MOVED) {
      return fmt::format("Its driver {} makes snapshots, whose data are copied into the storage location.",
                         Shown(claim.driver()));
    }
    if (claim.method() != v1::VOLUME_METHOD_FILE_SYSTEM)
      return "How it is kept is decided at each backup, by what its volume's driver can.";
    const std::string why =
        claim.driver().empty()
            ? fmt::format("its volume ({}) is of no CSI driver",
                          claim.source().empty() ? "of an unknown kind" : Shown(claim.source()))
            : fmt::format("Velero would make no snapshot by its driver {}", Shown(claim.driver()));
    return fmt::format("Its files are copied while a pod has it mounted, for {}.", why);
  }

  std::vector<FoundDatabase> DatabasesOn(const v1::DiscoveredClaim& claim) const {
    std::vector<FoundDatabase> found;
    for (const v1::DiscoveredWorkload& workload : facts_.workloads()) {
      const auto databases = databases_.find(&workload);
      if (databases == databases_.end()) continue;
      for (const FoundDatabase& database : databases->second) {
        const bool on_it = std::any_of(workload.volumes().begin(), workload.volumes().end(),
                                       [&](const v1::DiscoveredVolume& volume) {
                                         return Has(volume.claims(), claim.name()) &&
                                                Has(volume.mounted_by(), database.container->name());
                                       });
        if (on_it) found.push_back(database);
      }
    }
    return found;
  }

  void NameWhatIsNotKept(const v1::DiscoveredWorkload& workload) {
    const std::string title = TitleOf(workload);
    if (workload.excluded()) {
      NotKept(fmt::format("{}: pods of it are labelled {}; what only they have mounted is not proposed.",
                          title, kExcludeLabel));
    }
    if (workload.kind() == "StatefulSet" && workload.replicas() > 1) {
      NotKept(fmt::format(
          "{}: not classified, for it has {} replicas. Each claim of theirs is kept by itself, at an instant of "
          "its own; whether they hold the same data, or only together make sense, is not known.",
          title, workload.replicas()));
    }
    NameUnkeptDatabases(workload);
    for (const v1::DiscoveredVolume& volume : workload.volumes()) NameVolume(title, volume);
  }

  // A database that has no claim at all mounted loses all with its pod.
  void NameUnkeptDatabases(const v1::DiscoveredWorkload& workload) {
    const auto databases = databases_.find(&workload);
    if (databases == databases_.end()) return;
    for (const FoundDatabase& database : databases->second) {
      const bool has_claim = std::any_of(
          workload.volumes().begin(), workload.volumes().end(), [&](const v1::DiscoveredVolume& volume) {
            return volume.kind() == kClaimVolume && Has(volume.mounted_by(), database.container->name());
          });
      if (has_claim || workload.claim_templates_size() > 0) continue;
      NotKept(fmt::format("{}: a database: {}. It has no claim mounted: what it holds is not kept.",
                          TitleOf(workload), database.Text()));
    }
  }

  void NameVolume(const std::string& title, const v1::DiscoveredVolume& volume) {
    if (volume.kind() == kClaimVolume || HoldsNoData(volume.kind()) || volume.mounted_by().empty()) return;
    const std::string of = fmt::format("Volume {} of {}:", Shown(volume.name()), title);
    if (volume.kind() == "emptyDir") {
      NotKept(of + " an emptyDir, which ends with its pod; it is not kept.");
    } else if (volume.kind() == "hostPath") {
      NotKept(fmt::format("{} the folder {} of its node (hostPath), which Velero does not copy.", of,
                          Shown(volume.path())));
    } else if (volume.kind() == kEphemeralVolume) {
      std::vector<std::string> claims;
      for (const std::string& claim : volume.claims()) claims.push_back(Shown(claim));
      NotKept(fmt::format("{} a generic ephemeral volume{}{}, which ends with its pod; it is not kept.", of,
                          claims.empty()       ? ""
                          : claims.size() == 1 ? ", claim "
                                               : ", claims ",
                          Listed(claims)));
    } else {
      NotKept(
          fmt::format("{} not classified: of kind {}, in the pod itself. It has no claim, and is not kept.",
                      of, Shown(volume.kind())));
    }
  }

  const v1::Discovery& facts_;
  Proposal& proposal_;
  std::map<std::string, std::set<int>> service_ports_;  // by "Kind/name" of the workload
  std::map<const v1::DiscoveredWorkload*, std::vector<FoundDatabase>> databases_;
  std::set<std::string> ephemeral_claims_;
};

}  // namespace

std::string Shown(std::string_view text) {
  if (text.empty()) return "(without a name)";
  std::string encoded = PercentEncode(text);
  if (encoded.size() <= kLongestShown) return encoded;
  return encoded.substr(0, kLongestShown - 3) + "...";
}

Proposal Propose(const v1::Discovery& facts, const std::string& name, const std::string& environment) {
  Proposal proposal;
  proposal.application.mutable_metadata()->set_name(name);
  v1::ApplicationSpec& application = *proposal.application.mutable_application();
  application.set_environment(environment);
  application.set_namespace_(facts.namespace_());
  Proposer(facts, &proposal).Propose();
  return proposal;
}

}  // namespace salvor::strategies
