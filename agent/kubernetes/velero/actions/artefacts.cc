#include "agent/kubernetes/velero/actions/artefacts.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "agent/kubernetes/client/curl_access.h"
#include "agent/kubernetes/client/wait.h"
#include "agent/kubernetes/velero/resources.h"
#include "base/text.h"

namespace salvor::velero {
namespace {

constexpr size_t kCompressedAtMost = 16 << 20, kRecordAtMost = 64 << 20;
constexpr long kConnectMs = 10'000;
constexpr absl::Duration kTransferAtMost = absl::Minutes(5), kRemoveWithin = absl::Seconds(5);

struct Transfer {
  std::string body;
  bool too_large = false;
  const std::stop_token& stop;
};

size_t Keep(char* data, size_t size, size_t count, void* target) {
  auto* transfer = static_cast<Transfer*>(target);
  transfer->too_large = transfer->body.size() + size * count > kCompressedAtMost;
  if (transfer->too_large) return 0;  // ends the transfer with an error
  transfer->body.append(data, size * count);
  return size * count;
}

int StopIfAsked(void* target, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(target)->stop.stop_requested() ? 1 : 0;
}

Status ErrorOf(CURLcode code, long answer, const Transfer& transfer) {
  if (transfer.stop.stop_requested()) return Cancelled("stopped on request");
  if (transfer.too_large) return ResourceExhausted("it is larger than {}", HumanBytes(kCompressedAtMost));
  const Status failed = code == CURLE_OK ? OkStatus() : kubernetes::CurlError(code, "");
  if (failed.code() == absl::StatusCode::kFailedPrecondition) {  // waiting mends no certificate
    return WithHint(
        FailedPrecondition("the storage location's certificate is not trusted: {}", curl_easy_strerror(code)),
        "Make the agent's host or image trust the authority that signed it: caCert of the storage location is for "
        "Velero alone.");
  }
  if (failed.code() == absl::StatusCode::kInvalidArgument)
    return InvalidArgument("the storage location's address cannot be used: {}", curl_easy_strerror(code));
  if (!failed.ok()) {
    return WithHint(
        Unavailable("the storage location does not answer: {}", curl_easy_strerror(code)),
        "Salvor's agent has to reach the address that Velero signs: publicUrl of the storage location if "
        "it is set, else s3Url.");
  }
  if (answer == 404) return NotFound("the storage location does not have it");
  if (answer != 200) return Unavailable("the storage location answers with status {}", answer);
  return OkStatus();
}

Json MakeRequest(const std::string& velero_namespace, const std::string& name, const std::string& kind) {
  return {{"apiVersion", "velero.io/v1"},
          {"kind", "DownloadRequest"},
          {"metadata", {{"generateName", "salvor-"}, {"namespace", velero_namespace}}},
          {"spec", {{"target", {{"kind", kind}, {"name", name}}}}}};
}

// The address, once Velero has signed it.
StatusOr<std::string> AwaitAddress(kubernetes::Kubernetes& cluster, const kubernetes::ObjectKey& request,
                                   const kubernetes::Call& call) {
  const auto is_signed = [](const Json* object) -> StatusOr<bool> {
    if (object == nullptr) return Unavailable("Velero's answer was removed before it was read");
    if (TextAt(*object, {"status", "phase"}) == "Failed")
      return Unavailable("Velero can't sign its address: {}",
                         CleanText(TextAt(*object, {"status", "message"})));
    return !TextAt(*object, {"status", "downloadURL"}).empty();
  };
  const auto object = kubernetes::WaitUntil(cluster, request, is_signed, call);
  if (object.ok()) return TextAt(*object, {"status", "downloadURL"});
  if (object.status().code() != absl::StatusCode::kDeadlineExceeded) return object.status();
  return WithHint(Unavailable("Velero does not sign its address"),
                  "See whether Velero's pod runs, and whether the storage location is Available.");
}

}  // namespace

StatusOr<std::string> DownloadSigned(const std::string& url, const kubernetes::Call& call) {
  // The address holds a secret, and is not shown.
  if (!url.starts_with("https://") && !url.starts_with("http://"))
    return InvalidArgument("the storage location's address is of another protocol than HTTP");
  const kubernetes::CurlEasy curl = kubernetes::NewCurlEasy();
  if (!curl) return Internal("libcurl does not start");
  const absl::Duration left = std::min(call.deadline - SteadyNow(), kTransferAtMost);
  if (left <= absl::ZeroDuration()) return DeadlineExceeded("there was no time left to fetch it");
  Transfer transfer{{}, false, call.stop};
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, kConnectMs);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(absl::ToInt64Milliseconds(left)) + 1);
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "salvor");
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Keep);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, StopIfAsked);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &transfer);
  const CURLcode code = curl_easy_perform(curl.get());
  long answer = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer);
  RETURN_IF_ERROR(ErrorOf(code, answer, transfer));
  return std::move(transfer.body);
}

StatusOr<std::string> Gunzip(std::string_view compressed, size_t at_most) {
  constexpr int kGzip = 16 + MAX_WBITS;
  z_stream stream{};
  if (inflateInit2(&stream, kGzip) != Z_OK) return Internal("zlib does not start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> end(&stream, inflateEnd);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(compressed.data()));  // it only reads
  stream.avail_in = static_cast<uInt>(compressed.size());
  std::string content;
  std::vector<char> piece(64 << 10);
  int state = Z_OK;
  while (state == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&stream, Z_NO_FLUSH);
    const size_t size = piece.size() - stream.avail_out;
    if (content.size() + size > at_most)
      return ResourceExhausted("it is larger than {}", HumanBytes(static_cast<int64_t>(at_most)));
    content.append(piece.data(), size);
  }
  // Its end comes only after the sum at the end of the file was found right.
  if (state != Z_STREAM_END) return DataLoss("it is no gzip file, or it is cut short");
  return content;
}

StatusOr<std::string> FetchRecord(kubernetes::Kubernetes& cluster, const std::string& velero_namespace,
                                  const std::string& name, const std::string& kind,
                                  const VeleroOptions& options, const kubernetes::Call& call) {
  const std::string what = fmt::format("fetch Velero's {} of {} {}", kind,
                                       kind.rfind("Restore", 0) == 0 ? "restore" : "backup", name);
  ASSIGN_OR_RETURN_IN(const Json made,
                      cluster.Create(DownloadRequests(), velero_namespace,
                                     MakeRequest(velero_namespace, name, kind), {}, call),
                      what);
  const kubernetes::ObjectKey request{DownloadRequests(), velero_namespace,
                                      TextAt(made, {"metadata", "name"})};
  kubernetes::Call wait = call;
  wait.deadline = std::min(call.deadline, SteadyNow() + options.answer_within);
  const StatusOr<std::string> url = AwaitAddress(cluster, request, wait);
  const StatusOr<std::string> file = url.ok() ? options.download(*url, call) : url;
  // It would go by itself, and an attempt that is stopped shall not wait for it.
  (void)cluster.Delete(request, {}, {{}, SteadyNow() + kRemoveWithin});
  if (!file.ok()) return WithContext(file.status(), what);
  ASSIGN_OR_RETURN_IN(std::string record, Gunzip(*file, kRecordAtMost), what);
  return record;
}

}  // namespace salvor::velero
