// Tree details as JSON lines: the first a TreeSummary, then one TreeEntry each, in the order given. Field
// names are the messages' own; numbers are numbers, digests are hexadecimal, fields with nothing in them are
// left out. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// Counts and bytes of regular files; no digest.
v1::TreeSummary Summarise(const std::vector<v1::TreeEntry>& entries);

std::string EncodeTree(const std::vector<v1::TreeEntry>& entries);

struct DecodedTree {
  v1::TreeSummary summary;
  std::vector<v1::TreeEntry> entries;
};

// DataLoss unless the entry lines have the summary's digest and counts.
StatusOr<DecodedTree> DecodeTree(std::string_view text);

}  // namespace salvor::agent
