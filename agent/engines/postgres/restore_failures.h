// Reads from pg_restore's own words what it could not build, by entry of the archive's table of contents. Pure.
//
// With --verbose, and without --exit-on-error, pg_restore names an entry before its first error ("from TOC entry
// 3280; 2606 16409 FK CONSTRAINT child child_fkey postgres"), goes on, counts its errors, and ends with 1 and "errors
// ignored on restore: 3". These words are the program's, which we run in English; the error behind them is the
// server's, in its own language.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace salvor::agent {

struct RestoreFailure {
  int64_t entry = 0;      // of the table of contents; 0: of none, as when a session is set up
  std::string error;      // the first line: "could not execute query: ERROR:  no such shop"
  bool of_owner = false;  // the entry's thing is there, and only its owner could not be set
};

// Lines of its stderr, in order.
class RestoreErrors {
 public:
  void AddLine(std::string_view line);

  // One each error, in order.
  const std::vector<RestoreFailure>& All() const { return failures_; }

  // It got to its end, and counted as many errors as are here: there was nothing else.
  bool ReachedEnd() const { return ignored_ >= 0 && ignored_ == static_cast<int64_t>(failures_.size()); }

 private:
  int64_t entry_ = 0, ignored_ = -1;
  std::vector<RestoreFailure> failures_;
};

// A line that --verbose adds for everything that is well: nothing for a log.
bool IsVerboseLine(std::string_view line);

// The server's words in an error of pg_restore: "no such shop".
std::string ServersWords(std::string_view error);

// The name of an entry for people: "rows of table public.orders", "foreign key public.orders orders_customer_fkey",
// "comment on materialized view public.totals".
std::string TitleOfEntry(const std::string& kind, const std::string& schema, const std::string& tag);

}  // namespace salvor::agent
