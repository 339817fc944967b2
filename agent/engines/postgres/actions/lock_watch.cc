#include "agent/engines/postgres/actions/lock_watch.h"

#include <absl/time/clock.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "agent/engines/postgres/actions/common.h"
#include "base/io/steady_clock.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

using std::chrono::steady_clock;

// A step may rightly stand still for hours (an index is built), during which a session a second would be too many.
constexpr std::chrono::seconds kShortestPause(1), kLongestPause(10);
constexpr absl::Duration kPatience = absl::Seconds(5);

// The locks that are waited for, who holds them, and for how long, in seconds. Our sessions and those of our programs
// say that they are ours, and are of our own role: to see them needs no right.
constexpr char kWaits[] = R"sql(
SELECT DISTINCT
    CASE
      WHEN l.locktype = 'relation' AND l.database IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        THEN COALESCE((SELECT CASE c.relkind WHEN 'i' THEN 'index ' WHEN 'I' THEN 'index ' WHEN 'S' THEN 'sequence '
            WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' ELSE 'table ' END || c.oid::regclass
          FROM pg_class c WHERE c.oid = l.relation), 'a table')
      WHEN l.locktype = 'object' AND l.classid = 'pg_database'::regclass
        THEN COALESCE((SELECT format('database %I', d.datname) FROM pg_database d WHERE d.oid = l.objid), 'a database')
      WHEN l.locktype IN ('transactionid', 'virtualxid') THEN 'the end of a transaction'
      ELSE 'a lock'
    END,
    CASE WHEN b.pid = 0 THEN 'a prepared transaction' ELSE format('process %s (%s of user %s)', b.pid,
      COALESCE(NULLIF(h.application_name, ''), 'a session'), COALESCE(h.usename::text, 'unknown')) END,
    COALESCE(floor(extract(epoch FROM clock_timestamp() - COALESCE(h.xact_start, h.query_start))), -1)::bigint
FROM pg_stat_activity w
  CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) b(pid)
  LEFT JOIN pg_stat_activity h ON h.pid = b.pid
  JOIN pg_locks l ON l.pid = w.pid AND NOT l.granted
WHERE w.wait_event_type = 'Lock'
  AND w.application_name = 'salvor'
  AND w.usename = current_user
  AND w.datname = current_database()
  AND w.pid <> pg_backend_pid()
ORDER BY 1, 2
)sql";

}  // namespace

LockWatch::LockWatch(ActionContext& context, v1::PostgresConnection where, std::string database)
    : context_(context), where_(std::move(where)), database_(std::move(database)), shown_(context.progress) {
  if (!shown_) return;  // nobody looks
  context_.progress = [this](const v1::Progress& progress) { Show(progress); };
  thread_ = std::thread([this] { Watch(); });
}

LockWatch::~LockWatch() {
  if (!thread_.joinable()) return;
  stop_.request_stop();
  {
    MutexLock lock(mutex_);
    over_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
  context_.progress = shown_;
}

void LockWatch::Show(const v1::Progress& progress) {
  MutexLock lock(mutex_);
  moved_ = moved_ || progress.bytes_done() != last_.bytes_done() || progress.message() != last_.message();
  waiting_ = false;
  last_ = progress;
  shown_(progress);
}

bool LockWatch::StoodStill(std::chrono::seconds pause) {
  MutexLock lock(mutex_);
  do {
    moved_ = false;
    const auto until = steady_clock::now() + pause;
    while (!over_ && steady_clock::now() < until) changed_.WaitFor(mutex_, until - steady_clock::now());
    pause = kShortestPause;
  } while (!over_ && moved_);
  return !over_;
}

void LockWatch::Watch() {
  auto pause = kShortestPause;
  while (StoodStill(pause)) {
    const StatusOr<Waits> waits = Ask();
    const bool waiting = waits.ok() && !waits->now.empty();
    pause = waiting ? kShortestPause : std::min(pause * 2, kLongestPause);
    if (waits.ok()) Tell(*waits);
    if (waiting && waits->what != logged_ && context_.log) context_.log("salvor-agent", waits->what);
    if (waiting) logged_ = waits->what;
  }
}

StatusOr<LockWatch::Waits> LockWatch::Ask() const {
  SessionOptions options;
  options.database = database_;
  options.stop = stop_.get_token();
  options.deadline = SteadyNow() + kPatience;
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> session, Connection::Open(where_, std::move(options)));
  ASSIGN_OR_RETURN(const Rows rows, session->Query(kWaits));
  std::vector<std::string> now, what;
  for (int i = 0; i < rows.Count(); ++i) {
    what.push_back(AsUtf8(fmt::format("{}, held by {}", rows.View(i, 0), rows.View(i, 1))));
    const int64_t seconds = rows.Int(i, 2);
    now.push_back(seconds < 0 ? what.back()
                              : fmt::format("{} for {}", what.back(), HumanDuration(absl::Seconds(seconds))));
  }
  if (what.empty()) return Waits();
  return Waits{"waits for " + Names(now, 3), "waits for " + Names(what, 3)};
}

void LockWatch::Tell(const Waits& waits) {
  MutexLock lock(mutex_);
  // Progress that was made meanwhile has been shown, and is newer than the answer.
  if (over_ || moved_ || (waits.now.empty() && !waiting_)) return;
  waiting_ = !waits.now.empty();
  v1::Progress progress = last_;
  if (waiting_) {
    progress.clear_bytes_per_second();
    progress.set_message(waits.now);
  }
  shown_(progress);
}

}  // namespace salvor::agent
