// How text is to look: width, colour, what time it is. Everything that renders takes a Style and nothing else
// from its surroundings. Pure.
#pragma once

#include <absl/time/time.h>
#include <google/protobuf/timestamp.pb.h>

#include <map>
#include <string>
#include <string_view>

#include "proto/time.h"

namespace salvor::cli {

struct Style {
  int width = 0;  // columns; 0: not a terminal, nothing is shortened or wrapped
  bool color = false;
  bool wide = false;  // -o wide: more columns, absolute times
  bool headers = true;
  absl::Time now;
  absl::TimeZone zone = absl::UTCTimeZone();
};

enum class Tone { kPlain, kGood, kBad, kWarning, kActive, kDim, kStrong };

// The text in the tone's colour, or as it is.
std::string Paint(const Style& style, Tone tone, std::string_view text);

// --color when it says always or never; else by NO_COLOR, CLICOLOR_FORCE, CLICOLOR, TERM=dumb, and whether
// this is a terminal, in that order.
bool WantsColor(const std::string& flag, const std::map<std::string, std::string>& variables, bool is_tty);

// "3m ago", "in 5s", "just now", "-" when absent.
std::string Ago(const Style& style, bool present, const google::protobuf::Timestamp& time);

// "2026-11-21T11:15:00+01:00" in the style's zone, "-" when absent.
std::string Iso(const Style& style, bool present, const google::protobuf::Timestamp& time);

// "2026-11-21T11:15:00+01:00, 3m ago"; "-" when absent.
std::string Exact(const Style& style, bool present, const google::protobuf::Timestamp& time);

// Ago, or Iso when wide.
std::string When(const Style& style, bool present, const google::protobuf::Timestamp& time);

// "10:15:03" in the style's zone.
std::string ClockTime(const Style& style, absl::Time time);

}  // namespace salvor::cli
