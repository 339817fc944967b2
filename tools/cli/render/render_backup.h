// Backups as text. Pure.
#pragma once

#include <string>

#include "salvor/v1/control_service.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

std::string RenderBackupTable(const v1::ListBackupsResponse& backups, const Style& style);

// Coverage, verification, per component what was kept and of which instant, artifacts, what is missing.
std::string RenderBackup(const v1::Backup& backup, const Style& style);

// The components of a backup: bytes, rows, tables, files, coverage.
std::string RenderComponents(const v1::Manifest& manifest, const Style& style);

// "missing" with each artifact that was planned and is not there, and why; empty when there is none.
std::string RenderMissing(const v1::Manifest& manifest, const Style& style);

// The command one would run next for this backup; empty when there is none.
std::string NextForBackup(const v1::Backup& backup);

}  // namespace salvor::cli
