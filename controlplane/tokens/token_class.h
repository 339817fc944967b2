// What a person's token lets them do, in words. Each class holds all that the ones before it hold.
#pragma once

#include <string_view>

#include "salvor/v1/token.pb.h"

namespace salvor::controlplane {

inline std::string_view ClassWord(v1::TokenClass token_class) {
  switch (token_class) {
    case v1::TOKEN_CLASS_VIEW:
      return "view";
    case v1::TOKEN_CLASS_OPERATE:
      return "operate";
    case v1::TOKEN_CLASS_APPROVE:
      return "approve";
    case v1::TOKEN_CLASS_ADMINISTER:
      return "administer";
    default:
      return "none";
  }
}

}  // namespace salvor::controlplane
