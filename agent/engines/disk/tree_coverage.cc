#include "agent/engines/disk/tree_coverage.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "agent/engines/disk/tree.h"
#include "agent/engines/disk/utf8.h"
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

// A stream and the entry at its front.
class Front {
 public:
  static StatusOr<Front> Of(StatusOr<std::unique_ptr<EntryStream>> stream) {
    RETURN_IF_ERROR(stream.status());
    Front front;
    front.stream_ = *std::move(stream);
    RETURN_IF_ERROR(front.Advance());
    return front;
  }

  bool IsThere() const { return is_there_; }
  const std::string& Path() const { return captured_.entry.path(); }
  CapturedEntry& Captured() { return captured_; }
  Status Advance() {
    ASSIGN_OR_RETURN(is_there_, stream_->Next(&captured_));
    return OkStatus();
  }

 private:
  std::unique_ptr<EntryStream> stream_;
  CapturedEntry captured_;
  bool is_there_ = false;
};

// A cursor over keys, each once.
class Keys {
 public:
  explicit Keys(std::unique_ptr<SpoolCursor> cursor) : cursor_(std::move(cursor)) {}

  bool IsThere() const { return is_there_; }
  const std::string& Key() const { return key_; }
  std::string_view Value() const { return cursor_->Value(); }
  Status Advance() {
    do {
      ASSIGN_OR_RETURN(is_there_, cursor_->Next());
    } while (is_there_ && is_begun_ && cursor_->Key() == key_);
    is_begun_ = true;
    if (is_there_) key_ = cursor_->Key();
    return OkStatus();
  }
  // Whether it is there; asked for greater and greater keys.
  StatusOr<bool> Has(std::string_view key) {
    while (is_there_ && key_ < key) RETURN_IF_ERROR(Advance());
    return is_there_ && key_ == key;
  }

 private:
  std::unique_ptr<SpoolCursor> cursor_;
  std::string key_;
  bool is_there_ = false, is_begun_ = false;
};

class ChangesStream final : public EntryStream {
 public:
  ChangesStream(Front before, Front after) : before_(std::move(before)), after_(std::move(after)) {}

  StatusOr<bool> Next(CapturedEntry* captured) override {
    if (!before_.IsThere() && !after_.IsThere()) return false;
    const bool is_new = !before_.IsThere() || (after_.IsThere() && after_.Path() < before_.Path());
    const bool is_gone = !after_.IsThere() || (before_.IsThere() && before_.Path() < after_.Path());
    const bool is_same = !is_new && !is_gone && SameState(before_.Captured(), after_.Captured());
    *captured = std::move(is_new ? after_.Captured() : before_.Captured());
    if (is_new) {
      Mark(captured, "appeared while the backup ran");
    } else if (is_gone) {
      Mark(captured, "vanished while it was backed up");
    } else if (!is_same) {
      Mark(captured, "changed while it was backed up");
    }
    if (!is_new) RETURN_IF_ERROR(before_.Advance());
    if (!is_gone) RETURN_IF_ERROR(after_.Advance());
    return true;
  }

 private:
  Front before_, after_;
};

// The path of an entry as the snapshot's content names it, encoded.
std::string ContentKey(const std::string& encoded) {
  if (!IsOddPath(encoded)) return encoded;
  return PercentEncode(AsResticPrints(PercentDecode(encoded).value_or(encoded)));
}

// Odd paths sort otherwise than what restic prints of them. They are few, so they are judged by themselves.
class Judge {
 public:
  Judge(const SnapshotJudgement& judgement, const SpoolFolder& folder)
      : judgement_(judgement), odd_keys_(folder), odd_(folder) {
    for (const std::string& path : judgement.paths) roots_.push_back(AsResticPrints(path));
  }

  Status Run(const std::function<Status(const v1::TreeEntry&)>& each) {
    RETURN_IF_ERROR(JudgeOdd());
    return Merge(each);
  }

 private:
  void JudgeOne(CapturedEntry* captured, const std::string& key, bool is_kept) const {
    if (is_kept && judgement_.errors->Empty()) return;
    const std::string printed = PercentDecode(key).value_or(key);
    const std::string error = judgement_.errors->Take(printed);
    if (!error.empty()) {
      Mark(captured, "restic: " + error);
    } else if (!is_kept && printed != "/") {  // which restic never lists
      Mark(captured, "is not in the snapshot");
    }
  }

  Status JudgeOdd();
  Status Merge(const std::function<Status(const v1::TreeEntry&)>& each);
  StatusOr<bool> IsUnseen(const std::string& key, Keys* odd_keys) const;

  const SnapshotJudgement& judgement_;
  std::vector<std::string> roots_;  // as restic prints them
  SortedSpool odd_keys_;            // what restic prints of the odd, with the entry
  SortedSpool odd_;                 // the odd by path, judged
};

Status Judge::JudgeOdd() {
  if (judgement_.has_odd_paths) {
    ASSIGN_OR_RETURN(Front walked, Front::Of(judgement_.walked()));
    while (walked.IsThere()) {
      // A path has no zero bytes, so the first one in the value is its end.
      if (IsOddPath(walked.Path())) {
        RETURN_IF_ERROR(odd_keys_.Add(ContentKey(walked.Path()),
                                      walked.Path() + '\0' + EncodeCaptured(walked.Captured())));
      }
      RETURN_IF_ERROR(walked.Advance());
    }
  }
  RETURN_IF_ERROR(odd_keys_.Seal());
  const std::unique_ptr<SpoolCursor> odd = odd_keys_.Read();
  Keys kept(judgement_.content->Read());
  RETURN_IF_ERROR(kept.Advance());
  while (true) {
    ASSIGN_OR_RETURN(const bool more, odd->Next());
    if (!more) break;
    const size_t end = odd->Value().find('\0');
    const std::string path(odd->Value().substr(0, end));
    CapturedEntry captured;
    RETURN_IF_ERROR(DecodeCaptured(path, odd->Value().substr(end + 1), &captured));
    ASSIGN_OR_RETURN(const bool is_kept, kept.Has(odd->Key()));
    JudgeOne(&captured, std::string(odd->Key()), is_kept);
    RETURN_IF_ERROR(odd_.Add(path, EncodeCaptured(captured)));
  }
  return odd_.Seal();
}

// Whether the snapshot has it below the paths and no walk has seen it.
StatusOr<bool> Judge::IsUnseen(const std::string& key, Keys* odd_keys) const {
  ASSIGN_OR_RETURN(const bool is_odd, odd_keys->Has(key));
  const std::string printed = PercentDecode(key).value_or(key);
  return !is_odd && std::any_of(roots_.begin(), roots_.end(),
                                [&](const std::string& root) { return IsAtOrBelow(printed, root); });
}

// Three sorted streams into one: what was walked, what only the snapshot has, and the odd.
Status Judge::Merge(const std::function<Status(const v1::TreeEntry&)>& each) {
  ASSIGN_OR_RETURN(Front walked, Front::Of(judgement_.walked()));
  Keys kept(judgement_.content->Read()), odd_keys(odd_keys_.Read()), odd(odd_.Read());
  for (Keys* keys : {&kept, &odd_keys, &odd}) RETURN_IF_ERROR(keys->Advance());
  const auto give_odd_below = [&](const std::string* path) -> Status {
    while (odd.IsThere() && (path == nullptr || odd.Key() < *path)) {
      CapturedEntry captured;
      RETURN_IF_ERROR(DecodeCaptured(odd.Key(), odd.Value(), &captured));
      RETURN_IF_ERROR(each(captured.entry));
      RETURN_IF_ERROR(odd.Advance());
    }
    return OkStatus();
  };
  while (walked.IsThere() || kept.IsThere()) {
    if (walked.IsThere() && IsOddPath(walked.Path())) {
      RETURN_IF_ERROR(walked.Advance());
      continue;
    }
    if (!walked.IsThere() || (kept.IsThere() && kept.Key() < walked.Path())) {
      ASSIGN_OR_RETURN(const bool is_unseen, IsUnseen(kept.Key(), &odd_keys));
      if (is_unseen) {
        RETURN_IF_ERROR(give_odd_below(&kept.Key()));
        v1::TreeEntry entry;
        entry.set_path(kept.Key());
        entry.set_type(std::string(kept.Value()));
        entry.set_not_covered("appeared and vanished while the backup ran");
        RETURN_IF_ERROR(each(entry));
      }
      RETURN_IF_ERROR(kept.Advance());
      continue;
    }
    const bool is_kept = kept.IsThere() && kept.Key() == walked.Path();
    RETURN_IF_ERROR(give_odd_below(&walked.Path()));
    JudgeOne(&walked.Captured(), walked.Path(), is_kept);
    RETURN_IF_ERROR(each(walked.Captured().entry));
    if (is_kept) RETURN_IF_ERROR(kept.Advance());
    RETURN_IF_ERROR(walked.Advance());
  }
  return give_odd_below(nullptr);
}

}  // namespace

std::string ResticErrors::Take(const std::string& path) {
  if (errors_.empty()) return "";
  const std::string start = path + ": ";
  const auto found = errors_.lower_bound(start);
  if (found == errors_.end() || found->compare(0, start.size(), start) != 0) return "";
  used_.insert(*found);
  return found->substr(start.size());
}

std::vector<std::string> ResticErrors::Unmatched() const {
  std::vector<std::string> left;
  for (const std::string& error : errors_) {
    if (used_.count(error) == 0) left.push_back(error);
  }
  return left;
}

StatusOr<std::unique_ptr<EntryStream>> MarkChanges(const CapturedTree& before, const CapturedTree& after) {
  ASSIGN_OR_RETURN(Front first, Front::Of(before.Read()));
  ASSIGN_OR_RETURN(Front second, Front::Of(after.Read()));
  return StatusOr<std::unique_ptr<EntryStream>>(
      std::make_unique<ChangesStream>(std::move(first), std::move(second)));
}

Status SnapshotContent::Add(const std::string& path, const std::string& type) {
  return types_.Add(PercentEncode(path), type);
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

Status ApplySnapshot(const SnapshotJudgement& judgement, const SpoolFolder& folder,
                     const std::function<Status(const v1::TreeEntry&)>& each) {
  return Judge(judgement, folder).Run(each);
}

std::vector<std::string> NotKeptByRestic(const v1::TreeEntry& entry) {
  std::vector<std::string> named;
  const auto name = [&](const std::string& what) { named.push_back(entry.path() + ": " + what); };
  if (entry.type() == "socket") name("a socket is not kept; its program makes it anew");
  if (!entry.not_covered().empty() || entry.type() == "socket") return named;
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
  return named;
}

}  // namespace salvor::agent
