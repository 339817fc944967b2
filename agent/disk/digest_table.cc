#include "agent/disk/digest_table.h"

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

// On a disk that is nearly full only a part of them may be written at first; the rest then says why.
Status WriteWhole(int file, std::string_view bytes, off_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file, bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SpoolError(errno, "write");
    if (count == 0) return SpoolError(ENOSPC, "write");
    bytes.remove_prefix(static_cast<size_t>(count));
    offset += count;
  }
  return OkStatus();
}

}  // namespace

Status DigestTable::Write(int file, uint64_t place, const Slot& slot) {
  return WriteWhole(file, {reinterpret_cast<const char*>(&slot), sizeof slot},
                    static_cast<off_t>(place * sizeof slot));
}

StatusOr<uint64_t> DigestTable::Look(int file, uint64_t slots, uint64_t device, uint64_t inode,
                                     Slot* slot) const {
  for (uint64_t place = PlaceOf(device, inode) & (slots - 1);; place = (place + 1) & (slots - 1)) {
    const ssize_t count = ::pread(file, slot, sizeof *slot, static_cast<off_t>(place * sizeof *slot));
    if (count < 0 && errno != EINTR) return SpoolError(errno, "read");
    if (count < 0) {
      place = (place - 1) & (slots - 1);
      continue;
    }
    if (count != sizeof *slot) return Internal("a file for what does not fit into memory became shorter");
    if (slot->is_used == 0 || (slot->device == device && slot->inode == inode)) return place;
  }
}

StatusOr<std::optional<std::string>> DigestTable::Find(uint64_t device, uint64_t inode) const {
  if (slots_ == 0) return std::optional<std::string>();
  Slot slot;
  RETURN_IF_ERROR(Look(file_.Get(), slots_, device, inode, &slot).status());
  if (slot.is_used == 0) return std::optional<std::string>();
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
    ASSIGN_OR_RETURN(const uint64_t place, Look(file.Get(), slots, slot.device, slot.inode, &free));
    RETURN_IF_ERROR(Write(file.Get(), place, slot));
  }
  file_ = std::move(file);
  slots_ = slots;
  return OkStatus();
}

Status DigestTable::Put(uint64_t device, uint64_t inode, const std::string& digest) {
  if (2 * (used_ + 1) > slots_) RETURN_IF_ERROR(Grow());
  Slot slot;
  if (digest.size() != sizeof slot.digest) return Internal("a digest has {} bytes", digest.size());
  ASSIGN_OR_RETURN(const uint64_t place, Look(file_.Get(), slots_, device, inode, &slot));
  if (slot.is_used != 0) return OkStatus();
  slot.device = device;
  slot.inode = inode;
  slot.is_used = 1;
  std::memcpy(slot.digest, digest.data(), sizeof slot.digest);
  RETURN_IF_ERROR(Write(file_.Get(), place, slot));
  ++used_;
  return OkStatus();
}

}  // namespace salvor::agent
