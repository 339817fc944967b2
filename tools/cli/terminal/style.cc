#include "tools/cli/terminal/style.h"

#include <fmt/core.h>

#include "base/text.h"

namespace salvor::cli {
namespace {

const char* CodeOf(Tone tone) {
  switch (tone) {
    case Tone::kPlain:
      return "";
    case Tone::kGood:
      return "32";
    case Tone::kBad:
      return "31";
    case Tone::kWarning:
      return "33";
    case Tone::kActive:
      return "36";
    case Tone::kDim:
      return "2";
    case Tone::kStrong:
      return "1";
  }
  return "";
}

std::string Get(const std::map<std::string, std::string>& variables, const std::string& name) {
  const auto found = variables.find(name);
  return found == variables.end() ? "" : found->second;
}

// Coarse on purpose: nobody reads the seconds of something that is three days old.
std::string Coarse(absl::Duration duration) {
  const int64_t s = absl::ToInt64Seconds(duration);
  if (s < 120) return fmt::format("{}s", s);
  if (s < 2 * 3600) return fmt::format("{}m", s / 60);
  if (s < 2 * 86400) return fmt::format("{}h", s / 3600);
  return fmt::format("{}d", s / 86400);
}

}  // namespace

std::string Paint(const Style& style, Tone tone, std::string_view text) {
  if (!style.color || tone == Tone::kPlain || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", CodeOf(tone), text);
}

bool WantsColor(const std::string& flag, const std::map<std::string, std::string>& variables, bool is_tty) {
  if (flag == "always") return true;
  if (flag == "never") return false;
  if (!Get(variables, "NO_COLOR").empty()) return false;
  const std::string force = Get(variables, "CLICOLOR_FORCE");
  if (!force.empty() && force != "0") return true;
  if (Get(variables, "CLICOLOR") == "0") return false;
  return is_tty && Get(variables, "TERM") != "dumb";
}

std::string Ago(const Style& style, bool present, const google::protobuf::Timestamp& time) {
  if (!present) return "-";
  const absl::Duration age = style.now - FromProto(time);
  if (age < -absl::Seconds(1)) return "in " + Coarse(-age);  // another machine's clock
  if (age < absl::Seconds(1)) return "just now";
  return Coarse(age) + " ago";
}

std::string Iso(const Style& style, bool present, const google::protobuf::Timestamp& time) {
  if (!present) return "-";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%S%Ez", FromProto(time), style.zone);
}

std::string Exact(const Style& style, bool present, const google::protobuf::Timestamp& time) {
  return present ? Iso(style, true, time) + ", " + Ago(style, true, time) : "-";
}

std::string When(const Style& style, bool present, const google::protobuf::Timestamp& time) {
  return style.wide ? Iso(style, present, time) : Ago(style, present, time);
}

std::string ClockTime(const Style& style, absl::Time time) {
  return absl::FormatTime("%H:%M:%S", time, style.zone);
}

}  // namespace salvor::cli
