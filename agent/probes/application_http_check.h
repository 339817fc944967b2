// One HTTP probe. libcurl stays behind this header.
#pragma once

#include <stop_token>
#include <string>

#include "salvor/v1/object.pb.h"

namespace salvor::agent {

// "" when the application answered as expected, else what was wrong. No redirects, http and https only, at
// most 30 s and 1 MiB.
std::string AskHttp(const v1::HttpCheck& probe, const std::stop_token& stop);

}  // namespace salvor::agent
