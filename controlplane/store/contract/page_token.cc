#include "controlplane/store/contract/page_token.h"

#include <absl/strings/escaping.h>
#include <absl/strings/numbers.h>

#include "base/io/sha256.h"

namespace salvor::controlplane {
namespace {

constexpr size_t kCheckBytes =
    9;  // no padding with the usual places, and no chance that another list's passes

std::string CheckOf(std::string_view list, std::string_view place) {
  return Sha256::Of(fmt::format("{}:{}{}", list.size(), list, place)).substr(0, kCheckBytes);
}

Status Refusal() {
  return WithHint(InvalidArgument("the page token is damaged, or of another list"),
                  "Begin again without a page token, and keep the filters the same from page to page.");
}

}  // namespace

std::string MakePageToken(std::string_view list, std::string_view place) {
  return absl::WebSafeBase64Escape(CheckOf(list, place) + std::string(place));
}

StatusOr<std::string> ReadPageToken(std::string_view list, std::string_view token) {
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(absl::string_view(token.data(), token.size()), &bytes) ||
      bytes.size() < kCheckBytes)
    return Refusal();
  std::string place = bytes.substr(kCheckBytes);
  if (bytes.compare(0, kCheckBytes, CheckOf(list, place)) != 0) return Refusal();
  return place;
}

StatusOr<std::optional<int64_t>> ReadNumberToken(std::string_view list, std::string_view token) {
  if (token.empty()) return std::optional<int64_t>();
  ASSIGN_OR_RETURN(const std::string place, ReadPageToken(list, token));
  int64_t number = 0;
  if (!absl::SimpleAtoi(place, &number)) return Refusal();
  return std::optional<int64_t>(number);
}

std::string NameOfList(const RunFilter& filter) {
  std::string list = fmt::format("runs\n{}\n{}\n{}\n{}", filter.application, filter.environment,
                                 static_cast<int>(filter.kind), filter.active_only);
  for (const v1::RunPhase phase : filter.phases) list += fmt::format("\n{}", static_cast<int>(phase));
  for (const v1::Verdict verdict : filter.verdicts)
    list += fmt::format("\nverdict {}", static_cast<int>(verdict));
  return list;
}

}  // namespace salvor::controlplane
