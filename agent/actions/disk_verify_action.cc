#include <unistd.h>

#include <algorithm>

#include "agent/actions/disk_actions.h"
#include "agent/actions/disk_target.h"
#include "agent/disk/tree.h"
#include "agent/disk/tree_codec.h"
#include "agent/disk/tree_compare.h"
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
  Verdicts(std::string component, std::string path, v1::ActionResult* result)
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

bool Knows(const std::vector<v1::TreeEntry>& entries, const std::string& path) {
  const std::string encoded = PercentEncode(path);
  for (const v1::TreeEntry& entry : entries) {
    if (entry.path() == encoded) return true;
  }
  return false;
}

StatusOr<std::vector<v1::TreeEntry>> WalkRestored(const std::vector<DiskPlace>& places,
                                                  const std::string& prefix, ActionContext& context) {
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
  for (const DiskPlace& place : places) destinations.push_back(place.destination);
  ASSIGN_OR_RETURN(std::vector<CapturedEntry> captured, WalkPaths(destinations, options));
  std::vector<v1::TreeEntry> entries;
  entries.reserve(captured.size());
  for (CapturedEntry& one : captured) entries.push_back(std::move(one.entry));
  return entries;
}

// A drill's folder goes when its time is over, also under our hands: then what is missing says nothing.
class ScratchFolder {
 public:
  ScratchFolder(const v1::DiskTarget& target, const AgentConfig& config) : name_(target.scratch()) {
    if (!name_.empty()) place_ = config.state_directory + "/scratch/" + name_;
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

StatusOr<v1::ActionResult> RunDiskVerify(const v1::Action& action, ActionContext& context) {
  const v1::DiskVerify& verify = action.disk_verify();
  ASSIGN_OR_RETURN(const std::string prefix, DiskPrefix(verify.target(), context.config));
  ASSIGN_OR_RETURN(const std::vector<DiskPlace> places,
                   DiskPlaces(verify.paths(), verify.destinations(), prefix));
  const ScratchFolder scratch(verify.target(), context.config);
  ASSIGN_OR_RETURN_IN(const std::string text,
                      context.Repository(verify.location()).LoadText(verify.details()),
                      "read what is expected of the files");
  ASSIGN_OR_RETURN(const DecodedTree expected, DecodeTree(text));
  ASSIGN_OR_RETURN_IN(const std::vector<v1::TreeEntry> found, WalkRestored(places, prefix, context),
                      "read restored files");
  RETURN_IF_ERROR(scratch.CheckStillThere());
  const std::string& component =
      context.task.component().empty() ? verify.details().component() : context.task.component();
  v1::ActionResult result;
  for (const DiskPlace& place : places) {
    Verdicts verdicts(component, place.path, &result);
    if (Knows(expected.entries, place.path)) {
      verdicts.Of(CompareTrees(expected.entries, found, place.path, place.destination));
    } else {
      verdicts.Unknown();
    }
  }
  return result;
}

}  // namespace salvor::agent
