// Tree details as JSON lines: the first a TreeSummary, then one TreeEntry each, in the order given. Field
// names are the messages' own; numbers are numbers, digests are hexadecimal, fields with nothing in them are
// left out. Pure; whole details are written and read by tree_details.h.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// Adds an entry to counts and bytes of regular files; no digest.
void CountEntry(const v1::TreeEntry& entry, v1::TreeSummary* summary);

// Lines, each with its newline.
std::string EncodeTreeEntry(const v1::TreeEntry& entry);
std::string EncodeTreeSummary(const v1::TreeSummary& summary);

// DataLoss when a line is none.
StatusOr<v1::TreeEntry> DecodeTreeEntry(std::string_view line);
StatusOr<v1::TreeSummary> DecodeTreeSummary(std::string_view line);

// Whether an entry's line names a first name of its inode; without decoding it.
bool LineHasHardLink(std::string_view line);

}  // namespace salvor::agent
