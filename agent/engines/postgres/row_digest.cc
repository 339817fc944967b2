#include "agent/engines/postgres/row_digest.h"

#define XXH_INLINE_ALL  // rows are short: the call would cost as much as the hash
#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace salvor::agent {

struct RowDigest::Streaming {
  XXH3_state_t state;
};

struct LargeObjectDigest::Streaming {
  XXH3_state_t state;
};

std::string HashSum::Bytes() const {
  std::string bytes(16, '\0');
  for (int i = 0; i < 8; ++i) {
    bytes[static_cast<size_t>(7 - i)] = static_cast<char>(high_ >> (8 * i));
    bytes[static_cast<size_t>(15 - i)] = static_cast<char>(low_ >> (8 * i));
  }
  return bytes;
}

RowDigest::RowDigest(Mode mode) : mode_(mode) {}
RowDigest::~RowDigest() = default;
RowDigest::RowDigest(RowDigest&&) noexcept = default;
RowDigest& RowDigest::operator=(RowDigest&&) noexcept = default;

bool RowDigest::Feed(const char* data, size_t size) {
  const size_t taken = FeedToEnd(data, size);
  return std::all_of(data + taken, data + size, [](char c) { return c == '\n'; });
}

size_t RowDigest::FeedToEnd(const char* data, size_t size) {
  const char* const begin = data;
  const char* const end = data + size;
  while (data != end && !ended_) {
    const char* newline = static_cast<const char*>(std::memchr(data, '\n', static_cast<size_t>(end - data)));
    if (newline == nullptr) {
      Carry(data, static_cast<size_t>(end - data));
      return size;
    }
    const size_t length = static_cast<size_t>(newline - data);
    if (partial_size_ > 0) {
      CompleteCarried(data, length);
    } else {
      Complete(data, length);
    }
    data = newline + 1;
  }
  return static_cast<size_t>(data - begin);
}

void RowDigest::Complete(const char* data, size_t size) {
  if (size == 2 && data[0] == '\\' && data[1] == '.') {
    ended_ = true;
    return;
  }
  ++rows_;
  if (mode_ == Mode::kCount) return;
  const XXH128_hash_t hash = XXH3_128bits(data, size);
  sum_.Add(hash.low64, hash.high64);
}

void RowDigest::Carry(const char* data, size_t size) {
  for (size_t i = 0; i < size && partial_size_ + i < 2; ++i) partial_begin_[partial_size_ + i] = data[i];
  if (mode_ == Mode::kHash) {
    if (!streaming_) streaming_ = std::make_unique<Streaming>();
    if (partial_size_ == 0) XXH3_128bits_reset(&streaming_->state);
    XXH3_128bits_update(&streaming_->state, data, size);
  }
  partial_size_ += size;
}

void RowDigest::CompleteCarried(const char* data, size_t size) {
  if (size > 0) Carry(data, size);
  const bool marker = partial_size_ == 2 && partial_begin_[0] == '\\' && partial_begin_[1] == '.';
  partial_size_ = 0;
  if (marker) {
    ended_ = true;
    return;
  }
  ++rows_;
  if (mode_ == Mode::kCount) return;
  const XXH128_hash_t hash = XXH3_128bits_digest(&streaming_->state);
  sum_.Add(hash.low64, hash.high64);
}

LargeObjectDigest::LargeObjectDigest() : streaming_(std::make_unique<Streaming>()) {}
LargeObjectDigest::~LargeObjectDigest() = default;
LargeObjectDigest::LargeObjectDigest(LargeObjectDigest&&) noexcept = default;

void LargeObjectDigest::Begin(uint32_t oid) {
  unsigned char bytes[8] = {};
  for (int i = 0; i < 4; ++i) bytes[7 - i] = static_cast<unsigned char>(oid >> (8 * i));
  XXH3_128bits_reset(&streaming_->state);
  XXH3_128bits_update(&streaming_->state, bytes, sizeof bytes);
  ++count_;
}

void LargeObjectDigest::Feed(const char* data, size_t size) {
  XXH3_128bits_update(&streaming_->state, data, size);
  bytes_ += static_cast<int64_t>(size);
}

void LargeObjectDigest::End() {
  const XXH128_hash_t hash = XXH3_128bits_digest(&streaming_->state);
  sum_.Add(hash.low64, hash.high64);
}

}  // namespace salvor::agent
