// Tree details (tree_codec.h) as files that are written and read an entry at a time. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "agent/engines/disk/captured_tree.h"
#include "agent/engines/disk/spool_file.h"
#include "base/io/sha256.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// Details that are whole: the bytes of `file` from `begin` on, where it is positioned.
struct WrittenDetails {
  UniqueFd file;
  int64_t begin = 0;
  int64_t bytes = 0;
  std::string sha256;  // of these bytes; 32 of its own
  v1::TreeSummary summary;
};

class TreeDetailsWriter {
 public:
  static StatusOr<TreeDetailsWriter> Open(const SpoolFolder& folder);

  Status Add(const v1::TreeEntry& entry);
  // Once, when all entries are there.
  StatusOr<WrittenDetails> Finish();

 private:
  explicit TreeDetailsWriter(UniqueFd file);

  UniqueFd file_;
  SpoolOutput output_;
  Sha256 sha256_;
  v1::TreeSummary summary_;
};

class TreeDetails {
 public:
  // The file holds details from its start to its end. DataLoss unless the entry lines have the summary's digest
  // and are as many as it says.
  static StatusOr<TreeDetails> Open(UniqueFd file);

  const v1::TreeSummary& Summary() const { return summary_; }

  // The entries in the order of the file. A pass ends with DataLoss when the entries are not the ones that the summary
  // counts, or not sorted by path.
  StatusOr<std::unique_ptr<TreeStream>> Read() const;
  TreeSource Source() const;  // borrows this

 private:
  TreeDetails() = default;
  Status ReadHardLinks(const std::function<Status(const std::string&)>& each) const;

  UniqueFd file_;
  int64_t first_entry_ = 0, end_ = 0;
  v1::TreeSummary summary_;
  bool has_hard_links_ = false;
};

}  // namespace salvor::agent
