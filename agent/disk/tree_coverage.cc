#include "agent/disk/tree_coverage.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/text.h"

namespace salvor::agent {
namespace {

void Mark(CapturedEntry* captured, const std::string& why) {
  if (captured->entry.not_covered().empty()) captured->entry.set_not_covered(why);
}

bool SameState(const CapturedEntry& a, const CapturedEntry& b) {
  return a.device == b.device && a.inode == b.inode && a.ctime_ns == b.ctime_ns &&
         a.entry.type() == b.entry.type() && a.entry.bytes() == b.entry.bytes() &&
         a.entry.mtime_ns() == b.entry.mtime_ns();
}

bool ByPath(const CapturedEntry& a, const CapturedEntry& b) { return a.entry.path() < b.entry.path(); }

// Bytes of the UTF-8 sequence at the start of `text`; 0 when there is none (as Go's decoder sees it).
size_t SequenceLength(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : (first & 0xF0) == 0xE0         ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool no_character = (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);
  return overlong || no_character ? 0 : length;
}

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
    const size_t length = SequenceLength(std::string_view(bytes).substr(i));
    text += length == 0 ? std::string("\xEF\xBF\xBD") : bytes.substr(i, length);
    i += std::max<size_t>(length, 1);
  }
  return text;
}

SnapshotCoverage ApplySnapshot(std::vector<CapturedEntry>* entries, const SnapshotView& snapshot,
                               const std::vector<std::string>& paths) {
  SnapshotCoverage coverage;
  Errors errors(snapshot.errors);
  std::set<std::string> seen;
  std::vector<CapturedEntry> kept;
  for (CapturedEntry& captured : *entries) {
    const std::string path =
        AsResticPrints(PercentDecode(captured.entry.path()).value_or(captured.entry.path()));
    seen.insert(path);
    const std::optional<std::string> error = errors.Take(path);
    if (error.has_value()) Mark(&captured, "restic: " + *error);
    if (snapshot.types.count(path) == 0 && !error.has_value()) {
      if (snapshot.excludes) {
        ++coverage.left_out;
        continue;
      }
      Mark(&captured, "is not in the snapshot");
    }
    kept.push_back(std::move(captured));
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
    kept.push_back(std::move(captured));
  }
  std::sort(kept.begin(), kept.end(), ByPath);
  *entries = std::move(kept);
  coverage.unmatched_errors = errors.Unmatched();
  return coverage;
}

}  // namespace salvor::agent
