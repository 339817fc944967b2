// Reads pg_dump's custom format as it flows by: what is in it, how many rows each table has, the hash of
// their content, and whether the stream is whole. No seeking, no I/O. Memory is bounded by the table of contents,
// of which one entry is held at a time, and never by a row or a large object, which are hashed in pieces.
//
// Archive versions 1.12 to 1.16 (PostgreSQL 9.0 to 18) without compression. An archive of another version, a
// compressed one, or one with an entry of more than 16 MiB in its table of contents, cannot be looked into:
// that is no failure, Readable() says no and why, and nothing counts as covered. A readable archive that is
// cut, even by one byte, fails at Finish: pg_restore --list does not notice, and an uncompressed archive has
// no checksum of its own.
//
// Tables are taken from COPY data (pg_dump's default); data written as INSERT statements counts as not
// covered.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/postgres/row_digest.h"
#include "base/status.h"

namespace salvor::agent {

// One table's data in the archive.
struct ArchiveTable {
  std::string schema;
  std::string name;
  std::string columns;   // as in its COPY statement: "(id, name)"; empty for a table without columns
  bool covered = false;  // its rows were read
  int64_t rows = 0;
  std::string content_hash;  // 16 bytes, see RowDigest; empty when only counted
};

// The place at which a restore of the archive will put a sequence.
struct ArchiveSequence {
  std::string schema;
  std::string name;
  int64_t last_value = 0;
  bool is_called = false;  // last_value was handed out already
};

// A materialized view that a restore of the archive fills.
struct ArchiveRefresh {
  std::string schema;
  std::string name;
};

// Names and column lists are in the archive's encoding: pg_dump's --encoding.
struct ArchiveSummary {
  std::string version;  // "1.14"
  std::string database;
  std::string server_version, dump_version;
  int64_t entries = 0;  // of the table of contents
  std::vector<ArchiveTable> tables;
  std::vector<ArchiveSequence> sequences;
  std::vector<ArchiveRefresh> refreshes;  // in the order in which they are filled
  std::vector<int64_t> other_entries;     // numbers of all entries but the refreshes, in the archive's order
  int64_t large_objects = 0;
  int64_t large_object_bytes = 0;
  std::string large_object_hash;  // 16 bytes; empty when only counted
};

// One entry of the table of contents, with the names in the archive's encoding.
struct ArchiveEntry {
  int64_t id = 0;           // by which pg_restore calls it: "from TOC entry 3280; …"
  std::string description;  // "FK CONSTRAINT"
  std::string schema;       // empty where it is in none
  std::string tag;          // "orders orders_customer_fkey"
};

class ArchiveStream {
 public:
  explicit ArchiveStream(RowDigest::Mode mode = RowDigest::Mode::kHash);
  ~ArchiveStream();

  // Any part of the stream, cut anywhere. DataLoss when it cannot be a pg_dump archive; then Feed goes on
  // failing.
  Status Feed(std::string_view bytes);

  // The stream is at its end: DataLoss unless everything that the table of contents promises was there.
  Status Finish();

  // False: what flows by cannot be looked into, and Why() says why. Known after the first bytes.
  bool Readable() const;
  std::string Why() const;

  // Whether the table of contents has been read as a whole: entries, refreshes and sequences are known then.
  bool ContentsKnown() const;

  // Known after Finish; what ContentsKnown speaks of, from then on.
  const ArchiveSummary& Summary() const;

  // Called with every entry of the table of contents, before any data. Set before the first Feed.
  void OnEntry(std::function<void(ArchiveEntry)> on_entry);

  // All entries were read, or never will be because what flows by is not readable.
  bool ContentsRead() const;

  // Tables so far, for progress.
  int64_t TablesDone() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// "(id, name)" of "COPY public.orders (id, name) FROM stdin;\n".
std::string ColumnsOfCopyStatement(std::string_view statement);

// Value and is_called of "SELECT pg_catalog.setval('public.orders_id_seq', 42, true);\n". False for anything
// else.
bool ReadSetvalStatement(std::string_view statement, ArchiveSequence& sequence);

}  // namespace salvor::agent
