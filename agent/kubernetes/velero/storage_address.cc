#include "agent/kubernetes/velero/storage_address.h"

#include <algorithm>
#include <string_view>

#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr std::string_view kScheme = "https://";

bool IsNumeric(std::string_view host) {
  return host.front() == '[' || std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= '0' && c <= '9') || c == '.' || c == ':';
         });
}

}  // namespace

std::string RecordsAddress(const Json& location) {
  const std::string provider = TextAt(location, {"spec", "provider"});
  if (provider != "aws" && provider != "velero.io/aws") return "";
  // Velero signs addresses of the public one, where there is one.
  std::string url = TextAt(location, {"spec", "config", "publicUrl"});
  if (url.empty()) url = TextAt(location, {"spec", "config", "s3Url"});
  if (url.rfind(kScheme, 0) != 0) return "";
  std::string host = url.substr(kScheme.size());
  host = host.substr(0, host.find_first_of("/?#"));
  if (host.empty() || host.find('@') != std::string::npos) return "";
  const std::string bucket = TextAt(location, {"spec", "objectStorage", "bucket"});
  const bool in_path = TextAt(location, {"spec", "config", "s3ForcePathStyle"}) == "true" ||
                       IsNumeric(host) || bucket.empty() || bucket.find('.') != std::string::npos;
  return fmt::format("{}{}{}/", kScheme, in_path ? "" : bucket + ".", host);
}

}  // namespace salvor::velero
