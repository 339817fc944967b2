#include "agent/engines/postgres/actions/verify_parts.h"

namespace salvor::agent {
namespace {

// amcheck inside a transaction that is rolled back: nothing stays, in a drill as in a restored database.
class StructureCheck {
 public:
  explicit StructureCheck(Verification& verification)
      : verification_(verification), tally_(verification.checks, "structure", verification.Subject()) {}

  Status Run() {
    ASSIGN_OR_RETURN(session_, OpenSession(verification_.target.connection, verification_.database,
                                           verification_.context));
    RETURN_IF_ERROR(CheckIndexesAreValid());
    RETURN_IF_ERROR(session_->Execute("BEGIN READ WRITE"));
    if (const std::string why_not = PrepareAmcheck(); !why_not.empty()) {
      tally_.Leave(why_not);
    } else {
      RETURN_IF_ERROR(CheckIndexes());
      RETURN_IF_ERROR(CheckTables());
    }
    RETURN_IF_ERROR(session_->Execute("ROLLBACK"));
    tally_.Close(fmt::format("{} indexes and {} tables are sound", indexes_, tables_),
                 "indexes and tables could not be looked into");
    return OkStatus();
  }

 private:
  Status CheckIndexesAreValid() {
    ASSIGN_OR_RETURN(Rows invalid, session_->Query(R"(
SELECT i.indexrelid::regclass
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_'
 ORDER BY i.indexrelid::regclass::text)"));
    for (const std::string& name : Column(invalid))
      tally_.Fail(verification_.Subject(name), "the index is not valid");
    return OkStatus();
  }

  // "" when `schema_` holds amcheck's functions; else why they cannot be had.
  std::string PrepareAmcheck() {
    // Event triggers of the restored application must not act on what we do.
    if (Status quiet = session_->Execute("SAVEPOINT quiet; SET LOCAL session_replication_role = replica");
        !quiet.ok()) {
      (void)session_->Execute("ROLLBACK TO quiet");
    }
    const auto there = session_->Query(R"(
SELECT n.nspname
  FROM pg_extension e
  JOIN pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'amcheck')");
    if (!there.ok()) return MessageOf(there.status());
    if (there->Count() > 0) {
      schema_ = session_->Identifier(there->View(0, 0));
      return "";
    }
    const Status made =
        session_->Execute("CREATE SCHEMA salvor_amcheck; CREATE EXTENSION amcheck SCHEMA salvor_amcheck");
    if (!made.ok()) return "amcheck cannot be had: " + MessageOf(made);
    schema_ = "salvor_amcheck";
    return "";
  }

  // One look at one thing. What it raises is the verdict.
  Status Look(const std::string& sql, const std::string& name, int64_t& sound) {
    RETURN_IF_ERROR(session_->Execute("SAVEPOINT before_look"));
    const auto rows = session_->Query(sql);
    if (!rows.ok()) {
      const absl::StatusCode code = rows.status().code();
      const bool of_work = session_->LastSqlState().empty() || IsOfSurroundings(rows.status()) ||
                           code == absl::StatusCode::kCancelled ||
                           code == absl::StatusCode::kDeadlineExceeded;
      if (of_work) return rows.status();
      RETURN_IF_ERROR(session_->Execute("ROLLBACK TO before_look; RELEASE before_look"));
      tally_.Fail(verification_.Subject(name), MessageOf(rows.status()));
      return OkStatus();
    }
    // Gives the locks back: a server has not room for those of all tables and indexes.
    RETURN_IF_ERROR(session_->Execute("ROLLBACK TO before_look; RELEASE before_look"));
    if (rows->Count() > 0 && rows->Columns() > 1) {
      tally_.Fail(verification_.Subject(name), rows->Text(0, 1));  // verify_heapam gives a row per fault
      return OkStatus();
    }
    tally_.Pass();
    ++sound;
    return OkStatus();
  }

  Status CheckIndexes() {
    ASSIGN_OR_RETURN(Rows rows, session_->Query(R"(
SELECT c.oid, c.oid::regclass
  FROM pg_class c
  JOIN pg_index i ON i.indexrelid = c.oid
  JOIN pg_am a ON a.oid = c.relam
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE a.amname = 'btree' AND c.relkind = 'i' AND i.indisvalid AND i.indisready
   AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY c.oid::regclass::text)"));
    for (int i = 0; i < rows.Count(); ++i) {
      RETURN_IF_ERROR(
          Look(fmt::format("SELECT {}.bt_index_check({}::regclass, true)", schema_, rows.Int(i, 0)),
               AsUtf8(rows.View(i, 1)), indexes_));
    }
    return OkStatus();
  }

  Status CheckTables() {
    if (session_->ServerVersion() < 140000) return OkStatus();  // verify_heapam came with 14
    ASSIGN_OR_RETURN(Rows rows, session_->Query(R"(
SELECT c.oid, c.oid::regclass
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_am a ON a.oid = c.relam
 WHERE c.relkind IN ('r', 'm') AND a.amname = 'heap'
   AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 ORDER BY c.oid::regclass::text)"));
    for (int i = 0; i < rows.Count(); ++i) {
      RETURN_IF_ERROR(Look(
          fmt::format("SELECT blkno, msg FROM {}.verify_heapam({}::regclass, check_toast => true) LIMIT 1",
                      schema_, rows.Int(i, 0)),
          AsUtf8(rows.View(i, 1)), tables_));
    }
    return OkStatus();
  }

  Verification& verification_;
  Tally tally_;
  std::unique_ptr<Connection> session_;
  std::string schema_;
  int64_t indexes_ = 0, tables_ = 0;
};

}  // namespace

Status VerifyStructure(Verification& verification) {
  return WithContext(StructureCheck(verification).Run(), "looking into indexes and tables");
}

}  // namespace salvor::agent
