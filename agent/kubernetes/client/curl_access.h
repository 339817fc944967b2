// The access as libcurl's options. Used by the files that speak to libcurl.
#pragma once

#include <curl/curl.h>

#include <memory>

#include "agent/kubernetes/client/cluster_access.h"
#include "base/status.h"

namespace salvor::kubernetes {

struct CurlDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlEasy = std::unique_ptr<CURL, CurlDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlDeleter>;

// A handle, or nullptr; libcurl is readied at the first call.
CurlEasy NewCurlEasy();

// Server, proxy, certificates, and what holds for every connection. `url` and `access` must outlive the transfer;
// `error_text` has CURL_ERROR_SIZE bytes and must do so, too.
void SetAccess(CURL* easy, const ClusterAccess& access, const std::string& url, char* error_text);

// Why libcurl gave up: kUnavailable where it may be different later, else what to mend. `error_text` is libcurl's own.
Status CurlError(CURLcode code, const char* error_text);

// Whether nothing of the request can have reached the server.
bool NothingWasSent(CURLcode code);

}  // namespace salvor::kubernetes
