// Velero's Backup: the object that we make, what the server says of it, and which of several of a run counts. Pure.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/reading.h"
#include "base/status.h"
#include "salvor/v1/velero.pb.h"

namespace salvor::velero {

// "velero" where the cluster names none.
std::string NamespaceOf(const v1::KubernetesCluster& cluster);

// All that it is to keep stands in it, for the server has defaults of its own. Velero would delete by its TTL even the
// last good backup, so it has the longest: it goes when somebody deletes it. `location` is never empty; the policy has
// the Backup's name.
Json MakeBackup(const v1::VeleroBackup& action, const std::string& name, const std::string& location);

// The ConfigMap with the policy of the Backup of that name. It can't be changed once it is made.
Json MakePolicyConfigMap(const v1::VeleroBackup& action, const std::string& name, const std::string& policy);

enum class Stage {
  kWaiting,  // not seen yet, or in the queue
  kReady,    // it is to begin at once; a server that was restarted forgets it there
  kRunning,  // and every phase that this version doesn't know
  kCompleted,
  kPartiallyFailed,
  kFailed,
  kInvalid,  // the server refused it
  kDeleting,
};

Stage StageOf(std::string_view phase);
bool IsOver(Stage stage);  // nothing more will come of it

struct BackupState {
  std::string name, uid, resource_version;
  std::map<std::string, std::string> labels;
  std::string given_up;  // why an attempt gave it up; "" where none did
  std::string phase;     // in Velero's words
  Stage stage = Stage::kWaiting;
  std::string failure_reason;
  std::vector<std::string> validation_errors;
  std::string location;
  std::vector<std::string> namespaces;
  int64_t queue_position = 0;
  int64_t items_done = 0, items_total = 0;
  int64_t warnings = 0, errors = 0;
  int64_t hooks_attempted = 0, hooks_failed = 0;
  absl::Time started = absl::InfinitePast(), completed = absl::InfinitePast();
  bool being_deleted = false;  // somebody asked for the object's end
};

BackupState ReadBackup(const Json& backup);

// Whether this run made it.
bool IsOfRun(const BackupState& backup, const std::string& run);

// Whether it is one that this action may have made: of its run, and of its namespaces.
bool IsOfAction(const BackupState& backup, const v1::VeleroBackup& action);

// Whether it is over without a backup, or was given up: then it never counts again, whatever it says later. A server
// that was restarted calls it Failed, and it may come back from the dead as Completed with that reason still in it.
bool IsDead(const BackupState& backup);

inline constexpr int kTriesAtMost = 9;

// NAME, NAME-2, NAME-3 …
std::string NameOfTry(const std::string& name, int number);

struct Choice {
  std::string name;
  bool exists = false;
};

// Which Backup a new attempt goes on with: the newest of the action that is not dead, or the next name. `existing` are
// all with the run's label. ResourceExhausted after nine that died.
StatusOr<Choice> ChooseBackup(const v1::VeleroBackup& action, const std::vector<BackupState>& existing);

// How many backups Velero takes before this one, out of all that it has.
int CountAhead(const BackupState& ours, const std::vector<BackupState>& all);

// Why a Backup that is over is none, for people; `in` is the namespace where it lies. OK for one that may be a backup.
Status JudgeEnd(const BackupState& backup, const std::string& in);

}  // namespace salvor::velero
