#include "agent/engines/postgres/actions/dump_expectations.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "agent/engines/postgres/actions/common.h"
#include "base/text.h"
#include "proto/artifact.h"

namespace salvor::agent {
namespace {

void ExpectNothingOfRows(Inventory& inventory) {
  for (const DumpedTable& table : inventory.tables) {
    v1::TableExpectation* expected = inventory.details.add_tables();
    expected->set_schema(AsUtf8(table.schema));
    expected->set_name(AsUtf8(table.name));
    expected->set_level(v1::COVERAGE_LEVEL_NONE);
    expected->set_counted_rows(-1);
  }
  inventory.details.mutable_large_objects()->set_level(v1::COVERAGE_LEVEL_NONE);
}

// A sequence does not obey snapshots, so what the dump read is what a restored one has to be at, not what
// others read before or after.
void ExpectSequences(const ArchiveSummary& summary, Inventory& inventory) {
  std::map<std::pair<std::string, std::string>, const ArchiveSequence*> dumped;
  for (const ArchiveSequence& sequence : summary.sequences) {
    dumped[{AsUtf8(sequence.schema), AsUtf8(sequence.name)}] = &sequence;
  }
  for (v1::SequenceExpectation& expected : *inventory.details.mutable_sequences()) {
    const auto at = dumped.find({expected.schema(), expected.name()});
    if (at == dumped.end()) continue;
    expected.set_at_least(at->second->last_value);
    expected.set_is_called(at->second->is_called);
  }
}

v1::CoverageLevel LevelOf(bool covered, const std::string& hash) {
  if (!covered) return v1::COVERAGE_LEVEL_NONE;
  return hash.empty() ? v1::COVERAGE_LEVEL_COUNT : v1::COVERAGE_LEVEL_EXACT;
}

// Every table of the snapshot has to be in the dump.
Status CheckNothingIsMissing(const ArchiveSummary& summary, const Inventory& inventory,
                             std::vector<std::string>& warnings) {
  std::set<std::pair<std::string, std::string>> dumped;
  for (const ArchiveTable& table : summary.tables) dumped.insert({table.schema, table.name});
  std::vector<std::string> missing;
  for (const DumpedTable& table : inventory.tables) {
    if (dumped.count({table.schema, table.name}) > 0) continue;
    const std::string name = AsUtf8(table.schema + "." + table.name);
    if (table.of_extension) {
      warnings.push_back("the extension's table " + name + " is not in the dump");
    } else {
      missing.push_back(name);
    }
  }
  if (missing.empty()) return OkStatus();
  return DataLoss("the dump lacks tables that its snapshot has: {}", Names(missing));
}

}  // namespace

StatusOr<ArchiveSummary> InTextEncoding(Connection& session, ArchiveSummary summary) {
  if (session.TextEncoding() == session.ServerEncoding()) return summary;
  std::map<std::string, std::string> known;
  const auto convert = [&](std::string& text) -> Status {
    const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
    if (ascii) return OkStatus();
    auto [at, added] = known.try_emplace(text);
    if (added) {
      ASSIGN_OR_RETURN(at->second, session.Value(R"(
SELECT pg_catalog.convert_from(pg_catalog.decode($1, 'hex'), pg_catalog.getdatabaseencoding()))",
                                                 {ToHex(text)}));
    }
    text = at->second;
    return OkStatus();
  };
  for (ArchiveTable& table : summary.tables) {
    for (std::string* text : {&table.schema, &table.name, &table.columns}) RETURN_IF_ERROR(convert(*text));
  }
  for (ArchiveSequence& sequence : summary.sequences) {
    for (std::string* text : {&sequence.schema, &sequence.name}) RETURN_IF_ERROR(convert(*text));
  }
  return summary;
}

Status FillExpectations(const ArchiveSummary* summary, Inventory& inventory, const RowCounter::Counts& counts,
                        const TableNames& unsure, std::vector<std::string>& warnings) {
  if (summary == nullptr) {
    ExpectNothingOfRows(inventory);
    return OkStatus();
  }
  RETURN_IF_ERROR(CheckNothingIsMissing(*summary, inventory, warnings));
  ExpectSequences(*summary, inventory);
  for (const ArchiveTable& table : summary->tables) {
    const bool covered = table.covered && unsure.count({table.schema, table.name}) == 0;
    v1::TableExpectation* expected = inventory.details.add_tables();
    expected->set_schema(AsUtf8(table.schema));
    expected->set_name(AsUtf8(table.name));
    expected->set_level(LevelOf(covered, table.content_hash));
    expected->set_rows(table.rows);
    if (covered) expected->set_content_hash(table.content_hash);
    expected->set_columns(AsUtf8(table.columns));
    const auto counted = counts.find({table.schema, table.name});
    expected->set_counted_rows(counted == counts.end() ? -1 : counted->second);
    if (covered && counted != counts.end() && counted->second != table.rows) {
      return DataLoss("table {}.{}: the dump has {} rows, its snapshot {}", AsUtf8(table.schema),
                      AsUtf8(table.name), table.rows, counted->second);
    }
  }
  v1::LargeObjectExpectation& objects = *inventory.details.mutable_large_objects();
  if (objects.count() != summary->large_objects) {
    return DataLoss("the dump has {} large objects, its snapshot {}", summary->large_objects,
                    objects.count());
  }
  objects.set_bytes(summary->large_object_bytes);
  objects.set_content_hash(summary->large_object_hash);
  objects.set_level(LevelOf(true, summary->large_object_hash));
  return OkStatus();
}

void SummariseCoverage(const v1::DatabaseDetails& details, v1::Artifact& artifact) {
  constexpr int kNamesAtMost = 100;
  v1::CoverageSummary& coverage = *artifact.mutable_coverage();
  int64_t rows = 0;
  for (const v1::TableExpectation& table : details.tables()) {
    rows += table.rows();
    if (table.level() == v1::COVERAGE_LEVEL_EXACT) {
      coverage.set_exact(coverage.exact() + 1);
    } else if (table.level() == v1::COVERAGE_LEVEL_COUNT) {
      coverage.set_count(coverage.count() + 1);
    } else {
      coverage.set_none(coverage.none() + 1);
      coverage.set_not_covered_total(coverage.not_covered_total() + 1);
      if (coverage.not_covered_size() < kNamesAtMost)
        coverage.add_not_covered(table.schema() + "." + table.name());
    }
  }
  AddCount("row", rows, artifact.mutable_contents());
  AddCount("table", details.tables_size(), artifact.mutable_contents());
}

Status CheckUploadedBytes(const std::string& restic_output, int64_t bytes) {
  const std::string key = "\"total_bytes_processed\":";
  const size_t at = restic_output.rfind(key);
  if (at == std::string::npos) return OkStatus();
  int64_t uploaded = -1;
  const char* begin = restic_output.data() + at + key.size();
  std::from_chars(begin, restic_output.data() + restic_output.size(), uploaded);
  if (uploaded == bytes) return OkStatus();
  return DataLoss("{} bytes were dumped, restic read {}", bytes, uploaded);
}

}  // namespace salvor::agent
