// The store keeps what the control plane must not lose: a journal (journal.h) and, beside it, records (records.h),
// written by the same commits. Every store passes one suite, store_test.cc. All methods are thread-safe.
#pragma once

#include <cstdint>

#include "controlplane/store/contract/journal.h"
#include "controlplane/store/contract/records.h"

namespace salvor::controlplane {

struct StoreStatistics {
  int64_t commits = 0;  // transactions, which are fsyncs
  int64_t events = 0;
};

class Store : public Journal, public Records {
 public:
  virtual StoreStatistics Statistics() = 0;
};

// Commit and wait for it: what its outcome says.
Status CommitAndWait(Journal& journal, Batch batch);

}  // namespace salvor::controlplane
