#include "agent/actions/postgres_dump_expectations.h"

#include <charconv>
#include <set>

#include "agent/actions/postgres_common.h"

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

Status FillExpectations(const ArchiveStream* archive, Inventory& inventory, const RowCounter::Counts& counts,
                        std::vector<std::string>& warnings) {
  if (archive == nullptr || !archive->Readable()) {
    if (archive != nullptr) warnings.push_back("rows and content are not covered: " + archive->Why());
    ExpectNothingOfRows(inventory);
    return OkStatus();
  }
  const ArchiveSummary& summary = archive->Summary();
  RETURN_IF_ERROR(CheckNothingIsMissing(summary, inventory, warnings));
  for (const ArchiveTable& table : summary.tables) {
    v1::TableExpectation* expected = inventory.details.add_tables();
    expected->set_schema(AsUtf8(table.schema));
    expected->set_name(AsUtf8(table.name));
    expected->set_level(LevelOf(table.covered, table.content_hash));
    expected->set_rows(table.rows);
    expected->set_content_hash(table.content_hash);
    expected->set_columns(AsUtf8(table.columns));
    const auto counted = counts.find({table.schema, table.name});
    expected->set_counted_rows(counted == counts.end() ? -1 : counted->second);
    if (table.covered && counted != counts.end() && counted->second != table.rows) {
      return DataLoss("table {}.{}: the dump has {} rows, its snapshot {}", AsUtf8(table.schema),
                      AsUtf8(table.name), table.rows, counted->second);
    }
  }
  v1::LargeObjectExpectation& objects = *inventory.details.mutable_large_objects();
  if (objects.count() != summary.large_objects) {
    return DataLoss("the dump has {} large objects, its snapshot {}", summary.large_objects, objects.count());
  }
  objects.set_bytes(summary.large_object_bytes);
  objects.set_content_hash(summary.large_object_hash);
  objects.set_level(LevelOf(true, summary.large_object_hash));
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
  artifact.set_rows(rows);
  artifact.set_tables(details.tables_size());
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
