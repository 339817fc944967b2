// The records are everything that is read, each under its key, in lists that come in pages where they can grow without
// bound.
//
// Reads see what is durable. A record whose bytes changed on the disk is never read as another: a list leaves it out and
// names it in DamagedRecords, a single read is DataLoss, but for a run's summary, which comes quarantined as in a list.
#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/status.h"
#include "controlplane/store/contract/keys.h"
#include "salvor/v1/agent_service.pb.h"
#include "salvor/v1/control_service.pb.h"
#include "salvor/v1/object.pb.h"
#include "salvor/v1/run.pb.h"
#include "salvor/v1/token.pb.h"

namespace salvor::controlplane {

// Whether the records are at fault that a read ended with this error over, and not the store that should bring them: then
// reading again may help.
inline bool IsDamage(const Status& error) {
  return error.code() != absl::StatusCode::kInternal && error.code() != absl::StatusCode::kUnavailable &&
         error.code() != absl::StatusCode::kResourceExhausted;
}

struct PageRequest {
  int size = 50;      // at most so many; at least one is asked for
  std::string token;  // the next_token of the page before, of the same list and filter; empty: the first page
};

// A page may be shorter than asked for, and even empty, in the middle of a list. What is added meanwhile neither repeats
// nor hides an item.
template <typename Item>
struct Page {
  std::vector<Item> items;
  std::string next_token;  // empty: the list ends here
};

// The filter of a list of runs. It applies before the size of a page.
struct RunFilter {
  std::string application = {};                 // empty: of all
  std::string environment = {};                 // empty: of all
  v1::RunKind kind = v1::RUN_KIND_UNSPECIFIED;  // unspecified: all
  std::vector<v1::RunPhase> phases = {};        // empty: all
  bool active_only = false;                     // those that are not over
  std::vector<v1::Verdict> verdicts = {};       // empty: all

  // Whether the run passes. One that can't be read passes every kind and environment, since nobody knows its own; one that
  // says no verdict passes every verdict, since 0.1 stored none.
  bool Matches(const v1::Run& run) const;

  // Whether a run whose verdict is all that can be known of it passes.
  bool MatchesVerdict(const v1::Run& run) const;
};

struct StoredObligation {
  std::string agent;
  v1::HeldObligation obligation;
};

// A record that can't be read. It stays where it is.
struct DamagedRecord {
  std::string kind;  // "run", "backup", "object" …
  std::string name;
  std::string why;
  bool operator<(const DamagedRecord& other) const {
    return std::tie(kind, name) < std::tie(other.kind, other.name);
  }
};

class Records {
 public:
  virtual ~Records() = default;

  // Its header and outcome, as in ListRuns. NotFound.
  virtual StatusOr<v1::Run> LoadRunSummary(const std::string& name) = 0;
  // The view that FinishRun gave to show of the run. NotFound where it gave nothing, as 0.1 did; DataLoss.
  virtual StatusOr<v1::Run> LoadRunView(const std::string& name) = 0;
  // Headers and outcomes, the newest first. A run that is active has only its header; its phase is not known here, and it
  // passes every filter of phases. One that can't be read has its name and application, RUN_PHASE_QUARANTINED and the
  // reason. InvalidArgument for a token that is not of this list.
  virtual StatusOr<Page<v1::Run>> ListRuns(const RunFilter& filter, const PageRequest& page) = 0;
  // The oldest first. InvalidArgument as above.
  virtual StatusOr<Page<v1::Backup>> ListBackups(const PageRequest& page) = 0;

  // These are as many as people declare or make, and come whole.
  // Those of one backup come in the order in which they were put.
  virtual StatusOr<std::vector<v1::Verification>> ListVerifications(const std::string& backup) = 0;
  virtual StatusOr<std::vector<v1::Object>> ListObjects() = 0;      // by kind and name
  virtual StatusOr<std::vector<v1::AgentStatus>> ListAgents() = 0;  // by environment and name
  virtual StatusOr<std::vector<StoredObligation>> ListObligations() = 0;
  virtual StatusOr<std::vector<v1::TokenRecord>> ListTokens() = 0;  // by name

  // Those that reads have met so far, in order of kind and name.
  virtual std::vector<DamagedRecord> DamagedRecords() = 0;
};

// All pages of a list, for whoever needs it complete: `list` is a function from a PageRequest to a StatusOr<Page<Item>>.
template <typename Item, typename List>
StatusOr<std::vector<Item>> ReadAllPages(const List& list) {
  constexpr int kPageSize = 500;
  std::vector<Item> items;
  PageRequest request = {kPageSize, ""};
  do {
    ASSIGN_OR_RETURN(Page<Item> page, list(request));
    std::move(page.items.begin(), page.items.end(), std::back_inserter(items));
    request.token = std::move(page.next_token);
  } while (!request.token.empty());
  return items;
}

StatusOr<std::vector<v1::Run>> ReadAllRuns(Records& records, const RunFilter& filter);  // the newest first
StatusOr<std::vector<v1::Backup>> ReadAllBackups(Records& records);                     // the oldest first

}  // namespace salvor::controlplane
