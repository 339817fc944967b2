// From what was seen of a dump to what a restored copy must equal. Part of the dump action.
#pragma once

#include <string>
#include <vector>

#include "agent/actions/postgres_dump_counter.h"
#include "agent/postgres/archive_stream.h"
#include "agent/postgres/inventory.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

// Tables, rows, hashes and levels of `inventory.details`. DataLoss when the dump lacks a table of the
// snapshot, or has another number of rows than SQL counted in it. `archive` is null when nobody looked
// inside.
Status FillExpectations(const ArchiveStream* archive, Inventory& inventory, const RowCounter::Counts& counts,
                        std::vector<std::string>& warnings);

// Rows, tables and coverage of the dump's artifact.
void SummariseCoverage(const v1::DatabaseDetails& details, v1::Artifact& artifact);

// Compares with what restic says it read, when it says so.
Status CheckUploadedBytes(const std::string& restic_output, int64_t bytes);

}  // namespace salvor::agent
