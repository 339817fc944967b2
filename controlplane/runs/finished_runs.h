// Runs that are over, as they are shown. A run reads as it ended: what was stored with its end is what is shown. Those
// that 0.1 ended have neither view nor verdict stored: they are replayed and judged here, and nowhere else.
// Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/io/mutex.h"
#include "base/status.h"
#include "controlplane/store/contract/store.h"
#include "salvor/v1/run.pb.h"

namespace salvor::controlplane {

class FinishedRuns {
 public:
  using FindBackup = std::function<std::optional<v1::Backup>(const std::string& name)>;

  // `store` must outlive it. `find_backup` is called from the callers' threads, without a lock of this class.
  FinishedRuns(Store& store, FindBackup find_backup);

  // The run with its steps; where those can't be read, its outcome and why there is no more. NotFound.
  StatusOr<v1::Run> Load(const std::string& name);

  // Gives a summary of the store the verdict that it lacks. One that has it, or is not over, stays as it is.
  void FillVerdict(v1::Run& summary);

 private:
  v1::Run JudgedNow(v1::Run run);

  Store& store_;
  const FindBackup find_backup_;
  Mutex mutex_;
  std::map<std::string, v1::Run> judged_ ABSL_GUARDED_BY(mutex_);  // summaries that lack a verdict, with it
};

}  // namespace salvor::controlplane
