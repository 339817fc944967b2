// The records of all backups, by name. One thread at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

class BackupIndex {
 public:
  void Put(v1::Backup backup);
  // Null when there is none. Valid until the next Put.
  const v1::Backup* Find(const std::string& name) const;
  std::vector<v1::Backup> List(
      const std::string& application) const;  // newest first; empty: of all applications

  // A name, "latest:APPLICATION" (complete or partial) or "proven:APPLICATION". NotFound, InvalidArgument.
  const v1::Backup* MadeBy(const std::string& run) const;  // null when it makes none
  // The newest that kept something and is neither disproven nor in doubt; null when there is none.
  const v1::Backup* LatestBelieved(const std::string& application) const;
  StatusOr<v1::Backup> Resolve(const std::string& reference) const;

 private:
  std::map<std::string, v1::Backup> backups_;
};

}  // namespace salvor::controlplane
