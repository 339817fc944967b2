// The records of all backups, by name. One thread at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "controlplane/store/contract/records.h"
#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

struct BackupFilter {
  std::string application = {}, environment = {}, location = {};  // empty: of all
  bool include_deleted = false;
};

class BackupIndex {
 public:
  void Put(v1::Backup backup);
  // Null when there is none. Valid until the next Put.
  const v1::Backup* Find(const std::string& name) const;
  std::vector<v1::Backup> List(const BackupFilter& filter) const;  // newest first
  // A page of the same. InvalidArgument for a token that is not of this list.
  StatusOr<Page<v1::Backup>> List(const BackupFilter& filter, const PageRequest& page) const;

  // All of the application whose data is not gone. Valid until the next Put.
  std::vector<const v1::Backup*> Of(const std::string& application) const {
    return Sorted({.application = application});
  }

  // How many kept something, or may yet, at this Location.
  int CountAt(const std::string& location) const;
  const v1::Backup* MadeBy(const std::string& run) const;  // null when it makes none
  // The newest that kept something, is neither disproven nor in doubt, and that nobody asked to delete; null when there is none.
  const v1::Backup* LatestBelieved(const std::string& application) const;
  // A name, "latest:APPLICATION" (complete or partial) or "proven:APPLICATION". NotFound, InvalidArgument.
  StatusOr<v1::Backup> Resolve(const std::string& reference) const;

 private:
  std::vector<const v1::Backup*> Sorted(const BackupFilter& filter) const;  // newest first

  std::map<std::string, v1::Backup> backups_;
};

}  // namespace salvor::controlplane
