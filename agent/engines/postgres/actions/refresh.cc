#include "agent/engines/postgres/actions/refresh.h"

#include <unistd.h>

#include "agent/engines/postgres/actions/common.h"
#include "base/io/files.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// The view of these bytes' name: its oid, and how SQL writes it.
constexpr char kFindView[] = R"sql(
SELECT c.oid, format('%I.%I', n.nspname, c.relname)
FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'm'
  AND encode(convert_to(n.nspname::text, getdatabaseencoding()), 'hex') = $1
  AND encode(convert_to(c.relname::text, getdatabaseencoding()), 'hex') = $2
)sql";

// Finds what keeps a view from being filled in a drill: it is followed through views, partitions, children, and
// functions whose bodies the server knows. A function that is only text hides what it asks for: its error says it.
constexpr char kWhatItRestsOn[] = R"sql(
WITH RECURSIVE rests(kind, oid) AS (
  SELECT 'relation', $1::oid
  UNION
  SELECT s.kind, s.oid
  FROM rests, LATERAL (
    SELECT d.refclassid, d.refobjid
    FROM pg_rewrite w
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
    WHERE rests.kind = 'relation' AND w.ev_class = rests.oid AND w.ev_type = '1'
    UNION ALL
    SELECT d.refclassid, d.refobjid
    FROM pg_depend d
    WHERE rests.kind = 'function' AND d.classid = 'pg_proc'::regclass AND d.objid = rests.oid
    UNION ALL
    SELECT 'pg_class'::regclass, i.inhrelid
    FROM pg_inherits i
    WHERE rests.kind = 'relation' AND i.inhparent = rests.oid
  ) used(class, id), LATERAL (
    SELECT CASE used.class WHEN 'pg_class'::regclass THEN 'relation' ELSE 'function' END, used.id
    WHERE used.class IN ('pg_class'::regclass, 'pg_proc'::regclass)
  ) s(kind, oid)
)
SELECT why
FROM (
  SELECT 1 AS rank, 'foreign table ' || c.oid::regclass AS why
  FROM rests r
    JOIN pg_class c ON r.kind = 'relation' AND c.oid = r.oid
  WHERE c.relkind = 'f'
  UNION ALL
  SELECT 2, 'function ' || p.oid::regprocedure || ' of extension ' || quote_ident(x.extname)
  FROM rests r
    JOIN pg_proc p ON r.kind = 'function' AND p.oid = r.oid
    JOIN pg_depend e ON e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
    JOIN pg_extension x ON x.oid = e.refobjid
  WHERE EXISTS (SELECT FROM pg_depend f WHERE f.classid = 'pg_foreign_data_wrapper'::regclass
      AND f.deptype = 'e' AND f.refobjid = x.oid)
  UNION ALL
  SELECT 3, 'materialized view ' || c.oid::regclass || ', which is empty'
  FROM rests r
    JOIN pg_class c ON r.kind = 'relation' AND c.oid = r.oid
  WHERE c.relkind = 'm' AND NOT c.relispopulated AND c.oid <> $1::oid
) found
ORDER BY rank, why
LIMIT 1
)sql";

// A query that failed says something about the dump where another server would meet the same: its data (22),
// integrity (23), what it names (42). A right that its owner lacks (42501) is looked for elsewhere. OK: it says that
// something outside of this server is not there, or nothing that can be told; the view is left.
Status JudgeRefresh(Connection& session, const std::string& view, const Status& failed) {
  const std::string state = session.LastSqlState();
  const std::string group = state.substr(0, 2);
  const std::string what = "filling materialized view " + view;
  if (state.empty() || !session.Alive()) return WithContext(failed, what);
  if (group == "22" || group == "23" || (group == "42" && state != "42501")) {
    return WithHint(DataLoss("{}: {}: SQLSTATE {}", what, MessageOf(failed), state),
                    "The dump is whole, but a server does not take it: what is named has to be mended in the "
                    "original.");
  }
  // A foreign server that cannot be reached (08), and an error that an extension gave no state (XX000), are of the
  // query; this session lives.
  if (group == "08" || state == "XX000") return OkStatus();
  const bool lacks_something_here =
      state == "42501" || state == "58030" || group == "XX" || IsOfSurroundings(failed);
  return lacks_something_here ? WithContext(failed, what) : OkStatus();
}

}  // namespace

RefreshesLeftOut::~RefreshesLeftOut() { ::unlink(list_path_.c_str()); }

Status RefreshesLeftOut::OnBytes(std::string_view bytes) {
  if (written_) return OkStatus();
  RETURN_IF_ERROR(archive_.Feed(bytes));
  if (!archive_.Readable())
    return FailedPrecondition("the archive cannot be looked into: {}", archive_.Why());
  if (!archive_.ContentsKnown()) return OkStatus();
  std::string list;
  for (const int64_t number : archive_.Summary().other_entries) list += fmt::format("{};\n", number);
  RETURN_IF_ERROR(WriteFileAtomically(list_path_, list, 0600));
  written_ = true;
  return OkStatus();
}

Status RefreshesLeftOut::OnEnd() {
  if (written_) return OkStatus();
  return DataLoss("the dump is damaged: it ends inside its table of contents");
}

StatusOr<ViewsLeftEmpty> FillViewsInDrill(Connection& session, const std::vector<ArchiveRefresh>& refreshes) {
  ViewsLeftEmpty left;
  for (const ArchiveRefresh& refresh : refreshes) {
    ASSIGN_OR_RETURN(const Rows view, session.Query(kFindView, {ToHex(refresh.schema), ToHex(refresh.name)}));
    if (view.Count() == 0) {
      return Aborted("materialized view {}.{} went away while it was restored", AsUtf8(refresh.schema),
                     AsUtf8(refresh.name));
    }
    const std::string quoted = view.Text(0, 1), name = AsUtf8(quoted);
    ASSIGN_OR_RETURN(const Rows why, session.Query(kWhatItRestsOn, {view.Text(0, 0)}));
    if (why.Count() > 0) {
      left[name] = "it rests on " + AsUtf8(why.View(0, 0));
      continue;
    }
    const Status filled = session.Execute("REFRESH MATERIALIZED VIEW " + quoted);
    if (filled.ok()) continue;
    RETURN_IF_ERROR(JudgeRefresh(session, name, filled));
    left[name] = "its query failed in isolation: " + MessageOf(filled);
  }
  return left;
}

void ExpectLeftEmpty(const ViewsLeftEmpty& left, v1::DatabaseDetails* details) {
  const auto expect = [&left](std::string* object) {
    constexpr std::string_view kFilled = " populated=t", kEmpty = " populated=f";
    const size_t filled = object->rfind(kFilled);
    if (filled == std::string::npos) return;
    for (const auto& view : left) {
      if (object->rfind(view.first + " options=", 0) != 0) continue;
      object->replace(filled, kFilled.size(), kEmpty);
      return;
    }
  };
  for (v1::CatalogSection& section : *details->mutable_catalog()) {
    if (section.kind() != "materialized views") continue;
    for (std::string& line : *section.mutable_lines()) expect(&line);
    for (v1::CatalogStatement& statement : *section.mutable_statements()) expect(statement.mutable_object());
  }
}

std::string DescribeLeftEmpty(const ViewsLeftEmpty& left) {
  std::vector<std::string> views;
  for (const auto& [name, why] : left) views.push_back(fmt::format("{} ({})", name, Elide(why, 200)));
  return Names(views, 10);
}

}  // namespace salvor::agent
