// Makes events as they were. An event keeps what its session had: mode, time zone, character sets.
#pragma once

#include <absl/time/time.h>

#include <string>
#include <vector>

#include "agent/engines/mariadb/session.h"
#include "base/status.h"
#include "salvor/v1/mariadb_details.pb.h"

namespace salvor::agent {

// Makes it, or makes it anew, with this state. The session has its database afterwards, by which views are printed otherwise. `as_of` is the time that the server takes for now: one whose only time has
// passed is not made otherwise. The session's settings are others afterwards.
Status MakeEvent(MariadbSession& session, const v1::MariadbEvent& event, const std::string& state,
                 const v1::MariadbDatabase& of, absl::Time as_of);

// The error of a server that does not know the event's time zone.
inline constexpr unsigned int kUnknownTimeZone = 1298;

}  // namespace salvor::agent
