#include "agent/disk/tree_coverage.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "agent/disk/utf8.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

void Mark(CapturedEntry* captured, const std::string& why) {
  if (captured->entry.not_covered().empty() && captured->entry.type() != "socket")
    captured->entry.set_not_covered(why);
}

bool SameState(const CapturedEntry& a, const CapturedEntry& b) {
  return a.device == b.device && a.inode == b.inode && a.ctime_ns == b.ctime_ns &&
         a.entry.type() == b.entry.type() && a.entry.bytes() == b.entry.bytes() &&
         a.entry.mtime_ns() == b.entry.mtime_ns();
}

bool ByPath(const CapturedEntry& a, const CapturedEntry& b) { return a.entry.path() < b.entry.path(); }

// The reason of the error that is about this path: paths and reasons may both hold ": ".
class Errors {
 public:
  explicit Errors(const std::vector<std::string>& errors) : errors_(errors.begin(), errors.end()) {}

  std::optional<std::string> Take(const std::string& path) {
    const std::string start = path + ": ";
    const auto found = errors_.lower_bound(start);
    if (found == errors_.end() || found->compare(0, start.size(), start) != 0) return std::nullopt;
    used_.insert(*found);
    return found->substr(start.size());
  }
  std::vector<std::string> Unmatched() const {
    std::vector<std::string> left;
    for (const std::string& error : errors_) {
      if (used_.count(error) == 0) left.push_back(error);
    }
    return left;
  }

 private:
  std::set<std::string> errors_, used_;
};

}  // namespace

void MarkChanges(std::vector<CapturedEntry>* before, const std::vector<CapturedEntry>& after) {
  std::vector<CapturedEntry> appeared;
  auto later = after.begin();
  for (CapturedEntry& earlier : *before) {
    for (; later != after.end() && ByPath(*later, earlier); ++later) appeared.push_back(*later);
    if (later == after.end() || ByPath(earlier, *later)) {
      Mark(&earlier, "vanished while it was backed up");
      continue;
    }
    if (!SameState(earlier, *later)) Mark(&earlier, "changed while it was backed up");
    ++later;
  }
  appeared.insert(appeared.end(), later, after.end());
  for (CapturedEntry& captured : appeared) Mark(&captured, "appeared while the backup ran");
  before->insert(before->end(), std::make_move_iterator(appeared.begin()),
                 std::make_move_iterator(appeared.end()));
  std::sort(before->begin(), before->end(), ByPath);
}

std::string AsResticPrints(const std::string& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size();) {
    const size_t length = Utf8SequenceLength(std::string_view(bytes).substr(i));
    text += length == 0 ? std::string("\xEF\xBF\xBD") : bytes.substr(i, length);
    i += std::max<size_t>(length, 1);
  }
  return text;
}

std::vector<std::string> ApplySnapshot(std::vector<CapturedEntry>* entries, const SnapshotView& snapshot,
                                       const std::vector<std::string>& paths) {
  Errors errors(snapshot.errors);
  std::set<std::string> seen;
  for (CapturedEntry& captured : *entries) {
    const std::string path =
        AsResticPrints(PercentDecode(captured.entry.path()).value_or(captured.entry.path()));
    seen.insert(path);
    const std::optional<std::string> error = errors.Take(path);
    if (error.has_value()) {
      Mark(&captured, "restic: " + *error);
    } else if (snapshot.types.count(path) == 0 && path != "/") {  // which restic never lists
      Mark(&captured, "is not in the snapshot");
    }
  }
  for (const auto& [path, type] : snapshot.types) {
    const auto below = [&path_ = path](const std::string& root) {
      return IsAtOrBelow(path_, AsResticPrints(root));
    };
    if (seen.count(path) != 0 || std::none_of(paths.begin(), paths.end(), below)) continue;
    CapturedEntry captured;
    captured.entry.set_path(PercentEncode(path));
    captured.entry.set_type(type);
    captured.entry.set_not_covered("appeared and vanished while the backup ran");
    entries->push_back(std::move(captured));
  }
  std::sort(entries->begin(), entries->end(), ByPath);
  return errors.Unmatched();
}

std::vector<std::string> NotKeptByRestic(const std::vector<v1::TreeEntry>& entries) {
  std::vector<std::string> named;
  for (const v1::TreeEntry& entry : entries) {
    const auto name = [&](const std::string& what) { named.push_back(entry.path() + ": " + what); };
    if (entry.type() == "socket") name("a socket is not kept; its program makes it anew");
    if (!entry.not_covered().empty() || entry.type() == "socket") continue;
    const bool is_beyond = entry.mtime_ns() == std::numeric_limits<int64_t>::max() ||
                           entry.mtime_ns() == std::numeric_limits<int64_t>::min();
    if (entry.mtime_unknown() && is_beyond)
      name("its time of modification cannot be kept: it is not between 1677 and 2262");
    if (!entry.attributes().empty())
      name(fmt::format("its attributes {} (chattr) are restored by Salvor, not by restic alone",
                       entry.attributes()));
    if (entry.type() != "file" && !entry.hard_link().empty())
      name(fmt::format("a {} with several names has them all after a restore by Salvor, not by restic alone",
                       entry.type()));
    if (entry.type() == "symlink" && !IsUtf8(PercentDecode(entry.target()).value_or("")))
      name("a symlink whose target is not UTF-8 is restored by Salvor, not by restic alone");
  }
  return named;
}

}  // namespace salvor::agent
