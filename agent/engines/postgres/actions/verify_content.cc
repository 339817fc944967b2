#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "agent/engines/postgres/actions/verify_parts.h"
#include "agent/engines/postgres/inventory.h"
#include "agent/engines/postgres/row_digest.h"
#include "agent/engines/postgres/table_copies.h"
#include "base/text.h"

namespace salvor::agent {
namespace {

// Schema and name as the details have them: AsUtf8 of what the session says.
using TableName = std::pair<std::string, std::string>;
using Conditions = std::map<TableName, std::string>;

// The rows that pg_dump would dump: of configuration tables of extensions only a part. A condition is what the
// session says, to be said to it again.
StatusOr<Conditions> ReadConditions(Connection& session) {
  ASSIGN_OR_RETURN(const std::vector<DumpedTable> tables, ListDumpedTables(session));
  Conditions conditions;
  for (const DumpedTable& table : tables) {
    if (!table.condition.empty()) conditions[{AsUtf8(table.schema), AsUtf8(table.name)}] = table.condition;
  }
  return conditions;
}

// How a table's rows are read, and hashed where a hash is expected: as COPY gives them with the dump's own column
// list, in the encoding of the dump, or the same text would be other bytes.
TableCopy CopyOf(const Connection& session, const v1::TableExpectation& table, const std::string& condition,
                 const std::string& encoding) {
  const bool hash = table.level() == v1::COVERAGE_LEVEL_EXACT;
  const auto text = [&session](const std::string& kept) {
    return session.TextEncoding() == "UTF8" ? kept : BytesOf(kept);
  };
  const std::string name = session.Table(text(table.schema()), text(table.name()));
  const std::string list = text(table.columns());
  std::string source = name + " " + list;
  if (!condition.empty()) {
    const std::string columns = list.size() > 2 ? list.substr(1, list.size() - 2) : "";
    source = fmt::format("(SELECT {} FROM {} {})", columns, name, condition);
  }
  const std::string options =
      encoding.empty() ? "" : fmt::format(" (ENCODING {})", session.Literal(encoding));
  return {fmt::format("COPY {} TO STDOUT{}", source, options),
          hash ? RowDigest::Mode::kHash : RowDigest::Mode::kCount};
}

// Trees of partitions by hash: where the key is an enum, or hashes otherwise on another server, a restore puts
// rows into other partitions than they came from, and only the tree as a whole is the same.
struct HashTree {
  std::vector<std::string> partitions;
  int64_t expected_rows = 0, found_rows = 0;
  HashSum expected_sum, found_sum;
  std::set<std::string> columns;  // the lists their rows were hashed with
  bool covered = true, hashed = true;
  bool equal = true;  // partition by partition
};

// Adds a sum as HashSum::Bytes wrote it.
void AddSum(const std::string& bytes, HashSum& sum) {
  const auto number = [&bytes](size_t begin) {
    uint64_t value = 0;
    for (size_t i = begin; i < std::min(begin + 8, bytes.size()); ++i) {
      value = value << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return value;
  };
  sum.Add(number(8), number(0));
}

// The topmost table partitioned by hash of each partition below one.
StatusOr<std::map<TableName, std::string>> ReadHashTrees(Connection& session) {
  ASSIGN_OR_RETURN(Rows rows, session.Query(R"sql(
WITH RECURSIVE above AS (
  SELECT c.oid AS leaf, i.inhparent AS ancestor, 1 AS depth
  FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
  WHERE c.relispartition AND c.relkind = 'r'
  UNION ALL
  SELECT a.leaf, i.inhparent, a.depth + 1
  FROM above a JOIN pg_inherits i ON i.inhrelid = a.ancestor
)
SELECT DISTINCT ON (a.leaf) n.nspname, c.relname, a.ancestor::regclass
FROM above a
  JOIN pg_partitioned_table p ON p.partrelid = a.ancestor AND p.partstrat = 'h'
  JOIN pg_class c ON c.oid = a.leaf
  JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY a.leaf, a.depth DESC
)sql"));
  std::map<TableName, std::string> trees;
  for (int i = 0; i < rows.Count(); ++i) {
    trees[{AsUtf8(rows.View(i, 0)), AsUtf8(rows.View(i, 1))}] = AsUtf8(rows.View(i, 2));
  }
  return trees;
}

class TablesComparison {
 public:
  explicit TablesComparison(Verification& verification)
      : verification_(verification),
        rows_(verification.checks, "rows", verification.Subject()),
        content_(verification.checks, "content", verification.Subject()) {}

  Status Run() {
    ASSIGN_OR_RETURN(session_, OpenSession(verification_.target.connection, verification_.database,
                                           verification_.context));
    RETURN_IF_ERROR(session_->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    ASSIGN_OR_RETURN(conditions_, ReadConditions(*session_));
    ASSIGN_OR_RETURN(roots_, ReadHashTrees(*session_));
    std::vector<TableCopy> copies;
    std::vector<const v1::TableExpectation*> covered;
    for (const v1::TableExpectation& table : verification_.details.tables()) {
      if (verification_.not_built.ExplainsRows(table.schema(), table.name())) {
        // Its rows may belong into other partitions here: what those lack is not theirs alone.
        LeaveTreeUncovered(table);
        continue;
      }
      if (table.level() == v1::COVERAGE_LEVEL_NONE) {
        Leave(table);
        continue;
      }
      const auto condition = conditions_.find({table.schema(), table.name()});
      copies.push_back(CopyOf(*session_, table, condition == conditions_.end() ? "" : condition->second,
                              verification_.details.encoding()));
      covered.push_back(&table);
    }
    const auto compare = [this, &covered](size_t at, const StatusOr<RowDigest>& digest) {
      ShowProgress();
      return Compare(*covered[at], digest);
    };
    RETURN_IF_ERROR(ReadTables(Reading(), copies, compare));
    for (const auto& [root, tree] : trees_) JudgeTree(root, tree);
    rows_.Close(fmt::format("{} tables, {} rows equal", rows_.PassedCount(), equal_rows_),
                "rows were not covered at backup time");
    content_.Close(fmt::format("{} tables, {} rows hash equal", content_.PassedCount(), hashed_rows_),
                   "content was not hashed at backup time");
    return OkStatus();
  }

 private:
  TableReading Reading() {
    ActionContext& context = verification_.context;
    const auto psql = [this, &context] {
      return PostgresTool(context, "psql", {}, verification_.target.connection, verification_.database,
                          *session_);
    };
    return {context.tools, psql, *session_, context.stop, context.deadline};
  }

  void LeaveTreeUncovered(const v1::TableExpectation& table) {
    const auto root = roots_.find({table.schema(), table.name()});
    if (root != roots_.end()) trees_[root->second].covered = false;
  }

  void Leave(const v1::TableExpectation& table) {
    const std::string name = table.schema() + "." + table.name();
    LeaveTreeUncovered(table);
    rows_.Leave(name);
    content_.Leave(name);
    ShowProgress();
  }

  Status Compare(const v1::TableExpectation& table, const StatusOr<RowDigest>& digest) {
    const std::string name = table.schema() + "." + table.name();
    if (!digest.ok()) {
      // A table or column that is not there, or pages that cannot be read, is a verdict.
      if (IsOfSurroundings(digest.status())) return digest.status();
      rows_.Fail(verification_.Subject(name), "cannot be read: " + MessageOf(digest.status()));
      return OkStatus();
    }
    const auto root = roots_.find({table.schema(), table.name()});
    if (root != roots_.end()) {
      AddToTree(table, *digest, trees_[root->second]);
    } else {
      Judge(table, verification_.Subject(name), *digest);
    }
    return OkStatus();
  }

  static void AddToTree(const v1::TableExpectation& table, const RowDigest& digest, HashTree& tree) {
    const bool hashed = table.level() == v1::COVERAGE_LEVEL_EXACT;
    tree.partitions.push_back(table.schema() + "." + table.name());
    tree.expected_rows += table.rows();
    tree.found_rows += digest.Rows();
    tree.columns.insert(table.columns());
    tree.hashed = tree.hashed && hashed;
    if (hashed) {
      AddSum(table.content_hash(), tree.expected_sum);
      AddSum(digest.Sum(), tree.found_sum);
    }
    tree.equal =
        tree.equal && table.rows() == digest.Rows() && (!hashed || table.content_hash() == digest.Sum());
  }

  void JudgeTree(const std::string& root, const HashTree& tree) {
    const std::string subject = verification_.Subject(root);
    if (!tree.equal && !tree.covered) {
      // A row may be in a partition that nothing is known of.
      rows_.Leave(root + " (rows moved between its partitions, of which some were not covered)");
      return;
    }
    if (tree.found_rows != tree.expected_rows) {
      rows_.Fail(subject, fmt::format("expected {} rows in all partitions, found {}", tree.expected_rows,
                                      tree.found_rows));
      return;
    }
    for (size_t i = 0; i < tree.partitions.size(); ++i) rows_.Pass();
    equal_rows_ += tree.expected_rows;
    if (!tree.hashed) {
      content_.Leave(root);
    } else if (tree.equal || tree.expected_sum.Bytes() == tree.found_sum.Bytes()) {
      for (size_t i = 0; i < tree.partitions.size(); ++i) content_.Pass();
      hashed_rows_ += tree.expected_rows;
    } else if (tree.columns.size() > 1) {
      // The same row hashes otherwise where the columns stand in another order.
      content_.Leave(root + " (rows moved between partitions whose columns are in different orders)");
    } else {
      content_.Fail(subject, fmt::format("{} rows in all partitions, but their hash is {} instead of {}",
                                         tree.expected_rows, ToHex(tree.found_sum.Bytes()),
                                         ToHex(tree.expected_sum.Bytes())));
    }
  }

  void Judge(const v1::TableExpectation& table, const std::string& subject, const RowDigest& digest) {
    if (digest.Rows() != table.rows()) {
      rows_.Fail(subject, fmt::format("expected {} rows, found {}", table.rows(), digest.Rows()));
      return;  // the content of other rows says nothing more
    }
    rows_.Pass();
    equal_rows_ += table.rows();
    if (table.level() != v1::COVERAGE_LEVEL_EXACT) {
      content_.Leave(table.schema() + "." + table.name());
    } else if (digest.Sum() != table.content_hash()) {
      content_.Fail(subject, fmt::format("{} rows, but their hash is {} instead of {}", table.rows(),
                                         ToHex(digest.Sum()), ToHex(table.content_hash())));
    } else {
      content_.Pass();
      hashed_rows_ += table.rows();
    }
  }

  void ShowProgress() {
    ++done_;
    if (!verification_.context.progress) return;
    v1::Progress progress;
    progress.set_message(fmt::format("{} of {} tables compared", done_, verification_.details.tables_size()));
    verification_.context.progress(progress);
  }

  Verification& verification_;
  Tally rows_, content_;
  std::unique_ptr<Connection> session_;
  Conditions conditions_;
  std::map<TableName, std::string> roots_;
  std::map<std::string, HashTree> trees_;
  int64_t equal_rows_ = 0, hashed_rows_ = 0;
  int done_ = 0;
};

// All of them, some at a time: there may be millions.
StatusOr<LargeObjectDigest> ReadLargeObjects(Connection& session) {
  LargeObjectDigest digest;
  const auto feed = [&digest](std::string_view piece) { digest.Feed(piece.data(), piece.size()); };
  for (std::string last = "0";;) {
    ASSIGN_OR_RETURN(
        const Rows oids,
        session.Query("SELECT oid FROM pg_largeobject_metadata WHERE oid > $1::oid ORDER BY oid LIMIT 10000",
                      {last}));
    if (oids.Count() == 0) return digest;
    for (int i = 0; i < oids.Count(); ++i) {
      last = oids.Text(i, 0);
      digest.Begin(static_cast<uint32_t>(oids.Int(i, 0)));
      RETURN_IF_ERROR(session.ReadLargeObject(last, feed));
      digest.End();
    }
  }
}

}  // namespace

Status VerifyTables(Verification& verification) {
  return WithContext(TablesComparison(verification).Run(), "comparing tables");
}

Status VerifyLargeObjects(Verification& verification) {
  const v1::LargeObjectExpectation& then = verification.details.large_objects();
  if (verification.not_built.ExplainsLargeObjects()) return OkStatus();
  const std::string subject = verification.Subject();
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> session,
                   OpenSession(verification.target.connection, verification.database, verification.context));
  RETURN_IF_ERROR(session->Execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
  ASSIGN_OR_RETURN(const int64_t count, session->Number("SELECT count(*) FROM pg_largeobject_metadata"));
  if (count != then.count()) {
    verification.checks.Failed("large objects", subject,
                               fmt::format("expected {}, found {}", then.count(), count));
    return OkStatus();
  }
  if (then.level() != v1::COVERAGE_LEVEL_EXACT) {
    if (then.count() > 0) {
      verification.checks.Unverifiable(
          "large objects", subject,
          fmt::format("{} found as expected, their content was not hashed at backup time", then.count()));
    }
    return OkStatus();
  }
  ASSIGN_OR_RETURN(const LargeObjectDigest digest, ReadLargeObjects(*session));
  if (digest.Sum() != then.content_hash() || digest.Bytes() != then.bytes()) {
    verification.checks.Failed(
        "large objects", subject,
        fmt::format("{} objects, but {} bytes with hash {} instead of {} with {}", then.count(),
                    digest.Bytes(), ToHex(digest.Sum()), then.bytes(), ToHex(then.content_hash())));
  } else {
    verification.checks.Passed("large objects", subject,
                               fmt::format("{} objects, {} equal", then.count(), HumanBytes(then.bytes())));
  }
  return OkStatus();
}

}  // namespace salvor::agent
