#include "agent/engines/disk/captured_tree.h"

#include <cstring>
#include <utility>

#include "agent/engines/disk/utf8.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

constexpr size_t kInodeKey = 2 * sizeof(uint64_t);

struct Facts {
  uint64_t device = 0, inode = 0;
  int64_t ctime_ns = 0;
  uint64_t has_several_names = 0;
};

class CapturedStream final : public EntryStream {
 public:
  CapturedStream(const SortedSpool& entries, const SortedSpool& first_names)
      : entries_(entries.Read()), first_names_(first_names.Read()) {}

  Status Begin() { return NextName(); }

  StatusOr<bool> Next(CapturedEntry* captured) override {
    do {
      ASSIGN_OR_RETURN(const bool more, entries_->Next());
      if (!more) return false;
    } while (is_begun_ && entries_->Key() == path_);
    is_begun_ = true;
    path_ = entries_->Key();
    RETURN_IF_ERROR(DecodeCaptured(path_, entries_->Value(), captured));
    while (has_name_ && first_names_->Key() < path_) RETURN_IF_ERROR(NextName());
    if (has_name_ && first_names_->Key() == path_)
      captured->entry.set_hard_link(std::string(first_names_->Value()));
    return true;
  }

 private:
  Status NextName() {
    ASSIGN_OR_RETURN(has_name_, first_names_->Next());
    return OkStatus();
  }

  std::unique_ptr<SpoolCursor> entries_, first_names_;
  std::string path_;
  bool is_begun_ = false, has_name_ = false;
};

class StoredPart final : public TreeStream {
 public:
  explicit StoredPart(std::unique_ptr<EntryStream> stream) : stream_(std::move(stream)) {}

  StatusOr<bool> Next(v1::TreeEntry* entry) override {
    ASSIGN_OR_RETURN(const bool more, stream_->Next(&captured_));
    if (more) entry->Swap(&captured_.entry);
    return more;
  }

 private:
  std::unique_ptr<EntryStream> stream_;
  CapturedEntry captured_;
};

}  // namespace

std::string EncodeCaptured(const CapturedEntry& captured) {
  const Facts facts{captured.device, captured.inode, captured.ctime_ns, captured.has_several_names ? 1U : 0U};
  std::string bytes(sizeof facts, '\0');
  std::memcpy(bytes.data(), &facts, sizeof facts);
  captured.entry.AppendPartialToString(&bytes);
  return bytes;
}

Status DecodeCaptured(std::string_view path, std::string_view bytes, CapturedEntry* captured) {
  Facts facts;
  const bool is_whole = bytes.size() >= sizeof facts &&
                        captured->entry.ParseFromArray(bytes.data() + sizeof facts,
                                                       static_cast<int>(bytes.size() - sizeof facts));
  if (!is_whole) return Internal("an entry cannot be read back from the agent's state directory");
  std::memcpy(&facts, bytes.data(), sizeof facts);
  captured->entry.set_path(std::string(path));
  captured->device = facts.device;
  captured->inode = facts.inode;
  captured->ctime_ns = facts.ctime_ns;
  captured->has_several_names = facts.has_several_names != 0;
  return OkStatus();
}

bool IsOddPath(const std::string& encoded) {
  // Nothing but what is encoded can be odd, and hardly any path has such bytes.
  if (encoded.find('%') == std::string::npos) return false;
  return !IsUtf8(PercentDecode(encoded).value_or(encoded));
}

CapturedTree::CapturedTree(const SpoolFolder& folder, const SpoolLimits& limits)
    : entries_(folder, limits), names_(folder, limits), first_names_(folder, limits) {}

Status CapturedTree::Add(CapturedEntry captured) {
  const std::string path = std::move(*captured.entry.mutable_path());
  captured.entry.clear_path();
  has_odd_paths_ = has_odd_paths_ || IsOddPath(path);
  if (captured.has_several_names) {
    std::string key;
    AppendBigEndian(&key, captured.device);
    AppendBigEndian(&key, captured.inode);
    RETURN_IF_ERROR(names_.Add(key + path, ""));
  }
  return entries_.Add(path, EncodeCaptured(captured));
}

Status CapturedTree::Finish() {
  RETURN_IF_ERROR(entries_.Seal());
  RETURN_IF_ERROR(names_.Seal());
  std::unique_ptr<SpoolCursor> names = names_.Read();
  std::string inode, first;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, names->Next());
    if (!more) break;
    const std::string_view path = names->Key().substr(kInodeKey);
    if (names->Key().substr(0, kInodeKey) != inode) {
      inode = names->Key().substr(0, kInodeKey);
      first = path;
    } else if (path != first) {
      RETURN_IF_ERROR(first_names_.Add(path, first));
    }
  }
  names.reset();
  names_.Drop();
  return first_names_.Seal();
}

StatusOr<std::unique_ptr<EntryStream>> CapturedTree::Read() const {
  auto stream = std::make_unique<CapturedStream>(entries_, first_names_);
  RETURN_IF_ERROR(stream->Begin());
  return StatusOr<std::unique_ptr<EntryStream>>(std::move(stream));
}

TreeSource CapturedTree::Source() const {
  TreeSource source;
  source.read_hard_links = [this](const std::function<Status(const std::string&)>& each) -> Status {
    const std::unique_ptr<SpoolCursor> names = first_names_.Read();
    while (true) {
      ASSIGN_OR_RETURN(const bool more, names->Next());
      if (!more) return OkStatus();
      RETURN_IF_ERROR(each(std::string(names->Value())));
    }
  };
  source.read = [this]() -> StatusOr<std::unique_ptr<TreeStream>> {
    ASSIGN_OR_RETURN(std::unique_ptr<EntryStream> stream, Read());
    return StatusOr<std::unique_ptr<TreeStream>>(std::make_unique<StoredPart>(std::move(stream)));
  };
  return source;
}

}  // namespace salvor::agent
