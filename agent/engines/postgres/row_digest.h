// The digest of a table's rows is one number that does not depend on their order.
//
// Every row of COPY's text format is hashed by itself (XXH3-128 with seed 0, the line without its newline),
// and the hashes are summed modulo 2^128: order does not matter, and duplicates do not cancel out as they
// would under XOR. The same bytes come out of a dump's data block and of COPY … TO STDOUT, so both sides use
// this.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace salvor::agent {

// A sum of 128-bit hashes modulo 2^128.
class HashSum {
 public:
  void Add(uint64_t low, uint64_t high) {
    low_ += low;
    high_ += high + (low_ < low ? 1 : 0);
  }
  // 16 bytes, big endian.
  std::string Bytes() const;

 private:
  uint64_t low_ = 0, high_ = 0;
};

// Cuts a stream of COPY text into rows and sums their hashes. A row is never kept: one of a gigabyte costs no
// more memory than one of ten bytes. In COPY text a newline inside a value is written as \n, so a newline
// byte always ends a row; and a backslash is doubled, so the line \. is never a row.
class RowDigest {
 public:
  enum class Mode {
    kHash,   // rows and content
    kCount,  // rows only: Sum stays zero
  };
  explicit RowDigest(Mode mode = Mode::kHash);
  ~RowDigest();
  RowDigest(RowDigest&&) noexcept;
  RowDigest& operator=(RowDigest&&) noexcept;

  // Any part of the stream, cut anywhere. False once something other than newlines follows the end marker.
  bool Feed(const char* data, size_t size);

  // The same where something else follows: stops behind the end marker's line, and says how many bytes were
  // taken. All of them as long as it has not Ended.
  size_t FeedToEnd(const char* data, size_t size);

  int64_t Rows() const { return rows_; }
  std::string Sum() const { return sum_.Bytes(); }
  bool InsideRow() const { return partial_size_ > 0; }  // the last row has no newline yet
  bool Ended() const { return ended_; }                 // the line \. was seen

 private:
  struct Streaming;
  void Complete(const char* data, size_t size);
  void Carry(const char* data, size_t size);
  void CompleteCarried(const char* data, size_t size);

  Mode mode_;
  HashSum sum_;
  int64_t rows_ = 0;
  bool ended_ = false;
  uint64_t partial_size_ = 0;   // bytes of a row whose newline is still to come
  char partial_begin_[2] = {};  // its first bytes, to know a \. that arrives in pieces
  std::unique_ptr<Streaming> streaming_;
};

// Large objects: XXH3-128 over the oid as 8 bytes big endian and then the content, summed.
class LargeObjectDigest {
 public:
  LargeObjectDigest();
  ~LargeObjectDigest();
  LargeObjectDigest(LargeObjectDigest&&) noexcept;

  void Begin(uint32_t oid);
  void Feed(const char* data, size_t size);
  void End();

  int64_t Count() const { return count_; }
  int64_t Bytes() const { return bytes_; }
  std::string Sum() const { return sum_.Bytes(); }

 private:
  struct Streaming;
  HashSum sum_;
  int64_t count_ = 0, bytes_ = 0;
  std::unique_ptr<Streaming> streaming_;
};

}  // namespace salvor::agent
