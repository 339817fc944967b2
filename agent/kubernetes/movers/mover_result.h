// What a mover hands back: its termination message, of which Kubernetes keeps 4096 bytes. A result that has no room there lies
// in the last lines of the mover's output, and the message says how many, and what they must come to. Pure.
//
//   {"format":1,"job":"mover-db-dump-shop-0123456789abcdef","sha256":"…","result":"CgYIAx…"}
//   {"format":1,"job":"mover-db-dump-shop-0123456789abcdef","sha256":"…","parts":3}
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "salvor/v1/action.pb.h"

namespace salvor::movers {

inline constexpr size_t kMostMessageBytes = 4096;

struct EncodedResult {
  std::string message;             // of the termination
  std::vector<std::string> parts;  // by ResultLine, from 1; none where the message has the result
};

EncodedResult EncodeResult(const std::string& job, const v1::ActionResult& result);

struct TerminationMessage {
  std::string sha256;  // hex
  std::string result;  // base64; empty: it is in the output
  int parts = 0;
};

// Aborted, which is worth another attempt, for what is empty, cut short, no message of a mover, or of another Job than
// this one.
StatusOr<TerminationMessage> ReadTermination(std::string_view message, const std::string& job);

// `parts` by their numbers: what ReadLine read of the output. Only what an attempt may say is taken over. Aborted when
// anything is missing or differs from what the message says.
StatusOr<v1::ActionResult> DecodeResult(const TerminationMessage& message,
                                        const std::map<int, std::string>& parts);

}  // namespace salvor::movers
