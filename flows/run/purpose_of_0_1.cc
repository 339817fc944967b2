#include "flows/run/purpose_of_0_1.h"

#include <utility>

namespace salvor::flows {

v1::Purpose PurposeOf01(std::string_view action_kind) {
  // 0.1 named the actions of all engines alike; what each ends with says what it does.
  static constexpr std::pair<std::string_view, v1::Purpose> kEndings[] = {
      {"_preflight", v1::PURPOSE_PREFLIGHT},    {"_target_check", v1::PURPOSE_GUARD},
      {"_globals", v1::PURPOSE_CAPTURE},        {"_dump", v1::PURPOSE_CAPTURE},
      {"_backup", v1::PURPOSE_CAPTURE},         {"_restore", v1::PURPOSE_RESTORE},
      {"_restore_roles", v1::PURPOSE_RESTORE},  {"_verify", v1::PURPOSE_VERIFY},
      {"location_open", v1::PURPOSE_PREPARE},   {"scratch_start", v1::PURPOSE_PREPARE},
      {"scratch_stop", v1::PURPOSE_UNDO},       {"manifest_write", v1::PURPOSE_RECORD},
      {"application_checks", v1::PURPOSE_CHECK}};
  for (const auto& [ending, purpose] : kEndings) {
    if (action_kind.ends_with(ending)) return purpose;
  }
  return v1::PURPOSE_UNSPECIFIED;
}

}  // namespace salvor::flows
