// Materialized views in a drill. pg_restore fills them by running their queries, and one that cannot run ends the
// restore. In a drill a query over foreign things must not run: what it would ask lies outside, and it may write
// there. So a drill lets pg_restore do all else, and fills them itself, one by one; what cannot be filled is left
// empty, and named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/engines/postgres/archive_stream.h"
#include "agent/engines/postgres/connection.h"
#include "agent/process/pipe_owner.h"
#include "agent/scratch/scratch_state.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// Watches an archive on its way to a pg_restore that has --use-list=`list_path`. pg_restore opens that file when it
// has read the archive's table of contents; it is written before the last byte of that is passed on. The list
// names everything but what fills materialized views.
class RefreshesLeftOut final : public StreamObserver {
 public:
  explicit RefreshesLeftOut(std::string list_path) : list_path_(std::move(list_path)) {}
  ~RefreshesLeftOut() override;  // removes the list

  Status OnBytes(std::string_view bytes) override;
  Status OnEnd() override;

  // The archive cannot be looked into, and the stream was ended for that; pg_restore has done nothing by then.
  bool Unreadable() const { return !archive_.Readable(); }
  // Those that are filled, in that order, in the archive's encoding.
  const std::vector<ArchiveRefresh>& Refreshes() const { return archive_.Summary().refreshes; }

 private:
  std::string list_path_;
  ArchiveStream archive_{RowDigest::Mode::kCount};
  bool written_ = false;
};

// Materialized views by "schema.name", with quotes where SQL wants them.
using ViewsLeftEmpty = PartsLeftEmpty;

// Fills them in this order, in a database of a drill. One that rests on foreign tables, on functions of an extension
// for foreign data, or on a view that stayed empty, is not tried. DataLoss when a query fails for what is in the
// dump; another error when it fails for what it lacks here, such as disk space or a right of its owner.
StatusOr<ViewsLeftEmpty> FillViewsInDrill(Connection& session, const std::vector<ArchiveRefresh>& refreshes);

// Adjusts the expectations of a copy in which these were left empty.
void ExpectLeftEmpty(const ViewsLeftEmpty& left, v1::DatabaseDetails* details);

// "public.a (rests on foreign table public.f), public.b (…)", bounded.
std::string DescribeLeftEmpty(const ViewsLeftEmpty& left);

}  // namespace salvor::agent
