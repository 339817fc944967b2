// How a kind of component is captured, restored and checked. Pure: a strategy answers with Steps that hold
// Actions as values, and calls nothing.
//
// The composer (strategies/compile.h) joins the fragments of all components into one Flow. Step ids of a
// fragment start with the component's name ("db.dump.shop"); edges inside the fragment are the strategy's,
// the composer adds those from the run's opening steps and to its closing steps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/object.pb.h"

namespace salvor::strategies {

// Something wrong with a component, at a field relative to it: "postgres.databases[1]".
struct FieldProblem {
  std::string field;
  std::string message;
  // Only the whole component can be judged by it: a driver's may leave it to the application laid over it.
  bool incomplete = false;
};

struct BackupRequest {
  std::string run;
  std::string backup;
  v1::ResticLocation location;
  std::string environment;  // filled by the composer from the manifest's header; names concurrency keys
  std::vector<std::string> forget_runs;  // over and no backup: LocationOpen.forget_runs
};

// Where a restore goes. A drill goes to scratch; a restore to what `to` declares.
struct RestoreRequest {
  std::string run;
  bool drill = false;
  v1::ResticLocation location;             // of the backup
  const v1::Manifest* manifest = nullptr;  // borrowed for the call
  const v1::Manifest* recorded = nullptr;  // as in the Location, where `manifest` has other checks
  std::optional<v1::Component> to;         // restore only
  std::map<std::string, std::string> rename_databases;  // restore only
  std::string disk_root;                                // restore only; empty: the same paths
  bool keep_going = false;         // restore only; what cannot be built is left out and named
  bool require_isolation = false;  // drill only; of the environment
};

// Steps in phases. The composer orders the phases; within one, `after` edges are the strategy's own.
//   backup:  before (preflight) → capture → (record the run) ; always: whatever the outcome
//   restore: before (nothing is written: guardrails) → capture (the writing) → after (checks)
struct Fragment {
  std::vector<v1::Step> before;
  std::vector<v1::Step> capture;
  std::vector<v1::Step> after;
  std::vector<v1::PlannedArtifact> artifacts;  // backup: what the plan promises
  std::vector<v1::PlannedEffect> effects;      // what it would do, for people
  // restore: declared at backup time and not in the manifest. What the steps do without it is up to the
  // strategy; the composer refuses a restore that lacks anything, and says so in a drill.
  std::vector<v1::MissingArtifact> missing;
  bool needs_scratch = false;           // drill: its steps use the scratch folder or server
  bool needs_scratch_postgres = false;  // drill
  int64_t scratch_bytes = 0;            // drill: space it will take
  int server_version_num = 0;           // drill: of the source server
};

class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string_view Name() const = 0;  // the field's name in Component.strategy

  // All problems of a component's declaration.
  virtual std::vector<FieldProblem> Validate(const v1::Component& component) const = 0;
  virtual StatusOr<Fragment> Backup(const v1::Component& component, const BackupRequest& request) const = 0;
  // `component` is the one that was backed up (from the manifest).
  virtual StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const = 0;
};

}  // namespace salvor::strategies
