// Velero's Restore: the object that we make, what the server says of it, and which of several of a run counts. Pure.
#pragma once

#include <absl/time/time.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/kubernetes/velero/backup_object.h"

namespace salvor::velero {

// All that it is to bring back, and where to, stands in it, for the server has defaults of its own. What exists is
// left as it is. With rules it needs its ConfigMap.
Json MakeRestore(const v1::VeleroRestore& action, const std::string& name, bool has_rules = false);

// The ConfigMap with the rules by which the Restore of that name changes objects (transform.h). It can't be changed once it
// is made. Velero reads it when it begins the Restore, and refuses one whose rules are not there.
std::string ModifierName(const std::string& restore);
Json MakeModifierConfigMap(const v1::VeleroRestore& action, const std::string& restore,
                           const std::string& rules);

// A kind as Velero's lists have it, for comparing: "events.k8s.io/v1/Event" -> "events.k8s.io/Event"; of the core group, whose
// kinds have no group, "v1/Event".
std::string WithoutVersion(std::string_view kind);

// Whether objects of a kind as Velero's lists have it ("v1/Event") never come back, by what MakeRestore says.
bool NeverComesBack(std::string_view kind);

enum class RestoreStage {
  kWaiting,  // not seen yet: Velero makes one Restore after the other
  kRunning,  // and every phase that this version doesn't know
  kCompleted,
  kPartiallyFailed,
  kFailed,
  kInvalid,  // the server refused it, and wrote nothing
};

RestoreStage RestoreStageOf(std::string_view phase);
bool IsOver(RestoreStage stage);

struct RestoreState {
  std::string name, uid, resource_version;
  std::map<std::string, std::string> labels;
  std::string phase;  // in Velero's words
  RestoreStage stage = RestoreStage::kWaiting;
  std::string failure_reason;
  std::vector<std::string> validation_errors;
  std::string backup;                          // of Velero's
  std::map<std::string, std::string> mapping;  // namespace in the backup -> where it goes
  int64_t items_done = 0, items_total = 0;
  int64_t warnings = 0, errors = 0;
  absl::Time created = absl::InfinitePast(), started = absl::InfinitePast(), completed = absl::InfinitePast();
  bool being_deleted = false;  // somebody asked for the object's end
};

RestoreState ReadRestore(const Json& restore);

// Whether this action made it: it is of its run, of its Backup, and goes to the same place.
bool IsOfAction(const RestoreState& restore, const v1::VeleroRestore& action);

// Which Restore an attempt goes on with: the newest of the action that Velero did not refuse, whatever became of it,
// for that one may have written something; else the next name. `existing` are all with the run's label.
// ResourceExhausted after nine that were refused.
StatusOr<Choice> ChooseRestore(const v1::VeleroRestore& action, const std::vector<RestoreState>& existing);

// How many restores Velero makes before this one, out of all that it has: it makes one after the other.
int CountAhead(const RestoreState& ours, const std::vector<RestoreState>& all);

// Why a Restore that is over is none, for people; `in` is the namespace where it lies. OK for one that may be a
// restore. Unavailable where Velero refused it: the next attempt makes another one. FailedPrecondition where it may
// have written something, for another one would leave what is there as it is, and bring no data into volumes that are
// there.
Status JudgeEnd(const RestoreState& restore, const v1::VeleroRestore& action, const std::string& in);

}  // namespace salvor::velero
