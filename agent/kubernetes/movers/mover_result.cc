#include "agent/kubernetes/movers/mover_result.h"

#include <absl/strings/escaping.h>

#include <nlohmann/json.hpp>

#include "agent/kubernetes/velero/reading.h"
#include "base/io/sha256.h"
#include "base/text.h"

namespace salvor::movers {
namespace {

using kubernetes::Json;

constexpr int kFormat = 1;
constexpr size_t kPartBytes = 8 << 10;
constexpr size_t kMostResultBytes = 8 << 20;  // in base64; the control plane takes 4 MiB of a result

Status NotWhole(const std::string& why) {
  return WithHint(Aborted("the mover's result is not whole: {}", why),
                  "The next attempt does it again; the Job's pod may have been removed or killed.");
}

// A mover says what became of its attempt, and nothing about places or about Velero.
v1::ActionResult OnlyItsOwn(v1::ActionResult said) {
  v1::ActionResult result;
  if (said.has_error()) *result.mutable_error() = std::move(*said.mutable_error());
  *result.mutable_artifacts() = std::move(*said.mutable_artifacts());
  *result.mutable_checks() = std::move(*said.mutable_checks());
  *result.mutable_warnings() = std::move(*said.mutable_warnings());
  result.set_note(said.note());
  *result.mutable_not_built() = std::move(*said.mutable_not_built());
  result.set_not_built_left_out(said.not_built_left_out());
  *result.mutable_missing() = std::move(*said.mutable_missing());
  return result;
}

}  // namespace

EncodedResult EncodeResult(const std::string& job, const v1::ActionResult& result) {
  const std::string text = absl::Base64Escape(result.SerializeAsString());
  Json message = {{"format", kFormat}, {"job", job}, {"sha256", ToHex(Sha256::Of(text))}};
  EncodedResult encoded;
  message["result"] = text;
  encoded.message = message.dump();
  if (encoded.message.size() <= kMostMessageBytes) return encoded;
  message.erase("result");
  for (size_t at = 0; at < text.size(); at += kPartBytes)
    encoded.parts.push_back(text.substr(at, kPartBytes));
  message["parts"] = encoded.parts.size();
  encoded.message = message.dump();
  return encoded;
}

StatusOr<TerminationMessage> ReadTermination(std::string_view message, const std::string& job) {
  if (message.empty()) return NotWhole("it left no termination message");
  const Json json = Json::parse(message, nullptr, false);
  if (!json.is_object()) return NotWhole("its termination message is cut short, or of something else");
  if (velero::NumberAt(json, {"format"}) != kFormat)
    return NotWhole("its termination message is of another format");
  if (kubernetes::TextAt(json, {"job"}) != job) return NotWhole("its termination message is of another Job");
  TerminationMessage read;
  read.sha256 = kubernetes::TextAt(json, {"sha256"});
  read.result = kubernetes::TextAt(json, {"result"});
  const int64_t parts = velero::NumberAt(json, {"parts"});
  if (parts > static_cast<int64_t>(kMostResultBytes / kPartBytes)) return NotWhole("it is too large");
  read.parts = static_cast<int>(parts);
  return read;
}

StatusOr<v1::ActionResult> DecodeResult(const TerminationMessage& message,
                                        const std::map<int, std::string>& parts) {
  std::string text = message.result;
  for (int number = 1; number <= message.parts; ++number) {
    const auto part = parts.find(number);
    if (part == parts.end())
      return NotWhole(fmt::format("part {} of {} is not in its log", number, message.parts));
    text += part->second;
    if (text.size() > kMostResultBytes) return NotWhole("it is too large");
  }
  if (ToHex(Sha256::Of(text)) != message.sha256) return NotWhole("it has another digest than the mover said");
  std::string bytes;
  v1::ActionResult said;
  if (!absl::Base64Unescape(text, &bytes) || !said.ParseFromString(bytes))
    return NotWhole("it can't be read");
  return OnlyItsOwn(std::move(said));
}

}  // namespace salvor::movers
