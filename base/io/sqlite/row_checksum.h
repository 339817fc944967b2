// A checksum a row, so that bytes that changed on the disk are noticed although they still parse. It detects damage,
// not intent: who can write the file can write the checksum.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/io/sqlite/database.h"

namespace salvor {

// XXH3-64 over the parts, each after its length: key columns first, so that a body under another's key is noticed too.
int64_t RowChecksum(std::initializer_list<std::string_view> parts);

// Why the row is not as it was written, by the checksum in that column; empty where it is, or was written without one.
std::string RowDamage(const SqliteStatement& row, int checksum_column,
                      std::initializer_list<std::string_view> parts);

}  // namespace salvor
