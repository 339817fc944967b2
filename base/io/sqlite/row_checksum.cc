#include "base/io/sqlite/row_checksum.h"

#include <xxhash.h>

#include <memory>

namespace salvor {

int64_t RowChecksum(std::initializer_list<std::string_view> parts) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  for (const std::string_view part : parts) {
    uint8_t length[8];
    for (int i = 0; i < 8; ++i)
      length[i] = static_cast<uint8_t>(static_cast<uint64_t>(part.size()) >> (8 * i));
    XXH3_64bits_update(state.get(), length, sizeof length);
    XXH3_64bits_update(state.get(), part.data(), part.size());
  }
  return static_cast<int64_t>(XXH3_64bits_digest(state.get()));
}

std::string RowDamage(const SqliteStatement& row, int checksum_column,
                      std::initializer_list<std::string_view> parts) {
  if (row.IsNull(checksum_column) || row.Int(checksum_column) == RowChecksum(parts)) return "";
  return "its checksum differs: the bytes changed on the disk";
}

}  // namespace salvor
