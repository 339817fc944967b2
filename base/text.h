// Text for people and stable encodings. Pure.
#pragma once

#include <absl/time/time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace salvor {

std::string Join(const std::vector<std::string>& parts, std::string_view separator);

// Pieces between separators; an empty text has none, "a,,b" has three.
std::vector<std::string> Split(std::string_view text, char separator);

std::string_view Trim(std::string_view text);

// "1.1 GiB", "512 B": at most four significant characters.
std::string HumanBytes(int64_t bytes);

// "430ms", "12.3s", "2m05s", "3h07m".
std::string HumanDuration(absl::Duration duration);

// Go's notation ("90s", "1h30m", "250ms"); nothing for anything else or a negative one.
std::optional<absl::Duration> ParseDuration(std::string_view text);

// Lower-case hexadecimal; FromHex gives nothing for odd lengths or other characters.
std::string ToHex(std::string_view bytes);
std::optional<std::string> FromHex(std::string_view hex);

// Bytes as printable ASCII, so that they can be read back: everything else, and '%', becomes %XX. For what is kept, and for
// names of files, which may be any bytes. What a person declared is shown by CleanText.
std::string PercentEncode(std::string_view bytes);
std::optional<std::string> PercentDecode(std::string_view text);

// An argv as a person would type it, for messages only.
std::string QuoteArgv(const std::vector<std::string>& argv);

// The text as valid UTF-8: each byte that is none, or begins a sequence that is cut short, becomes "\\xF6".
std::string ValidUtf8(std::string_view bytes);

// The text on one line, harmless and as it was written: control characters, bidirectional overrides and broken UTF-8
// become \\xNN; tabs and line ends become a space.
std::string CleanText(std::string_view text);

// The text in at most `most` bytes, cut in the middle with " … " and never inside a UTF-8 sequence.
std::string Elide(std::string_view text, size_t most);

}  // namespace salvor
