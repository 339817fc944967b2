#include "agent/kubernetes/movers/mover_output.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/text.h"

namespace salvor::movers {
namespace {

// The text up to the next space, which goes too.
std::string_view TakeWord(std::string_view& rest) {
  const size_t end = rest.find(' ');
  const std::string_view word = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return word;
}

template <typename Number>
std::optional<Number> ReadNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::string OneWord(std::string_view source) {
  std::string word = CleanText(source);
  for (char& letter : word) {
    if (letter == ' ') letter = '-';
  }
  return word.empty() ? "?" : word;
}

}  // namespace

std::string LogLine(std::string_view source, std::string_view text) {
  return fmt::format("log {} {}", OneWord(source), CleanText(text));
}

std::string ProgressLine(const v1::Progress& progress) {
  return fmt::format("progress {} {} {}", progress.bytes_done(), progress.bytes_total(),
                     CleanText(progress.message()));
}

std::string ResultLine(int number, std::string_view part) {
  return fmt::format("result {} {}", number, part);
}

OutputLine ReadLine(std::string_view line) {
  OutputLine read;
  std::string_view rest = line;
  const std::string_view word = TakeWord(rest);
  if (word == "log" && !rest.empty()) {
    read.kind = OutputLine::Kind::kLog;
    read.source = std::string(TakeWord(rest));
    read.text = std::string(rest);
    return read;
  }
  if (word == "progress") {
    const auto done = ReadNumber<int64_t>(TakeWord(rest));
    const auto total = ReadNumber<int64_t>(TakeWord(rest));
    if (done.has_value() && total.has_value()) {
      read.kind = OutputLine::Kind::kProgress;
      read.progress.set_bytes_done(*done);
      read.progress.set_bytes_total(*total);
      read.progress.set_message(ValidUtf8(rest));
      return read;
    }
  }
  if (word == "result") {
    if (const auto number = ReadNumber<int>(TakeWord(rest)); number.has_value() && *number > 0) {
      read.kind = OutputLine::Kind::kResult;
      read.number = *number;
      read.text = std::string(rest);
      return read;
    }
  }
  read.text = std::string(line);
  return read;
}

}  // namespace salvor::movers
