// Runs and backups of a small shop, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "salvor/v1/control_service.pb.h"
#include "tools/cli/terminal/style.h"

namespace salvor::cli {

// Protobuf's text format as a message; a test failure when it is none.
template <typename Message>
Message FromText(const std::string& text);

v1::Run RunningBackup();   // db is dumped, files are done, at 10:15:40
v1::Run PartialBackup();   // the dump of "audit" failed
v1::Run SucceededDrill();  // all checks passed
v1::Run DisprovenDrill();  // one check failed, one is unverifiable
v1::Run PartialRestore();  // a foreign key and a table's rows were left out, all else is well
// The run with the verdict that the control plane gives a run that ended so; the backup of a drill is complete and not
// in doubt.
v1::Run AsJudged(v1::Run run);
v1::Backup CompleteBackup();  // unproven
v1::Backup PartialBackupRecord();

// 2026-11-21 10:15:40 UTC, without colour.
Style StyleOf(int width);

// Compares with testdata/<name>; with SALVOR_UPDATE_GOLDEN=1 writes it instead, to be read before it is kept.
void ExpectGolden(const std::string& name, const std::string& text);

// No line is wider than this.
void ExpectFits(const std::string& text, int columns);

}  // namespace salvor::cli
