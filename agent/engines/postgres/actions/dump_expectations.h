// Turns what was seen of a dump into what a restored copy must equal. Part of the dump action.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/engines/postgres/actions/dump_counter.h"
#include "agent/engines/postgres/archive_stream.h"
#include "agent/engines/postgres/inventory.h"
#include "base/status.h"
#include "salvor/v1/manifest.pb.h"

namespace salvor::agent {

using TableNames = std::set<std::pair<std::string, std::string>>;  // by schema and name

// The same with names and column lists in the encoding of the session's texts. `session` is one with the
// dumped database, whose own encoding is the archive's.
StatusOr<ArchiveSummary> InTextEncoding(Connection& session, ArchiveSummary summary);

// Tables, rows, hashes and levels of `inventory.details`, and where its sequences stand. DataLoss when the dump
// lacks a table of the snapshot, or has another number of rows than SQL counted in it. `summary` is null when
// nobody could look inside. Nothing is promised of the rows of `unsure` tables.
Status FillExpectations(const ArchiveSummary* summary, Inventory& inventory, const RowCounter::Counts& counts,
                        const TableNames& unsure, std::vector<std::string>& warnings);

// Rows, tables and coverage of the dump's artifact.
void SummariseCoverage(const v1::DatabaseDetails& details, v1::Artifact& artifact);

// Compares with what restic says it read, when it says so.
Status CheckUploadedBytes(const std::string& restic_output, int64_t bytes);

}  // namespace salvor::agent
