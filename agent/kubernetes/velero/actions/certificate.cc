#include "agent/kubernetes/velero/actions/certificate.h"

#include <algorithm>

#include "agent/kubernetes/client/curl_access.h"
#include "base/io/steady_clock.h"
#include "base/redact.h"

namespace salvor::velero {
namespace {

constexpr absl::Duration kConnectAtMost = absl::Seconds(10);

int StopIfAsked(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

}  // namespace

Status CheckCertificate(const std::string& address, const kubernetes::Call& call,
                        const std::string& authorities) {
  const kubernetes::CurlEasy curl = kubernetes::NewCurlEasy();
  if (!curl) return Internal("libcurl does not start");
  const absl::Duration left = std::min(call.deadline - SteadyNow(), kConnectAtMost);
  if (left <= absl::ZeroDuration()) return DeadlineExceeded("there was no time left to look");
  std::stop_token stop = call.stop;
  char error_text[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, address.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "https");
  curl_easy_setopt(curl.get(), CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(left)) + 1);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, StopIfAsked);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &stop);
  if (!authorities.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_CAPATH, nullptr);  // else the machine's are trusted, too
    curl_easy_setopt(curl.get(), CURLOPT_CAINFO, authorities.c_str());
  }
  const CURLcode code = curl_easy_perform(curl.get());
  if (code == CURLE_OK) return OkStatus();
  if (stop.stop_requested()) return Cancelled("stopped on request");
  const std::string why = ReportableText(*error_text != '\0' ? error_text : curl_easy_strerror(code), 300);
  const bool is_trust =
      kubernetes::CurlError(code, error_text).code() == absl::StatusCode::kFailedPrecondition;
  return is_trust ? FailedPrecondition("{}", why) : Unavailable("{}", why);
}

}  // namespace salvor::velero
