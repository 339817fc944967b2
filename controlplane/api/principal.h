// Who asks. A transport finds out by whatever callers bring; every operation takes it, and records and logs say its name.
#pragma once

#include <string>

#include "salvor/v1/token.pb.h"

namespace salvor::controlplane {

struct Principal {
  std::string name;  // of the token that the call came with
  v1::TokenClass token_class = v1::TOKEN_CLASS_UNSPECIFIED;
};

}  // namespace salvor::controlplane
