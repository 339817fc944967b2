// Everything the program has from its surroundings, so that a test can be them.
#pragma once

#include <absl/time/time.h>

#include <functional>
#include <istream>
#include <map>
#include <ostream>
#include <string>

#include "base/clock.h"

namespace salvor::cli {

struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

// Ctrl-C, while somebody waits. Outside of waiting it ends the program as it always does.
class InterruptSource {
 public:
  virtual ~InterruptSource() = default;
  // An interrupt is only noted from now on; a second one ends the program.
  virtual void Catch() = 0;
  virtual void Release() = 0;
  virtual bool Raised() const = 0;
};

// Owns nothing; the pointers outlive the call of RunCli.
struct Environment {
  std::map<std::string, std::string> variables;
  std::istream* in = nullptr;
  std::ostream* out = nullptr;  // data
  std::ostream* err = nullptr;  // talk
  bool in_is_tty = false;
  bool out_is_tty = false;
  bool err_is_tty = false;
  std::function<TerminalSize()> size = [] { return TerminalSize(); };
  const Clock* clock = nullptr;
  absl::TimeZone zone = absl::UTCTimeZone();
  InterruptSource* interrupts = nullptr;  // may be null

  std::string Variable(const std::string& name) const {
    const auto found = variables.find(name);
    return found == variables.end() ? "" : found->second;
  }
};

}  // namespace salvor::cli
