// What restic 0.14 does not restore of a tree, restored from the tree's details: holes, symlinks whose target is not
// UTF-8, the several names of what is no file, attributes of chattr.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// All but the attributes, of the entries at and below `path` (plain), in a folder that holds them under their whole
// captured paths and that nobody else can enter. What could not be done is named in `warnings`; Cancelled is the
// only error.
Status RestoreExtras(int folder, const std::vector<v1::TreeEntry>& entries, const std::string& path,
                     const std::stop_token& stop, std::vector<std::string>* warnings);

// The attributes of chattr of the entries at and below `path`, whose copy is `name` in the directory `parent`. The
// last thing to be done: what is immutable cannot even be moved. What could not be set is named in `warnings`.
void RestoreAttributes(int parent, const std::string& name, const std::vector<v1::TreeEntry>& entries,
                       const std::string& path, std::vector<std::string>* warnings);

}  // namespace salvor::agent
