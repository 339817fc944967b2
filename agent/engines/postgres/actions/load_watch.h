// Watches a pg_restore: the table of contents of what it is given, and what it says of what it could not build.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/engines/postgres/archive_stream.h"
#include "agent/engines/postgres/connection.h"
#include "agent/engines/postgres/restore_failures.h"
#include "agent/process/pipe_owner.h"
#include "salvor/v1/action.pb.h"

namespace salvor::agent {

// The stream is seen on one thread and the lines on another; everything else is asked when both have ended.
class LoadWatch final : public StreamObserver {
 public:
  LoadWatch();

  // Reads the contents and nothing of the data. Never fails: an archive that cannot be read has nameless entries.
  Status OnBytes(std::string_view bytes) override;
  Status OnEnd() override { return OkStatus(); }

  void OnErrorLine(std::string_view line) { errors_.AddLine(line); }

  // pg_restore got to its end, and left out what All tells and nothing else.
  bool WentOnToItsEnd(const ExitStatus& status) const {
    return status.signal == 0 && status.code == 1 && !errors_.All().empty() && errors_.ReachedEnd();
  }

  // One each entry that failed, with its first error, in order. `inside` is a session in the database, which knows
  // the encoding of names; `database` is its name.
  std::vector<v1::NotBuilt> All(Connection& inside, const std::string& database) const;

  // The first error that says something about the server and nothing about what was to be built; "" when none does.
  std::string FirstOfServer() const;

  // The server's error after which it did not go on, or else the last one. Failed() only.
  std::string WhyItEnded() const;

  bool Failed() const { return !errors_.All().empty(); }
  // Failed() only. False when it could not even begin, or set up its session: nothing of the archive is to blame.
  bool FirstIsOfEntry() const { return errors_.All().front().entry != 0; }

 private:
  ArchiveStream archive_;
  std::unordered_map<int64_t, ArchiveEntry> entries_;
  RestoreErrors errors_;
};

}  // namespace salvor::agent
