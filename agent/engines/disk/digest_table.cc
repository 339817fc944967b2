#include "agent/engines/disk/digest_table.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace salvor::agent {
namespace {

constexpr uint64_t kFirstSlots = 1024;

// Inodes are numbers in a row, also of several devices: mixed (as SplitMix64 does), so that no rows meet.
uint64_t PlaceOf(uint64_t device, uint64_t inode) {
  uint64_t mixed = inode + device * 0x9E3779B97F4A7C15U;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
  return mixed ^ (mixed >> 31);
}

}  // namespace

Status DigestTable::Write(int table, uint64_t place, const Slot& slot) {
  return SpoolWrite(table, {reinterpret_cast<const char*>(&slot), sizeof slot},
                    static_cast<off_t>(place * sizeof slot));
}

StatusOr<uint64_t> DigestTable::Look(int table, uint64_t slots, const File& file, Slot* slot) const {
  const uint64_t last = slots - 1;
  for (uint64_t place = PlaceOf(file.device, file.inode) & last;; place = (place + 1) & last) {
    ssize_t count;
    do {
      count = ::pread(table, slot, sizeof *slot, static_cast<off_t>(place * sizeof *slot));
    } while (count < 0 && errno == EINTR);
    if (count < 0) return SpoolError(errno, "read");
    if (count != sizeof *slot) return Internal("a file for what does not fit into memory became shorter");
    const bool is_of_inode = slot->file.device == file.device && slot->file.inode == file.inode;
    if (slot->is_used == 0 || is_of_inode) return place;
  }
}

StatusOr<std::optional<std::string>> DigestTable::Find(const File& file) const {
  if (slots_ == 0) return std::optional<std::string>();
  Slot slot;
  RETURN_IF_ERROR(Look(file_.Get(), slots_, file, &slot).status());
  const bool is_known =
      slot.is_used != 0 && slot.file.ctime_ns == file.ctime_ns && slot.file.bytes == file.bytes;
  if (!is_known) return std::optional<std::string>();
  return std::optional<std::string>(std::string(slot.digest, sizeof slot.digest));
}

Status DigestTable::Grow() {
  const uint64_t slots = slots_ == 0 ? kFirstSlots : 2 * slots_;
  ASSIGN_OR_RETURN(UniqueFd file, folder_.NewFile());
  if (::ftruncate(file.Get(), static_cast<off_t>(slots * sizeof(Slot))) != 0)
    return SpoolError(errno, "make room for");
  SpoolInput input(file_.Get(), 0, static_cast<int64_t>(slots_ * sizeof(Slot)));
  while (!input.AtEnd()) {
    ASSIGN_OR_RETURN(const std::string_view bytes, input.Take(sizeof(Slot)));
    Slot slot, free;
    std::memcpy(&slot, bytes.data(), sizeof slot);
    if (slot.is_used == 0) continue;
    ASSIGN_OR_RETURN(const uint64_t place, Look(file.Get(), slots, slot.file, &free));
    RETURN_IF_ERROR(Write(file.Get(), place, slot));
  }
  file_ = std::move(file);
  slots_ = slots;
  return OkStatus();
}

Status DigestTable::Put(const File& file, const std::string& digest) {
  if (2 * (used_ + 1) > slots_) RETURN_IF_ERROR(Grow());
  Slot slot;
  if (digest.size() != sizeof slot.digest) return Internal("a digest has {} bytes", digest.size());
  ASSIGN_OR_RETURN(const uint64_t place, Look(file_.Get(), slots_, file, &slot));
  const bool is_new = slot.is_used == 0;
  slot.file = file;
  slot.is_used = 1;
  std::memcpy(slot.digest, digest.data(), sizeof slot.digest);
  RETURN_IF_ERROR(Write(file_.Get(), place, slot));
  if (is_new) ++used_;
  return OkStatus();
}

}  // namespace salvor::agent
