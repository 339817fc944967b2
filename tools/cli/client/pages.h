// Lists that come in pages, read to the end or up to a limit.
#pragma once

#include <algorithm>
#include <utility>

#include "tools/cli/client/client.h"

namespace salvor::cli {

// Reads at most `limit` items (0: all) by as many calls as it takes. `items` gives a response's list. The answer's
// next_page_token says whether more follow.
template <typename Request, typename Response, typename Items>
StatusOr<Response> ReadPages(Client& client,
                             grpc::Status (v1::ControlService::Stub::*method)(grpc::ClientContext*,
                                                                              const Request&, Response*),
                             Request request, int limit, const Items& items) {
  constexpr int kPageSize = 500;
  Response all;
  do {
    const int missing = limit == 0 ? kPageSize : limit - items(all)->size();
    request.set_page_size(std::min(missing, kPageSize));
    ASSIGN_OR_RETURN(Response page, client.Call(method, request));
    for (auto& item : *items(page)) *items(all)->Add() = std::move(item);
    request.set_page_token(page.next_page_token());
    all.set_next_page_token(page.next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || items(all)->size() < limit));
  return all;
}

// All that the request's filters let through, the newest first.
inline StatusOr<v1::ListBackupsResponse> ReadBackups(Client& client, const v1::ListBackupsRequest& request,
                                                     int limit = 0) {
  return ReadPages(client, &ControlStub::ListBackups, request, limit,
                   [](v1::ListBackupsResponse& page) { return page.mutable_backups(); });
}

inline StatusOr<v1::ListRunsResponse> ReadRuns(Client& client, v1::ListRunsRequest request, int limit) {
  request.set_limit(limit);  // a control plane of 0.1 knows no pages
  return ReadPages(client, &ControlStub::ListRuns, std::move(request), limit,
                   [](v1::ListRunsResponse& page) { return page.mutable_runs(); });
}

}  // namespace salvor::cli
