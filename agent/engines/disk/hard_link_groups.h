// Whether entries that were names of one inode still are, in bounded memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/engines/disk/captured_tree.h"
#include "agent/engines/disk/sorted_spool.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// The entries that others name as the first name of their inode: they do not say it themselves. Asked in order.
class FirstNames {
 public:
  explicit FirstNames(const SpoolFolder& folder) : names_(folder) {}

  Status Collect(const TreeSource& tree);
  // Whether it is one; asked for greater and greater paths.
  StatusOr<bool> Has(const std::string& path);

 private:
  SortedSpool names_;
  std::unique_ptr<SpoolCursor> cursor_;
  bool is_there_ = false;
};

// Entries both sides have. Two of one place belong together on a side when they have the same hard_link, or one has the
// other's path as its own.
class HardLinkGroups {
 public:
  explicit HardLinkGroups(const SpoolFolder& folder) : by_before_(folder), by_after_(folder) {}

  // An entry needs to be added only when it has several names on one side at least.
  Status Add(size_t place, const v1::TreeEntry& before, const v1::TreeEntry& after);

  // Calls back for each entry whose first fellow (the least path of its group, maybe itself) is another one on either
  // side, in no order. Once, after all was added.
  using Difference = std::function<void(size_t place, const std::string& path,
                                        const std::string& fellow_before, const std::string& fellow_after)>;
  Status Compare(const Difference& each);

 private:
  SortedSpool by_before_, by_after_;
};

}  // namespace salvor::agent
