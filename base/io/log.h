// The program's own log: one line a record on stderr, for operators. Tools' output goes with the run instead
// (agent/work/action.h). Thread-safe. spdlog stays behind this header.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace salvor {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning", "error" or, for a simulator whose programs are ill all day, "off"; anything else is info. Call once, before the first record.
void InitLog(std::string_view program, std::string_view level);

void LogText(LogLevel level, std::string_view text);

template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  LogText(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  LogText(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  LogText(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace salvor
