#include "agent/kubernetes/client/curl_access.h"

#include <fmt/core.h>

#include <string>

#include "base/redact.h"

namespace salvor::kubernetes {
namespace {

constexpr long kConnectTimeoutMs = 10'000;
constexpr long kIdleBeforeProbeS = 30;
constexpr long kBetweenProbesS = 10;

void SetPem(CURL* easy, CURLoption option, const std::string& pem) {
  if (pem.empty()) return;
  curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};
  curl_easy_setopt(easy, option, &blob);
}

}  // namespace

CurlEasy NewCurlEasy() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == 0;
  return CurlEasy(ready ? curl_easy_init() : nullptr);
}

void SetAccess(CURL* easy, const ClusterAccess& access, const std::string& url, char* error_text) {
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "salvor");
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, kIdleBeforeProbeS);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, kBetweenProbesS);
  curl_easy_setopt(easy, CURLOPT_PROXY, access.proxy_url.c_str());  // "" is none, also with http_proxy set
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "");  // neither is a way around the proxy taken from there
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
  error_text[0] = '\0';
  if (!access.ca_pem.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAPATH,
                     nullptr);  // else the machine's authorities are trusted beside this one
    SetPem(easy, CURLOPT_CAINFO_BLOB, access.ca_pem);
  }
  SetPem(easy, CURLOPT_SSLCERT_BLOB, access.client_certificate_pem);
  SetPem(easy, CURLOPT_SSLKEY_BLOB, access.client_key_pem);
  curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");  // without one, libcurl 7.88 dies of a key that is encrypted
}

Status CurlError(CURLcode code, const char* error_text) {
  const std::string why = ReportableText(*error_text != '\0' ? error_text : curl_easy_strerror(code), 300);
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return WithHint(FailedPrecondition("the API server's certificate is not trusted: {}", why),
                      "Check the server's address and the certificate authority of the kubeconfig.");
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return WithHint(FailedPrecondition("the certificates of the kubeconfig cannot be used: {}", why),
                      "Check that they are whole, in PEM, and that key and certificate belong together.");
    case CURLE_URL_MALFORMAT:
      return InvalidArgument("the API server's address cannot be used: {}", why);
    case CURLE_UNSUPPORTED_PROTOCOL:  // the address was checked before: this is about the answer
      return WithHint(Unavailable("the API server answers in another protocol than HTTP: {}", why),
                      "Check the server's address and port.");
    default:
      return WithHint(Unavailable("the API server does not answer: {}", why),
                      "Check that the API server runs and can be reached from this host.");
  }
}

bool NothingWasSent(CURLcode code) {
  return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY ||
         code == CURLE_COULDNT_CONNECT || code == CURLE_SSL_CONNECT_ERROR;
}

}  // namespace salvor::kubernetes
