#include "agent/engines/disk/tree_compare.h"

#include <absl/time/time.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "agent/engines/disk/hard_link_groups.h"
#include "agent/engines/disk/tree.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using Entry = v1::TreeEntry;

std::string When(int64_t ns) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", absl::FromUnixNanos(ns), absl::UTCTimeZone());
}

// Differences in the order of their paths, in whatever order they are found.
class Found {
 public:
  void Add(const std::string& path, const std::string& what) {
    ++total_;
    first_.emplace(path, path + ": " + what);
    if (first_.size() > kKeptDifferences) first_.erase(std::prev(first_.end()));
  }
  TreeDifferences Take() const {
    TreeDifferences differences;
    differences.total = total_;
    for (const auto& [path, words] : first_) differences.first.push_back(words);
    return differences;
  }

 private:
  int64_t total_ = 0;
  std::multimap<std::string, std::string> first_;
};

bool IsSocket(const Entry* entry) { return entry != nullptr && entry->type() == "socket"; }

// One place, whose entries come sorted by their paths. Those above the present entry, and no more, are kept.
class PlaceComparer {
 public:
  explicit PlaceComparer(std::string path) : path_(std::move(path)) {}

  // An entry that one side has or both; true when both have it and it is compared.
  bool Add(const Entry* before, const Entry* after);
  void AddHardLink(const std::string& path, const std::string& fellow_before,
                   const std::string& fellow_after);
  TreeComparison Finish();
  const std::string& Path() const { return path_; }

 private:
  // An entry that may still be the directory of a later one: its path is the start of that one's.
  struct Above {
    std::string path;
    bool is_found = false, is_unread = false;  // in the copy
    bool is_disturbed = false;                 // with a missing, unexpected or other entry in it
    bool is_common = false;                    // then these are its two sides
    Entry before, after;
  };

  void Leave(const std::string* next);
  Above* ParentOf(const std::string& path);
  bool IsInUnread(const std::string& path) const;
  void Disturb(const std::string& path);
  bool Structure(const Entry* before, const Entry* after);
  void Content(const Entry& before, const Entry& after);
  void Metadata(const Entry& before, const Entry& after, bool is_disturbed);

  std::string path_;  // encoded
  std::vector<Above> above_;
  TreeComparison result_;
  Found lost_, unexpected_, content_, metadata_, links_, unreached_, unread_;
};

// Directories of which nothing more can come: between a directory and what is in it, there are only paths that begin
// with its own.
void PlaceComparer::Leave(const std::string* next) {
  while (!above_.empty()) {
    Above& last = above_.back();
    if (next != nullptr && next->compare(0, last.path.size(), last.path) == 0) return;
    if (last.is_common) Metadata(last.before, last.after, last.is_disturbed);
    above_.pop_back();
  }
}

PlaceComparer::Above* PlaceComparer::ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string_view parent =
      slash == 0 || slash == std::string::npos ? "/" : std::string_view(path).substr(0, slash);
  for (auto above = above_.rbegin(); above != above_.rend(); ++above) {
    if (above->path == parent) return &*above;
  }
  return nullptr;
}

void PlaceComparer::Disturb(const std::string& path) {
  Above* parent = ParentOf(path);
  if (parent != nullptr) parent->is_disturbed = true;
}

// Whether a directory above could not be read in the copy: what is in it may be there.
bool PlaceComparer::IsInUnread(const std::string& path) const {
  for (auto above = above_.rbegin(); above != above_.rend(); ++above) {
    if (above->is_found && above->path != path && IsAtOrBelow(path, above->path)) return above->is_unread;
  }
  return false;
}

// True when both sides have the entry, of one type.
bool PlaceComparer::Structure(const Entry* before, const Entry* after) {
  if (before == nullptr) {
    if (IsSocket(after)) return false;
    Disturb(after->path());
    unexpected_.Add(after->path(), fmt::format("{} is unexpected", after->type()));
    return false;
  }
  const std::string& path = before->path();
  if (!before->not_covered().empty()) ++result_.not_covered;
  if (!before->not_covered().empty() || IsSocket(before)) return false;
  if (after != nullptr && after->type() == before->type()) return true;
  if (after == nullptr && IsInUnread(path)) {
    unreached_.Add(path, "its directory could not be read");
  } else if (after != nullptr && after->type() == "unknown") {
    unreached_.Add(path, after->not_covered());
  } else {
    Disturb(path);
    lost_.Add(path, after == nullptr ? fmt::format("{} is missing", before->type())
                                     : fmt::format("is a {}, was a {}", after->type(), before->type()));
  }
  return false;
}

void PlaceComparer::Content(const Entry& before, const Entry& after) {
  const std::string& path = before.path();
  if (before.type() == "symlink" && before.target() != after.target()) {
    content_.Add(path, fmt::format("leads to {}, led to {}", after.target(), before.target()));
  }
  if (before.type() != "file") return;
  ++result_.files;
  result_.bytes += before.bytes();
  if (before.bytes() != after.bytes()) {
    content_.Add(path, fmt::format("is {} bytes long, was {}", after.bytes(), before.bytes()));
  } else if (!after.not_covered().empty()) {
    unread_.Add(path, after.not_covered());
  } else if (before.sha256() != after.sha256()) {
    content_.Add(path, "other content of the same length");
  }
}

void PlaceComparer::Metadata(const Entry& before, const Entry& after, bool is_disturbed) {
  const std::string& path = before.path();
  if (path == "/") return;  // restic keeps nothing of it
  std::vector<std::string> faults;
  if (before.type() != "symlink" && before.mode() != after.mode()) {
    faults.push_back(fmt::format("mode is {:04o}, was {:04o}", after.mode(), before.mode()));
  }
  if (before.uid() != after.uid())
    faults.push_back(fmt::format("owner is {}, was {}", after.uid(), before.uid()));
  if (before.gid() != after.gid())
    faults.push_back(fmt::format("group is {}, was {}", after.gid(), before.gid()));
  const bool consequence = is_disturbed || before.mtime_unknown();
  if (before.mtime_ns() != after.mtime_ns() && !consequence) {
    faults.push_back(fmt::format("modified {}, was {}", When(after.mtime_ns()), When(before.mtime_ns())));
  }
  if (!std::equal(before.xattrs().begin(), before.xattrs().end(), after.xattrs().begin(),
                  after.xattrs().end())) {
    faults.push_back(
        fmt::format("other extended attributes ({}, were {})", after.xattrs_size(), before.xattrs_size()));
  }
  if (!faults.empty()) metadata_.Add(path, Join(faults, ", "));
}

bool PlaceComparer::Add(const Entry* before, const Entry* after) {
  const std::string& path = before != nullptr ? before->path() : after->path();
  Leave(&path);
  result_.is_known = result_.is_known || (before != nullptr && path == path_);
  const bool is_common = Structure(before, after);
  if (is_common) {
    ++result_.compared;
    Content(*before, *after);
    if (before->type() != "dir") Metadata(*before, *after, false);
  }
  const bool is_directory = is_common && before->type() == "dir";
  if (is_directory || after != nullptr) {
    Above& last = above_.emplace_back();
    last.path = path;
    last.is_found = after != nullptr;
    last.is_unread = after != nullptr && !after->not_covered().empty();
    last.is_common = is_directory;
    if (is_directory) {
      last.before = *before;
      last.after = *after;
    }
  }
  return is_common;
}

// Each entry's first fellow of the same inode, among the entries both sides have: those must be the same.
void PlaceComparer::AddHardLink(const std::string& path, const std::string& fellow_before,
                                const std::string& fellow_after) {
  const auto words = [&path](const std::string& fellow) {
    return fellow == path ? std::string("a file of its own") : "a hard link to " + fellow;
  };
  links_.Add(path, fmt::format("is {}, was {}", words(fellow_after), words(fellow_before)));
}

TreeComparison PlaceComparer::Finish() {
  Leave(nullptr);
  result_.structure = lost_.Take();
  result_.structure.Append(unexpected_.Take());
  result_.content = content_.Take();
  result_.metadata = metadata_.Take();
  result_.metadata.Append(links_.Take());
  result_.unread = unreached_.Take();
  result_.unread.Append(unread_.Take());
  return std::move(result_);
}

// A stream and the entry at its front, each path once.
class Side {
 public:
  explicit Side(std::unique_ptr<TreeStream> stream) : stream_(std::move(stream)) {}

  const Entry* Front() const { return is_there_ ? &entry_ : nullptr; }
  Status Advance() {
    const std::string path = std::move(*entry_.mutable_path());
    do {
      ASSIGN_OR_RETURN(is_there_, stream_->Next(&entry_));
    } while (is_there_ && entry_.path() == path);
    return OkStatus();
  }

 private:
  std::unique_ptr<TreeStream> stream_;
  Entry entry_;
  bool is_there_ = false;
};

class Comparer {
 public:
  Comparer(const std::vector<ComparedPlace>& places, const SpoolFolder& folder)
      : first_before_(folder), first_after_(folder), links_(folder) {
    for (const ComparedPlace& place : places) places_.emplace_back(PercentEncode(place.path));
  }

  Status Run(const TreeSource& captured, const TreeSource& found) {
    RETURN_IF_ERROR(first_before_.Collect(captured));
    RETURN_IF_ERROR(first_after_.Collect(found));
    ASSIGN_OR_RETURN(std::unique_ptr<TreeStream> captured_stream, captured.read());
    ASSIGN_OR_RETURN(std::unique_ptr<TreeStream> found_stream, found.read());
    Side before(std::move(captured_stream)), after(std::move(found_stream));
    RETURN_IF_ERROR(before.Advance());
    RETURN_IF_ERROR(after.Advance());
    while (before.Front() != nullptr || after.Front() != nullptr) {
      const Entry* one = before.Front();
      const Entry* other = after.Front();
      if (one != nullptr && other != nullptr && one->path() != other->path())
        (one->path() < other->path() ? other : one) = nullptr;
      RETURN_IF_ERROR(Add(one, other));
      if (one != nullptr) RETURN_IF_ERROR(before.Advance());
      if (other != nullptr) RETURN_IF_ERROR(after.Advance());
    }
    return links_.Compare([this](size_t place, const std::string& path, const std::string& fellow_before,
                                 const std::string& fellow_after) {
      places_[place].AddHardLink(path, fellow_before, fellow_after);
    });
  }

  std::vector<TreeComparison> Finish() {
    std::vector<TreeComparison> results;
    results.reserve(places_.size());
    for (PlaceComparer& place : places_) results.push_back(place.Finish());
    return results;
  }

 private:
  Status Add(const Entry* before, const Entry* after) {
    const std::string& path = before != nullptr ? before->path() : after->path();
    const auto place = std::find_if(places_.begin(), places_.end(), [&path](const PlaceComparer& one) {
      return IsAtOrBelow(path, one.Path());
    });
    if (place == places_.end() || !place->Add(before, after) || before->type() == "dir") return OkStatus();
    ASSIGN_OR_RETURN(const bool is_first_before, first_before_.Has(path));
    ASSIGN_OR_RETURN(const bool is_first_after, first_after_.Has(path));
    const bool has_several_names =
        is_first_before || is_first_after || !before->hard_link().empty() || !after->hard_link().empty();
    if (!has_several_names) return OkStatus();
    return links_.Add(static_cast<size_t>(place - places_.begin()), *before, *after);
  }

  std::vector<PlaceComparer> places_;
  FirstNames first_before_, first_after_;
  HardLinkGroups links_;
};

}  // namespace

void TreeDifferences::Append(const TreeDifferences& others) {
  total += others.total;
  for (const std::string& one : others.first) {
    if (first.size() < kKeptDifferences) first.push_back(one);
  }
}

CapturedPaths::CapturedPaths(const std::vector<ComparedPlace>& places) {
  for (const ComparedPlace& place : places)
    places_.push_back({PercentEncode(place.path), PercentEncode(place.copy)});
}

std::string CapturedPaths::Of(const std::string& found) const {
  for (const ComparedPlace& place : places_) {
    if (!IsAtOrBelow(found, place.copy)) continue;
    if (found == place.copy) return place.path;
    return (place.path == "/" ? "" : place.path) +
           (place.copy == "/" ? found : found.substr(place.copy.size()));
  }
  return found;
}

StatusOr<std::vector<TreeComparison>> CompareTrees(const TreeSource& captured, const TreeSource& found,
                                                   const std::vector<ComparedPlace>& places,
                                                   const SpoolFolder& folder) {
  Comparer comparer(places, folder);
  RETURN_IF_ERROR(comparer.Run(captured, found));
  return comparer.Finish();
}

}  // namespace salvor::agent
