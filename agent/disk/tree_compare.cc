#include "agent/disk/tree_compare.h"

#include <absl/time/time.h>
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "agent/disk/tree.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using Entry = v1::TreeEntry;
using Entries = std::map<std::string, const Entry*>;  // by path as it was captured

// The entries at and below `place` by the path they would have at `path`; all encoded.
Entries Select(const std::vector<Entry>& entries, const std::string& place, const std::string& path) {
  Entries selected;
  const std::string prefix = path == "/" ? "" : path;
  for (const Entry& entry : entries) {
    if (!IsAtOrBelow(entry.path(), place)) continue;
    const std::string rest = place == "/" ? entry.path() : entry.path().substr(place.size());
    const std::string original = entry.path() == place ? path : prefix + rest;
    selected.emplace(original, &entry);
  }
  return selected;
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

std::string When(int64_t ns) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", absl::FromUnixNanos(ns), absl::UTCTimeZone());
}

class Comparer {
 public:
  Comparer(Entries captured, Entries found) : captured_(std::move(captured)), found_(std::move(found)) {}

  TreeComparison Run();

 private:
  bool LeftOut(const std::string& path) const;
  bool IsInUnread(std::string path) const;
  void Structure();
  void Content(const std::string& path, const Entry& before, const Entry& after);
  void Metadata(const std::string& path, const Entry& before, const Entry& after);
  void HardLinks();

  Entries captured_, found_;
  std::vector<std::string> common_;
  std::set<std::string> disturbed_;  // directories with a missing, unexpected or other entry in them
  TreeComparison result_;
};

bool Comparer::LeftOut(const std::string& path) const {
  const auto before = captured_.find(path);
  const auto after = found_.find(path);
  if (before != captured_.end())
    return !before->second->not_covered().empty() || before->second->type() == "socket";
  return after != found_.end() && after->second->type() == "socket";
}

// Whether a directory above could not be read in the copy: what is in it may be there.
bool Comparer::IsInUnread(std::string path) const {
  while (path.size() > 1) {
    path = ParentOf(path);
    const auto after = found_.find(path);
    if (after != found_.end()) return !after->second->not_covered().empty();
  }
  return false;
}

void Comparer::Structure() {
  for (const auto& [path, before] : captured_) {
    if (!before->not_covered().empty()) ++result_.not_covered;
    if (LeftOut(path)) continue;
    const auto after = found_.find(path);
    if (after != found_.end() && after->second->type() == before->type()) {
      common_.push_back(path);
      continue;
    }
    if (after == found_.end() && IsInUnread(path)) {
      result_.unread.Add(path, "its directory could not be read");
      continue;
    }
    if (after != found_.end() && after->second->type() == "unknown") {
      result_.unread.Add(path, after->second->not_covered());
      continue;
    }
    disturbed_.insert(ParentOf(path));
    result_.structure.Add(path, after == found_.end() ? fmt::format("{} is missing", before->type())
                                                      : fmt::format("is a {}, was a {}",
                                                                    after->second->type(), before->type()));
  }
  for (const auto& [path, after] : found_) {
    if (captured_.count(path) != 0 || LeftOut(path)) continue;
    disturbed_.insert(ParentOf(path));
    result_.structure.Add(path, fmt::format("{} is unexpected", after->type()));
  }
}

void Comparer::Content(const std::string& path, const Entry& before, const Entry& after) {
  if (before.type() == "symlink" && before.target() != after.target()) {
    result_.content.Add(path, fmt::format("leads to {}, led to {}", after.target(), before.target()));
  }
  if (before.type() != "file") return;
  ++result_.files;
  result_.bytes += before.bytes();
  if (before.bytes() != after.bytes()) {
    result_.content.Add(path, fmt::format("is {} bytes long, was {}", after.bytes(), before.bytes()));
  } else if (!after.not_covered().empty()) {
    result_.unread.Add(path, after.not_covered());
  } else if (before.sha256() != after.sha256()) {
    result_.content.Add(path, "other content of the same length");
  }
}

void Comparer::Metadata(const std::string& path, const Entry& before, const Entry& after) {
  if (path == "/") return;  // restic keeps nothing of it
  std::vector<std::string> faults;
  if (before.type() != "symlink" && before.mode() != after.mode()) {
    faults.push_back(fmt::format("mode is {:04o}, was {:04o}", after.mode(), before.mode()));
  }
  if (before.uid() != after.uid())
    faults.push_back(fmt::format("owner is {}, was {}", after.uid(), before.uid()));
  if (before.gid() != after.gid())
    faults.push_back(fmt::format("group is {}, was {}", after.gid(), before.gid()));
  const bool consequence = (before.type() == "dir" && disturbed_.count(path) != 0) || before.mtime_unknown();
  if (before.mtime_ns() != after.mtime_ns() && !consequence) {
    faults.push_back(fmt::format("modified {}, was {}", When(after.mtime_ns()), When(before.mtime_ns())));
  }
  if (!std::equal(before.xattrs().begin(), before.xattrs().end(), after.xattrs().begin(),
                  after.xattrs().end())) {
    faults.push_back(
        fmt::format("other extended attributes ({}, were {})", after.xattrs_size(), before.xattrs_size()));
  }
  if (!faults.empty()) result_.metadata.Add(path, Join(faults, ", "));
}

// Each entry's first fellow of the same inode, among the entries both sides have: those must be the same.
void Comparer::HardLinks() {
  std::unordered_map<std::string, std::string> first_before, first_after;
  for (const std::string& path : common_) {
    const Entry& before = *captured_.at(path);
    const Entry& after = *found_.at(path);
    if (before.type() == "dir") continue;
    const std::string& group_before = before.hard_link().empty() ? before.path() : before.hard_link();
    const std::string& group_after = after.hard_link().empty() ? after.path() : after.hard_link();
    const std::string fellow_before = first_before.emplace(group_before, path).first->second;
    const std::string fellow_after = first_after.emplace(group_after, path).first->second;
    if (fellow_before == fellow_after) continue;
    const auto words = [&path](const std::string& fellow) {
      return fellow == path ? std::string("a file of its own") : "a hard link to " + fellow;
    };
    result_.metadata.Add(path, fmt::format("is {}, was {}", words(fellow_after), words(fellow_before)));
  }
}

TreeComparison Comparer::Run() {
  Structure();
  for (const std::string& path : common_) {
    Content(path, *captured_.at(path), *found_.at(path));
    Metadata(path, *captured_.at(path), *found_.at(path));
  }
  HardLinks();
  result_.compared = static_cast<int64_t>(common_.size());
  return std::move(result_);
}

}  // namespace

void TreeDifferences::Add(const std::string& path, const std::string& what) {
  ++total;
  if (first.size() < kKeptDifferences) first.push_back(path + ": " + what);
}

TreeComparison CompareTrees(const std::vector<Entry>& captured, const std::vector<Entry>& found,
                            const std::string& path, const std::string& copy) {
  const std::string encoded = PercentEncode(path);
  return Comparer(Select(captured, encoded, encoded), Select(found, PercentEncode(copy), encoded)).Run();
}

}  // namespace salvor::agent
