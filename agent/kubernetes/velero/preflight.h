// Whether Velero could keep what it will be asked for, as far as that can be known beforehand: what would lose data is
// refused, by name and with what to do; the rest is warned of. Pure.
#pragma once

#include <absl/time/time.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"
#include "agent/kubernetes/velero/claims.h"
#include "salvor/v1/action.pb.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

struct StorageLocation {
  std::string name, provider, bucket, prefix;
  std::string phase, message;  // "Available"
  bool read_only = false;
  bool is_default = false;
  bool has_authority = false;  // its server's certificate is signed by one of its own
  std::string address;  // that Velero's records are read from; "" where it does not say (storage_address.h)
};

StorageLocation ReadStorageLocation(const Json& object);

struct SnapshotClass {
  std::string name, driver;
  bool labelled = false;    // for Velero
  bool is_default = false;  // the driver's
};

SnapshotClass ReadSnapshotClass(const Json& object);

struct NamespaceFacts {
  std::string name;
  bool exists = true, terminating = false;
  bool excluded = false;  // labelled so that Velero leaves it out
};

NamespaceFacts ReadNamespace(const Json& object);

// Whether the arguments of Velero's server turn on snapshots of CSI.
bool HasCsi(const Json& deployment);

// The labels by which a Deployment finds its pods, as a selector: "app=a,tier=b"; "" where it names none.
std::string PodSelector(const Json& deployment);

// What this agent found at the address of the location that a Backup goes to.
enum class LocationTrust {
  kUnknown,    // there is no address to look at
  kTrusted,    // its certificate is trusted
  kUntrusted,  // it is not: what a Backup holds could not be read
  kSilent,     // nobody answered
};

// All that was looked at. What could not be looked at for lack of a right is what loses no data by it.
struct PreflightFacts {
  std::string server_version;  // that the server answered with; "" where it gave no answer
  std::vector<StorageLocation> locations;
  LocationTrust location_trust = LocationTrust::kUnknown;
  std::string location_trust_why;  // of kUntrusted and kSilent
  std::vector<NamespaceFacts> namespaces;
  std::vector<Claim> claims;
  std::vector<Pod> pods;
  std::vector<BackupState> backups;   // all of Velero's
  std::set<std::string> agent_nodes;  // on which Velero's node-agent runs
  bool has_csi = false;
  std::vector<SnapshotClass> snapshot_classes;
  std::optional<absl::Time> snapshots_since;  // when their CRDs came; nothing: they are not there
  std::string deployment = "velero";          // of Velero's server
  std::optional<absl::Time> server_since;     // when Velero was started; nothing: none of its pods was found
  bool has_published_password = false;        // of its repositories: the one that stands in Velero's source
  std::set<std::string> no_commands_in;       // namespaces that let us run none in pods, if any is wanted
};

// The location that a Backup goes to: the named one, or Velero's default; nullptr where there is none.
const StorageLocation* ChooseLocation(const v1::KubernetesCluster& cluster,
                                      const std::vector<StorageLocation>& locations);

// The volumes with the methods that they will be kept by: AUTO is decided.
std::vector<v1::VeleroVolume> DecideMethods(const std::vector<v1::VeleroVolume>& volumes,
                                            const PreflightFacts& facts);

struct Finding {
  bool refuses = false;
  std::string text;       // a clause, lower case
  std::string next_step;  // a sentence
};

// `volumes` have their methods decided.
std::vector<Finding> FindProblems(const v1::VeleroPreflight& action,
                                  const std::vector<v1::VeleroVolume>& volumes, const PreflightFacts& facts);

// The result of the action: a refusal that names all that refuses, or the volumes and the warnings.
StatusOr<v1::ActionResult> JudgePreflight(const v1::VeleroPreflight& action, const PreflightFacts& facts);

}  // namespace salvor::velero
