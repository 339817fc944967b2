#include "agent/probes/application_http_check.h"

#include <curl/curl.h>
#include <fmt/core.h>

#include <memory>

namespace salvor::agent {
namespace {

constexpr size_t kBodyAtMost = 1 << 20;
constexpr long kTimeoutMs = 30'000;

size_t KeepBody(char* data, size_t size, size_t count, void* target) {
  auto* body = static_cast<std::string*>(target);
  if (body->size() + size * count > kBodyAtMost) return 0;  // ends the transfer with an error
  body->append(data, size * count);
  return size * count;
}

int StopIfAsked(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

}  // namespace

std::string AskHttp(const v1::HttpCheck& probe, const std::stop_token& stop) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == 0;
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(ready ? curl_easy_init() : nullptr, curl_easy_cleanup);
  if (!curl) return "libcurl does not start";
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, probe.url().c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "salvor");
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, KeepBody);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, StopIfAsked);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &stop);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) return fmt::format("no answer: {}", curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  const long expected = probe.expect_status() == 0 ? 200 : probe.expect_status();
  if (status != expected) return fmt::format("answered with status {} instead of {}", status, expected);
  if (body.find(probe.expect_body()) == std::string::npos) return "the answer lacks the expected text";
  return "";
}

}  // namespace salvor::agent
