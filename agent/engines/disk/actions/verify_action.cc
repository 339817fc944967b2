#include <unistd.h>

#include <algorithm>

#include "agent/engines/disk/actions/actions.h"
#include "agent/engines/disk/actions/target.h"
#include "agent/engines/disk/tree.h"
#include "agent/engines/disk/tree_compare.h"
#include "agent/engines/disk/tree_details.h"
#include "agent/scratch/scratch_places.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kNamedDifferences = 5;

std::string Words(const TreeDifferences& differences) {
  const size_t shown = std::min(differences.first.size(), kNamedDifferences);
  std::string words =
      Join({differences.first.begin(), differences.first.begin() + static_cast<ptrdiff_t>(shown)}, "; ");
  const int64_t more = differences.total - static_cast<int64_t>(shown);
  return more > 0 ? words + fmt::format("; and {} more", WithCommas(more)) : words;
}

class Verdicts {
 public:
  Verdicts(std::string component, const std::string& path, v1::ActionResult* result)
      : component_(std::move(component)), subject_(PercentEncode(path)), result_(result) {}

  void Of(const TreeComparison& compared) {
    Judge("files", compared.structure,
          WithCommas(compared.compared) + " entries there, none missing, none more", "");
    Judge("content", compared.content,
          fmt::format("{} files, {} equal", WithCommas(compared.files), HumanBytes(compared.bytes)),
          NotCompared(compared));
    Judge("metadata", compared.metadata, WithCommas(compared.compared) + " entries equal", "");
  }

  // Nothing is known of the path: no check of it could ever fail.
  void Unknown() {
    for (const char* kind : {"files", "content", "metadata"}) {
      Add(kind, v1::Check::VERDICT_UNVERIFIABLE, "the backup holds no expectations of this path");
    }
  }

 private:
  static std::string NotCompared(const TreeComparison& compared) {
    std::vector<std::string> parts;
    if (compared.not_covered > 0) {
      parts.push_back(fmt::format("{} entries changed while they were backed up and were not compared",
                                  WithCommas(compared.not_covered)));
    }
    if (compared.unread.total > 0) parts.push_back("not to be read in the copy: " + Words(compared.unread));
    return Join(parts, "; ");
  }

  void Judge(const char* kind, const TreeDifferences& differences, const std::string& passed,
             const std::string& unverifiable) {
    if (differences.total > 0) {
      Add(kind, v1::Check::VERDICT_FAILED, Words(differences));
    } else if (!unverifiable.empty()) {
      Add(kind, v1::Check::VERDICT_UNVERIFIABLE, passed + "; " + unverifiable);
    } else {
      Add(kind, v1::Check::VERDICT_PASSED, passed);
    }
  }
  void Add(const char* kind, v1::Check::Verdict verdict, const std::string& compared) {
    v1::Check* check = result_->add_checks();
    check->set_component(component_);
    check->set_kind(kind);
    check->set_subject(subject_);
    check->set_verdict(verdict);
    check->set_compared(compared);
  }

  std::string component_, subject_;
  v1::ActionResult* result_;
};

Status WalkRestored(const std::vector<ComparedPlace>& places, const std::string& prefix,
                    const SpoolFolder& spool, ActionContext& context, CapturedTree* found) {
  WalkOptions options;
  options.root = prefix;
  options.missing_is_fine = true;  // a difference, and found as one
  options.stop = context.stop;
  if (context.progress) {
    options.progress = [&context](const WalkProgress& walked) {
      v1::Progress progress;
      progress.set_bytes_done(walked.bytes_hashed);
      progress.set_message(fmt::format("comparing: {} entries", WithCommas(walked.entries)));
      context.progress(progress);
    };
  }
  std::vector<std::string> destinations;
  for (const ComparedPlace& place : places) destinations.push_back(place.copy);
  const CapturedPaths paths(places);
  RETURN_IF_ERROR(WalkPaths(destinations, options, spool, [&](CapturedEntry captured) {
    captured.entry.set_path(paths.Of(captured.entry.path()));
    return found->Add(std::move(captured));
  }));
  return found->Finish();
}

StatusOr<TreeDetails> LoadDetails(const v1::DiskVerify& verify, const SpoolFolder& spool,
                                  const ActionContext& context) {
  ASSIGN_OR_RETURN(UniqueFd file, spool.NewFile());
  RETURN_IF_ERROR_IN(context.Repository(verify.location()).LoadFile(verify.details(), file.Get()),
                     "read what is expected of the files");
  return TreeDetails::Open(std::move(file));
}

// A drill's folder goes when its time is over, also under our hands: then what is missing says nothing.
class ScratchFolder {
 public:
  ScratchFolder(const v1::DiskTarget& target, const AgentConfig& config) : name_(target.scratch()) {
    if (!name_.empty()) place_ = ScratchPlaces::PlaceOf(config.state_directory, name_);
    stood_ = Has("/state.json");
  }

  Status CheckStillThere() const {
    if (name_.empty() || Has("/state.json") || (!stood_ && Has("/files"))) return OkStatus();
    return WithHint(
        Unavailable("the scratch folder of {} is gone: its time was over, or somebody removed it", name_),
        "The backup is not the cause. Drill again.");
  }

 private:
  bool Has(const char* name) const { return !place_.empty() && ::access((place_ + name).c_str(), F_OK) == 0; }

  std::string name_, place_;
  bool stood_ = false;
};

}  // namespace

StatusOr<v1::ActionResult> RunDiskVerify(const v1::DiskVerify& verify, ActionContext& context) {
  ASSIGN_OR_RETURN(const std::string prefix, DiskPrefix(verify.target(), context.config));
  ASSIGN_OR_RETURN(const std::vector<DiskPlace> places,
                   DiskPlaces(verify.paths(), verify.destinations(), prefix));
  const ScratchFolder scratch(verify.target(), context.config);
  const SpoolFolder spool(context.config.state_directory);
  ASSIGN_OR_RETURN(const TreeDetails expected, LoadDetails(verify, spool, context));
  std::vector<ComparedPlace> compared_places;
  for (const DiskPlace& place : places) compared_places.push_back({place.path, place.destination});
  CapturedTree found(spool);
  RETURN_IF_ERROR_IN(WalkRestored(compared_places, prefix, spool, context, &found), "read restored files");
  RETURN_IF_ERROR(scratch.CheckStillThere());
  ASSIGN_OR_RETURN(const std::vector<TreeComparison> compared,
                   CompareTrees(expected.Source(), found.Source(), compared_places, spool));
  const std::string& component =
      context.task.component().empty() ? verify.details().component() : context.task.component();
  v1::ActionResult result;
  for (size_t i = 0; i < places.size(); ++i) {
    Verdicts verdicts(component, places[i].path, &result);
    if (compared[i].is_known) {
      verdicts.Of(compared[i]);
    } else {
      verdicts.Unknown();
    }
  }
  return result;
}

}  // namespace salvor::agent
