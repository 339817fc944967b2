#include "agent/engines/disk/sorted_spool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace salvor::agent {
namespace {

constexpr size_t kHeader = 2 * sizeof(uint32_t);
constexpr size_t kBufferOfRun = size_t{32} << 10;

struct Pair {
  std::string_view key, value;
};

struct Lengths {
  uint32_t key = 0, value = 0;
  size_t Both() const { return size_t{key} + value; }
};

Lengths LengthsOf(const char* header) {
  Lengths lengths;
  std::memcpy(&lengths.key, header, sizeof lengths.key);
  std::memcpy(&lengths.value, header + sizeof lengths.key, sizeof lengths.value);
  return lengths;
}

Pair PairAt(const char* bytes, uint32_t offset) {
  const char* pair = bytes + offset;
  const Lengths lengths = LengthsOf(pair);
  return {{pair + kHeader, lengths.key}, {pair + kHeader + lengths.key, lengths.value}};
}

class MemoryCursor final : public SpoolCursor {
 public:
  MemoryCursor(const char* bytes, const std::vector<uint32_t>& offsets) : bytes_(bytes), offsets_(offsets) {}

  StatusOr<bool> Next() override {
    if (next_ == offsets_.size()) return false;
    pair_ = PairAt(bytes_, offsets_[next_++]);
    return true;
  }
  std::string_view Key() const override { return pair_.key; }
  std::string_view Value() const override { return pair_.value; }

 private:
  const char* bytes_;
  const std::vector<uint32_t>& offsets_;
  size_t next_ = 0;
  Pair pair_;
};

// A heap of runs, the one with the least pair first; of equal keys, the older run.
class MergingCursor final : public SpoolCursor {
 public:
  explicit MergingCursor(const std::vector<SpoolRun>& runs) {
    runs_.reserve(runs.size());
    for (const SpoolRun& run : runs) {
      runs_.push_back(std::make_unique<Run>(
          Run{SpoolInput(run.file, run.begin, run.end, kBufferOfRun), runs_.size(), {}}));
    }
  }

  StatusOr<bool> Next() override {
    if (!is_begun_) {
      RETURN_IF_ERROR(Begin());
    } else if (!runs_.empty()) {
      ASSIGN_OR_RETURN(const bool more, Advance(runs_.front().get()));
      if (!more) {
        std::swap(runs_.front(), runs_.back());
        runs_.pop_back();
      }
      SiftDown(0);
    }
    return !runs_.empty();
  }
  std::string_view Key() const override { return runs_.front()->pair.key; }
  std::string_view Value() const override { return runs_.front()->pair.value; }

 private:
  struct Run {
    SpoolInput input;
    size_t age;
    Pair pair;
  };

  static StatusOr<bool> Advance(Run* run) {
    if (run->input.AtEnd()) return false;
    ASSIGN_OR_RETURN(const std::string_view header, run->input.Take(kHeader));
    const Lengths lengths = LengthsOf(header.data());
    ASSIGN_OR_RETURN(const std::string_view both, run->input.Take(lengths.Both()));
    run->pair = {both.substr(0, lengths.key), both.substr(lengths.key)};
    return true;
  }

  static bool IsLess(const Run& a, const Run& b) {
    const int order = a.pair.key.compare(b.pair.key);
    return order != 0 ? order < 0 : a.age < b.age;
  }

  Status Begin() {
    is_begun_ = true;
    std::vector<std::unique_ptr<Run>> filled;
    for (std::unique_ptr<Run>& run : runs_) {
      ASSIGN_OR_RETURN(const bool more, Advance(run.get()));
      if (more) filled.push_back(std::move(run));
    }
    runs_ = std::move(filled);
    for (size_t i = runs_.size() / 2; i-- > 0;) SiftDown(i);
    return OkStatus();
  }

  void SiftDown(size_t at) {
    while (true) {
      size_t least = at;
      for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < runs_.size(); ++child) {
        if (IsLess(*runs_[child], *runs_[least])) least = child;
      }
      if (least == at) return;
      std::swap(runs_[at], runs_[least]);
      at = least;
    }
  }

  std::vector<std::unique_ptr<Run>> runs_;
  bool is_begun_ = false;
};

Status AppendPair(SpoolOutput* output, std::string_view key, std::string_view value) {
  const uint32_t lengths[2] = {static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())};
  char header[kHeader];
  std::memcpy(header, lengths, kHeader);
  RETURN_IF_ERROR(output->Append({header, kHeader}));
  RETURN_IF_ERROR(output->Append(key));
  return output->Append(value);
}

}  // namespace

SpoolMemory::SpoolMemory(SpoolMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SpoolMemory& SpoolMemory::operator=(SpoolMemory&& other) noexcept {
  if (this != &other) {
    Release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Status SpoolMemory::Reserve(size_t bytes) {
  Release();
  void* data =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return ErrnoStatus(errno, "get memory for sorting");
  data_ = static_cast<char*>(data);
  size_ = bytes;
  return OkStatus();
}

void SpoolMemory::Release() {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

SortedSpool::SortedSpool(SpoolFolder folder, SpoolLimits limits)
    : folder_(std::move(folder)), limits_(limits) {}

Status SortedSpool::Add(std::string_view key, std::string_view value) {
  constexpr size_t kMost = std::numeric_limits<uint32_t>::max() / 4;
  if (key.size() > kMost || value.size() > kMost) return Internal("an entry is too long to be sorted");
  const size_t bytes = kHeader + key.size() + value.size();
  if (!offsets_.empty() && pending_bytes_ + bytes > limits_.memory_bytes) RETURN_IF_ERROR(WritePending());
  if (pending_bytes_ + bytes > pending_.Size())
    RETURN_IF_ERROR(pending_.Reserve(std::max(bytes, limits_.memory_bytes)));
  const uint32_t lengths[2] = {static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size())};
  char* pair = pending_.Data() + pending_bytes_;
  std::memcpy(pair, lengths, kHeader);
  std::copy(key.begin(), key.end(), pair + kHeader);
  std::copy(value.begin(), value.end(), pair + kHeader + key.size());
  offsets_.push_back(static_cast<uint32_t>(pending_bytes_));
  pending_bytes_ += bytes;
  ++size_;
  return OkStatus();
}

// Offsets grow with the order of addition, so they decide between equal keys.
void SortedSpool::SortPending() {
  const auto is_less = [this](uint32_t a, uint32_t b) {
    const int order = PairAt(pending_.Data(), a).key.compare(PairAt(pending_.Data(), b).key);
    return order != 0 ? order < 0 : a < b;
  };
  if (!std::is_sorted(offsets_.begin(), offsets_.end(), is_less))
    std::sort(offsets_.begin(), offsets_.end(), is_less);
}

Status SortedSpool::NeedLevel(size_t level) {
  if (level < levels_.size()) return OkStatus();
  ASSIGN_OR_RETURN(UniqueFd file, folder_.NewFile());
  levels_.push_back({std::move(file), 0, {}});
  return OkStatus();
}

Status SortedSpool::WritePending() {
  if (offsets_.empty()) return OkStatus();
  SortPending();
  RETURN_IF_ERROR(NeedLevel(0));
  SpoolOutput output(levels_[0].file.Get(), levels_[0].end);
  for (const uint32_t offset : offsets_) {
    const Pair pair = PairAt(pending_.Data(), offset);
    RETURN_IF_ERROR(AppendPair(&output, pair.key, pair.value));
  }
  RETURN_IF_ERROR(output.Flush());
  levels_[0].runs.push_back({levels_[0].file.Get(), levels_[0].end, output.Offset()});
  levels_[0].end = output.Offset();
  pending_bytes_ = 0;
  offsets_.clear();
  for (size_t level = 0; level < levels_.size() && levels_[level].runs.size() >= limits_.most_runs; ++level)
    RETURN_IF_ERROR(MergeLevel(level));
  return OkStatus();
}

Status SortedSpool::MergeLevel(size_t level) {
  RETURN_IF_ERROR(NeedLevel(level + 1));
  Level& from = levels_[level];
  Level& to = levels_[level + 1];
  MergingCursor cursor(from.runs);
  SpoolOutput output(to.file.Get(), to.end);
  while (true) {
    ASSIGN_OR_RETURN(const bool more, cursor.Next());
    if (!more) break;
    RETURN_IF_ERROR(AppendPair(&output, cursor.Key(), cursor.Value()));
  }
  RETURN_IF_ERROR(output.Flush());
  to.runs.push_back({to.file.Get(), to.end, output.Offset()});
  to.end = output.Offset();
  from.runs.clear();
  from.end = 0;
  return ::ftruncate(from.file.Get(), 0) == 0 ? OkStatus() : SpoolError(errno, "free");
}

Status SortedSpool::Seal() {
  if (levels_.empty()) {
    SortPending();
    return OkStatus();
  }
  RETURN_IF_ERROR(WritePending());
  pending_.Release();
  offsets_ = std::vector<uint32_t>();
  return OkStatus();
}

void SortedSpool::Drop() {
  pending_.Release();
  pending_bytes_ = 0;
  offsets_ = std::vector<uint32_t>();
  levels_.clear();
  size_ = 0;
}

std::unique_ptr<SpoolCursor> SortedSpool::Read() const {
  if (levels_.empty()) return std::make_unique<MemoryCursor>(pending_.Data(), offsets_);
  std::vector<SpoolRun> runs;  // greater ones are older
  for (auto level = levels_.rbegin(); level != levels_.rend(); ++level)
    runs.insert(runs.end(), level->runs.begin(), level->runs.end());
  return std::make_unique<MergingCursor>(runs);
}

void AppendBigEndian(std::string* bytes, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) bytes->push_back(static_cast<char>((number >> shift) & 0xFF));
}

}  // namespace salvor::agent
