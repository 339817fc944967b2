// How a kind of component is captured, restored and checked. Pure: a strategy answers with Steps that hold
// Actions as values, and calls nothing.
//
// The composer (strategies/compose/compile.h) joins the fragments of all components into one Flow. Step ids of a
// fragment start with the component's name ("db.dump.shop"); edges inside the fragment are the strategy's,
// the composer adds those from the run's opening steps and to its closing steps. What a step is for stands in its
// purpose: the composer asks that, and never which action it holds.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "salvor/v1/flow.pb.h"
#include "salvor/v1/manifest.pb.h"
#include "salvor/v1/object.pb.h"
#include "salvor/v1/restore.pb.h"

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
  std::vector<std::string> forget_runs;          // over and no backup: LocationOpen.forget_runs
  std::optional<v1::KubernetesCluster> cluster;  // that the environment is; nothing: it is a set of hosts
};

// The request for a component's part of a restore. A drill goes to scratch; a restore to what `to` declares.
struct RestoreRequest {
  std::string run;
  std::string environment;  // where it goes to; empty: where the backup is from
  bool drill = false;
  v1::ResticLocation location;             // of the backup
  const v1::Manifest* manifest = nullptr;  // borrowed for the call
  const v1::Manifest* recorded = nullptr;  // as in the Location, where `manifest` has other checks
  std::optional<v1::Component> to;         // restore only; empty: the target declares none of that name
  v1::CreateRestoreRequest asked;  // restore only; the composer takes the options of each component from it
  v1::RestoreOptions options;      // restore only; of the component, valid; filled by the composer
  std::string drill_folder;  // drill only; "/web-1" where several hosts may have the same paths; else empty
  bool require_isolation = false;                // drill only; of the environment
  bool to_cluster = false;                       // the environment that it goes to is one
  std::optional<v1::KubernetesCluster> cluster;  // it
  std::string not_provable;                      // drill only; VerificationWrite.not_provable
};

// One place that a restore writes to. Two of one run must not meet: they may not be the same and, in a space of
// folders, neither may lie in the other.
struct Destination {
  std::string space;        // places of different spaces never meet: "files", "postgres /run/postgresql:5432"
  std::string place;        // "/srv/shop", "shop"
  bool is_folder = false;   // absolute, without a slash at the end
  std::string description;  // for people: "files to /srv/shop", "database 'shop' to the same server"
  std::string hint;         // what to do when another component has it: a sentence
  bool is_local = false;    // the host's own: those of two hosts never meet
};

// A throw-away place that a drill works in: made before the steps that need it, removed when the drill is over. Needs of
// one key, also of several components, are one place.
struct ScratchPlace {
  std::string key;  // empty: the folder of the drill on the host (scratch_folder.h); else a word
  v1::Action start;
  v1::Action stop;         // undoes `start`, also half of one, and does no harm when done twice
  std::string title;       // for people: "scratch server"
  std::string contents;    // likewise: "scratch server and folder"
  bool is_server = false;  // it is started, not only created
  int64_t bytes = 0;       // space it will take; of all needs together
  // Adds to `place` what `other`, a need of the same key, wants of it; the bytes are added already. Null: all want the
  // same, whatever their bytes.
  void (*join)(const ScratchPlace& other, ScratchPlace* place) = nullptr;
};

// A volume of a cluster that a component wants kept, or brought back. The composer has that done together with the
// objects of its namespace.
struct Volume {
  std::string in_namespace;
  std::string claim;
  v1::VolumeMethod method = v1::VOLUME_METHOD_AUTO;  // backup
  std::string to_namespace = {};                     // restore: where it goes
  std::string skip = {};  // backup: why its data is not kept, while its claim is; empty: it is kept
};

// What one component adds to a run. Its steps stand in an order in which they could be done.
//   backup:  preflight → quiesce, capture; what is captured is recorded by the composer's last step
//   restore: preflight, guard (nothing is written) → restore (the writing) → verify, check
struct Fragment {
  std::vector<v1::Step> steps;
  std::vector<v1::PlannedArtifact> artifacts;  // backup: what the plan promises
  std::vector<Volume> volumes;  // backup: likewise, beside the artifacts of its steps; restore: to bring back
  std::vector<v1::PlannedEffect> effects;  // what it would do, for people
  std::vector<Destination> destinations;   // restore: everything that it writes to
  // What its steps leave to be undone, each with its undo: the action of `released_by`, which is one of the steps, for
  // PURPOSE_UNDO and without edges.
  std::vector<v1::Obligation> obligations;
  // restore: declared at backup time and not in the manifest. What the steps do without it is up to the
  // strategy; the composer refuses a restore that lacks anything, and says so in a drill.
  std::vector<v1::MissingArtifact> missing;
  std::vector<ScratchPlace> scratch;  // drill: where its steps work
};

// The ids of those steps that are for one of the purposes, in order.
std::vector<std::string> IdsOfPurposes(const std::vector<v1::Step>& steps,
                                       std::initializer_list<v1::Purpose> purposes);

// Everything that the rest of the program needs to know of a kind of component. Stateless and thread-safe.
class Strategy {
 public:
  virtual ~Strategy() = default;
  virtual std::string_view Name()
      const = 0;  // for people and in YAML: the field's name in Component.strategy

  // Whether it is the strategy of that component.
  virtual bool IsOf(const v1::Component& component) const = 0;
  // All problems of a component's declaration.
  virtual std::vector<FieldProblem> Validate(const v1::Component& component) const = 0;
  // Problems that a component has with the Location its backups go to.
  virtual std::vector<FieldProblem> ValidateWithLocation(const v1::Component& component,
                                                         const std::string& location_name,
                                                         const v1::LocationSpec& location) const;
  // Problems that a component, as a whole, has with where it runs. A kind that leaves this out runs on hosts alone.
  virtual std::vector<FieldProblem> ValidateWithRuntime(const v1::Component& component,
                                                        v1::Runtime runtime) const;
  // Clears in `base` what excludes what `top` has, before `top` is laid over it. Both are of this kind.
  virtual void PrepareOverlay(const v1::Component& top, v1::Component* base) const;

  virtual StatusOr<Fragment> Backup(const v1::Component& component, const BackupRequest& request) const = 0;
  // All problems of the options of a component's restore, which are in the field of its kind; an extension may be of
  // any type. Problems' fields are relative to the options: "disk.root". A kind that leaves this out has no options.
  virtual std::vector<FieldProblem> ValidateOptions(const v1::Component& component,
                                                    const v1::RestoreOptions& options) const;
  // The fields that a request has for all components of the kind, as options of this one of them: those that the
  // request gives it by name are laid over.
  virtual v1::RestoreOptions CommonOptions(const v1::CreateRestoreRequest& asked,
                                           const v1::Component& component) const;
  // All problems of those fields that no component can judge by itself, also where the backup has none of the kind.
  virtual std::vector<FieldProblem> ValidateCommonOptions(const v1::CreateRestoreRequest& asked,
                                                          const v1::Manifest& manifest) const;
  // Whether a restore cannot do without a component of that name in the target.
  virtual bool NeedsTarget(const RestoreRequest& request) const;
  // `component` is the one that was backed up (from the manifest).
  virtual StatusOr<Fragment> Restore(const v1::Component& component, const RestoreRequest& request) const = 0;
};

// The kinds of components that a program knows. Immutable, so thread-safe.
class StrategyRegistry {
 public:
  explicit StrategyRegistry(std::vector<std::unique_ptr<const Strategy>> strategies)
      : strategies_(std::move(strategies)) {}

  // Null for a component of a kind that this program does not know, or of none.
  const Strategy* Find(const v1::Component& component) const;
  const std::vector<std::unique_ptr<const Strategy>>& all() const { return strategies_; }
  // "postgres, disk, dummy, mariadb".
  std::string Names() const;

 private:
  const std::vector<std::unique_ptr<const Strategy>> strategies_;
};

}  // namespace salvor::strategies
