// Tells UTF-8 from other bytes as Go's decoder does: restic keeps texts, and a text that is not UTF-8 is not kept as it
// was. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace salvor::agent {

// Bytes of the UTF-8 sequence at the start of a text; 0 when there is none.
size_t Utf8SequenceLength(std::string_view text);

bool IsUtf8(std::string_view text);

}  // namespace salvor::agent
